import numpy as np
import pytest

from mrirecon.sampling.calibration import center_slice, central_block


def lines(width, block, step=0):
    mask = np.zeros((1, width), bool)
    mask[:, center_slice(width, block)] = True
    if step:
        mask[:, ::step] = True
    return mask


@pytest.mark.parametrize("width", [8, 9, 368, 369])
def test_every_count_is_found_exactly(width):
    for count in {1, 2, 3, 7, 8, min(29, width), width - 1, width}:
        assert central_block(lines(width, count), (5, width)) == (5, count)


def test_the_rule_of_fastmri():
    assert center_slice(368, 29) == slice(170, 199)
    assert center_slice(368, 30) == slice(169, 199)
    assert center_slice(7, 7) == slice(0, 7) and center_slice(8, 8) == slice(0, 8)


def test_no_center_no_block():
    mask = np.ones((1, 10), bool)
    mask[0, 5] = False
    assert central_block(mask, (6, 10)) == (0, 0)
    assert central_block(np.zeros((6, 10), bool)) == (0, 0)


def test_two_dimensional_blocks():
    mask = np.random.default_rng(0).random((40, 30)) < 0.2
    mask[center_slice(40, 12), center_slice(30, 9)] = True
    assert central_block(mask) == (12, 9)
    assert central_block(np.ones((7, 8), bool)) == (7, 8)


def test_calibration_kernels_need_both_sides():
    mask = np.zeros((64, 64), bool)
    mask[32, :] = True
    mask[center_slice(64, 6), center_slice(64, 6)] = True
    assert central_block(mask) == (6, 6)


def test_asymmetric_echo_with_lines():
    mask = np.repeat(lines(24, 8, step=4), 32, axis=0)
    mask[:6] = False
    assert central_block(mask)[0] == 21 and central_block(mask)[1] in (8, 9)
