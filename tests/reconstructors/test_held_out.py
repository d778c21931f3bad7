"""Samples that a method does not see."""

import pytest
import torch

from mrirecon.data import Compose, Normalize, Undersample
from mrirecon.data.collate import collate
from mrirecon.fourier import fft, ifft
from mrirecon.operators import adjoint_image
from mrirecon.reconstructors import CgSense, HqsNet
from mrirecon.reconstructors.parts.held_out import held_out, stacked
from mrirecon.sampling import EquispacedLines, PoissonDisc
from mrirecon.sensitivity import GivenMaps, PhasedMaps
from tests import scenes


def sample(pattern):
    scan = scenes.scan(matrix=(64, 60), slices=2, with_maps=True)
    prepared = Compose([Undersample(pattern), Normalize()])
    return collate([prepared(scan[i]) for i in range(2)]), scan


@pytest.mark.parametrize("pattern", [EquispacedLines(2, acs=12), PoissonDisc(4, acs=(16, 16))])
def test_a_tenth_of_the_outer_samples_is_held_out(pattern):
    whole, _ = sample(pattern)
    rest, taken = held_out(whole)
    assert torch.equal(rest.mask | taken, whole.mask)
    assert not (rest.mask & taken).any()
    assert (rest.kspace * taken.unsqueeze(-3) == 0).all()
    outer, found = (mask.expand(2, 64, 60).clone() for mask in (whole.mask, taken))
    outer[:, 26:38, 24:36] = False  # the lesser of the two centres
    assert not found[:, 26:38, 24:36].any()
    assert 0.02 < found.sum() / outer.sum() < 0.2
    assert torch.equal(held_out(whole)[1], taken)


def test_lines_are_held_out_as_lines_however_their_mask_is_written():
    whole, _ = sample(EquispacedLines(2, acs=12))
    full = whole.replace(mask=whole.mask.expand(2, 64, 60).contiguous())
    taken = held_out(whole)[1]
    assert taken.any()
    assert torch.equal(held_out(full)[1], taken.expand(2, 64, 60))
    part = full.mask.clone()
    part[:, :20] = False  # an asymmetric echo
    asymmetric = full.replace(mask=part, kspace=full.kspace * part[:, None], acs=None)
    found = held_out(asymmetric)[1]
    assert found.any()
    assert torch.equal(found, found.any(-2, keepdim=True) & part)


def consistent(pattern):
    """Samples of images that the maps explain, without noise, and these images."""
    whole, scan = sample(pattern)
    image = torch.stack([adjoint_image(scan[i], scan[i].maps) / whole.scale[i] for i in range(2)])
    measured = torch.where(whole.mask[:, None], fft(whole.maps * image[:, None]), 0)
    return whole.replace(kspace=measured), image


def made(image):
    """A method that makes an image of whatever it is given."""
    return lambda *_: image


def test_the_average_is_the_one_that_predicts_best():
    whole, image = consistent(PoissonDisc(4, acs=(16, 16)))

    cases = {(1, 0): 1, (0, 1): 1, (0.5, 1.5): 1, (2, 3): 2, (0.2, 0.6): 0.6}
    for (one, other), expected in cases.items():
        found = stacked(made(one * image), made(other * image), whole, whole.maps)
        assert (found - expected * image).norm() < 1e-3 * image.norm()


def test_members_get_weights_of_their_own():
    whole, image = consistent(EquispacedLines(2, acs=12))
    mixed = torch.stack([image[0], 0 * image[1]])
    other = torch.stack([0 * image[0], image[1]])
    found = stacked(made(mixed), made(other), whole, whole.maps)
    assert (found - image).norm() < 1e-3 * image.norm()


def test_methods_do_not_see_what_they_are_judged_by():
    whole, _ = consistent(EquispacedLines(2, acs=12))
    seen = []

    def method(some, _maps):
        seen.append(some)
        return ifft(some.kspace[:, 0])

    stacked(method, method, whole, whole.maps)
    assert [int(one.mask.sum()) for one in seen[2:]] == [int(whole.mask.sum())] * 2
    assert all(one.mask.sum() < whole.mask.sum() for one in seen[:2])


def test_the_first_is_taken_where_nothing_can_be_held_out():
    whole, image = consistent(EquispacedLines(2, acs=12))
    center = torch.zeros_like(whole.mask)
    center[..., 24:36] = True
    only = whole.replace(mask=center, kspace=whole.kspace * center[:, None])
    found = stacked(made(image), made(2 * image), only, only.maps)
    assert torch.equal(found, image)


class Wrong(HqsNet):
    """A network that finds something else."""

    def alone(self, sample, maps):  # noqa: ARG002
        generator = torch.Generator().manual_seed(0)
        size = sample.kspace.shape[-2:]
        return 1e3 * torch.randn(2, *size, dtype=torch.complex64, generator=generator)


def test_a_partner_takes_over_where_a_network_fails_but_not_in_training():
    whole, _ = sample(EquispacedLines(2, acs=12))
    partner = CgSense(GivenMaps())
    method = Wrong(PhasedMaps(GivenMaps()), partner=partner).eval()
    expected = partner(whole)
    with torch.no_grad():
        assert (method(whole).abs() - expected.abs()).norm() < 2e-2 * expected.norm()
        assert torch.equal(method.train()(whole), method.alone(whole, whole.maps))
        phase = method.eval()(whole) / expected
    maps = method.sensitivity(whole)
    turn = (maps.conj() * whole.maps).sum(-3)
    assert ((phase - turn) * expected.abs()).norm() < 3e-2 * expected.norm()
