import pytest
import torch

from mrirecon.data.collate import collate
from mrirecon.errors import ConfigError
from mrirecon.fourier import fft, ifft
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.partial_fourier import Homodyne, Pocs
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from tests import scenes


class Combined(Reconstructor):
    """The coil combination with true maps."""

    def forward(self, sample):
        return (sample.maps.conj() * ifft(sample.kspace)).sum(-3)


@pytest.fixture(scope="module")
def full():
    return collate(list(scenes.scan(matrix=(64, 60), coils=6, snr=1000.0, with_maps=True)))


def cut(sample, rows=slice(None), columns=slice(None)):
    mask = torch.zeros(len(sample.key), *sample.kspace.shape[-2:], dtype=torch.bool)
    mask[:, rows, columns] = True
    return sample.replace(kspace=sample.kspace * mask.unsqueeze(-3), mask=mask)


def error(image, reference):
    return float((image.abs() - reference.abs()).norm() / reference.norm())


@pytest.mark.parametrize("method", [Pocs, Homodyne])
@pytest.mark.parametrize(
    "missing",
    [
        {"columns": slice(15, None)},
        {"columns": slice(None, 46)},
        {"rows": slice(14, None)},
    ],
    ids=str,
)
def test_brings_back_what_was_left_out(method, missing, full):
    reference = Combined()(full)
    zero_filled = Combined()(cut(full, **missing))
    image = method(Combined())(cut(full, **missing))
    assert error(image, reference) < 0.45 * error(zero_filled, reference)


@pytest.mark.parametrize("method", [Pocs, Homodyne])
def test_changes_nothing_where_nothing_is_missing(method, full):
    torch.testing.assert_close(method(Combined())(full), Combined()(full))
    symmetric = cut(full, columns=slice(10, 51))  # 20 lines on either side of the centre 30
    torch.testing.assert_close(method(Combined())(symmetric), Combined()(symmetric))
    mixed = collate(
        [full.map(lambda t: t[0]), cut(full, columns=slice(15, None)).map(lambda t: t[1])]
    ).replace(key=full.key)
    torch.testing.assert_close(method(Combined())(mixed)[0], Combined()(full)[0])


def test_pocs_keeps_what_was_measured(full):
    sample = cut(full, columns=slice(15, None))
    before, after = fft(Combined()(sample)), fft(Pocs(Combined())(sample))
    torch.testing.assert_close(after[..., 15:], before[..., 15:], rtol=1e-4, atol=1e-4)
    assert after[..., :15].abs().sum() > 2 * before[..., :15].abs().sum()


def test_odd_sizes_and_noise_stay_finite():
    sample = collate(list(scenes.scan(matrix=(33, 31), with_maps=True)))
    for method in (Pocs, Homodyne):
        image = method(Combined())(cut(sample, rows=slice(8, None), columns=slice(9, None)))
        assert image.isfinite().all()


def test_magnitudes_are_refused(full):
    with pytest.raises(ConfigError, match="ZeroFilled returns magnitudes"):
        Pocs(ZeroFilled())(full)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="iterations must be at least 1, got 0"):
        Pocs(Combined(), iterations=0)


@pytest.mark.parametrize("method", [Pocs, Homodyne])
@pytest.mark.parametrize(
    ("first", "why"), [(27, "at least 4"), (29, "at least 4"), (30, "at least 4"), (2, "symmetric")]
)
@pytest.mark.parametrize("rows", [False, True])
def test_what_would_become_worse_is_left_as_it_is_and_told(method, first, why, rows, full):
    """3, 1 and 0 lines on the short side, and one line short of symmetric."""
    lines = slice(first + 2 * (rows and first > 2), None)  # the centre of the rows is 32
    sample = cut(full, rows=lines) if rows else cut(full, columns=lines)
    image = method(Combined())(sample)
    torch.testing.assert_close(image, Combined()(sample))
    (remark,) = method(Combined()).remarks(sample)
    axis = "readout" if rows else "phase encoding"
    assert "as it is" in remark and f"along the {axis} there are" in remark and why in remark
    assert method(Combined()).remarks(cut(full, columns=slice(15, None))) == ()
    (remark,) = method(Combined()).remarks(full)
    assert "changes nothing" in remark


def test_the_other_axis_is_filled_unless_half_of_k_space_is_missing(full):
    """The image of one half has no smooth phase, so filling a quarter would make it worse."""
    half = cut(full, rows=slice(31, None), columns=slice(15, None))
    torch.testing.assert_close(Pocs(Combined())(half), Combined()(half))
    (remark,) = Pocs(Combined()).remarks(half)
    assert "POCS leaves the image as it is: along the readout there are 1 and 31 lines" in remark
    nearly = cut(full, rows=slice(2, None), columns=slice(15, None))
    reference = Combined()(cut(full, rows=slice(2, None)))
    image = Pocs(Combined())(nearly)
    assert error(image, reference) < 0.45 * error(Combined()(nearly), reference)
    (remark,) = Pocs(Combined()).remarks(nearly)
    assert "leaves the readout as it is" in remark


@pytest.mark.parametrize("short", [4, 6, 10, 15, 20, 25])
def test_neither_makes_an_image_worse(short, full):
    sample = cut(full, columns=slice(30 - short, None))
    reference, before = Combined()(full), Combined()(sample)
    for method in (Pocs, Homodyne):
        assert error(method(Combined())(sample), reference) <= error(before, reference)
