"""Simulated scans, written as raw files and read again."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mrirecon.fourier import ifft
from mrirecon.image import center_crop, root_sum_of_squares
from mrirecon.readers import open_scan
from mrirecon.sampling.base import scan_rng
from mrirecon.sampling.lines import EquispacedLines
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_fastmri, write_ismrmrd
from mrirecon.simulation.simulated_scan import SimulatedScan
from mrirecon.simulation.simulation_protocol import Prescription, SimulationProtocol


@pytest.fixture(scope="module", params=[(64, 48), (63, 45)], ids=["even", "odd"])
def truth(request):
    prescription = Prescription(
        matrix=request.param, fov=(220.0, 198.0), slices=3, tilt=(20.0, 10.0), center=(3.0, -4.0, 9)
    )
    return SimulatedScan(3, SimulationProtocol(prescription=prescription, coils=4, snr=20.0))


OPTIONS = {
    "plain": AcquisitionOptions(),
    "accelerated": AcquisitionOptions(sampling=EquispacedLines(3, acs=11)),
    "partial Fourier": AcquisitionOptions(partial_fourier=0.75),
    "asymmetric echo": AcquisitionOptions(echo_fraction=0.8),
    "phase resolution": AcquisitionOptions(phase_resolution=0.8),
    "averages": AcquisitionOptions(averages=2),
    "no oversampling": AcquisitionOptions(oversampling=1),
    "everything": AcquisitionOptions(
        sampling=EquispacedLines(2, acs=9), partial_fourier=0.8, echo_fraction=0.9, averages=3
    ),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_ismrmrd_round_trip(truth, options, tmp_path):
    path = tmp_path / "scan.h5"
    write_ismrmrd(path, truth, options)
    scan = open_scan(path)
    ours, theirs = scan.header, truth.header
    h, w = theirs.grid
    assert (ours.slices, ours.coils, ours.grid, ours.canvas, ours.matrix) == (
        theirs.slices, theirs.coils, (h, w), (h, w), (h, w),
    )  # fmt: skip
    assert (ours.subject, ours.acquisition) == (theirs.subject, theirs.acquisition)
    # a file tells what the simulation does not need to
    told = replace(ours.sequence, dwell_time=None, imaging_frequency=None, acceleration=None)
    assert told == theirs.sequence and ours.sequence.dwell_time == 8
    assert ours.whitened and ours.voxel == pytest.approx(theirs.voxel)
    np.testing.assert_allclose(ours.affine(), theirs.affine(), atol=1e-4)  # float32 in the file

    columns = torch.zeros(w, dtype=torch.bool)
    count = max(1, round(options.phase_resolution * w))
    last = w // 2 - count // 2 + count
    columns[last - int(np.ceil(options.partial_fourier * count)) : last] = True
    if options.sampling is not None:
        columns &= options.sampling((h, w), scan_rng(theirs.name)).mask[0]
    factor = options.oversampling
    skipped = factor * h - max(factor * h // 2 + 1, round(options.echo_fraction * factor * h))
    rows = (torch.arange(h) - h // 2) * factor + factor * h // 2 >= skipped
    mask = rows[:, None] & columns

    for index in range(theirs.slices):
        sample = scan[index]
        assert torch.equal(sample.mask.expand(h, w), mask)
        assert sample.mask.shape[0] == (h if skipped else 1)
        assert not sample.kspace[:, ~mask].any()
        clean = truth.noise_free(index) * mask * options.averages**0.5
        noise = sample.kspace - clean
        # the covariance is estimated from N samples: the signal is off by about 1 / sqrt(N)
        samples = options.noise_readouts * factor * h
        assert noise.norm() ** 2 < 2 * mask.sum() * 4 * 1.05 + 4 * clean.norm() ** 2 / samples * 4
        # the cut of an asymmetric echo blurs samples next to it; look at the far, outer part
        outer = noise[:, h * 3 // 4 :, :][..., mask[-1]]
        assert torch.view_as_real(outer).std() == pytest.approx(1.0, abs=0.08)
    rows_of_block, columns_of_block = sample.acs.tolist()
    assert rows_of_block == h or skipped
    # lines of the raster next to the centre belong to the fully sampled block
    least = options.sampling.acs if options.sampling else columns.sum() // 2
    assert least <= columns_of_block <= columns.sum()


def test_raw_files_give_the_same_image_whatever_the_slice_order(truth, tmp_path):
    path = tmp_path / "scan.h5"
    write_ismrmrd(path, truth)
    scan = open_scan(path)
    for index in range(len(truth)):
        image, target = root_sum_of_squares(ifft(scan[index].kspace)), truth.target(index)
        others = [truth.target(other) for other in range(len(truth)) if other != index]
        errors = [float((image - other).norm()) for other in (target, *others)]
        assert errors[0] == min(errors)


@pytest.mark.parametrize("sampling", [None, EquispacedLines(3, acs=11)])
@pytest.mark.parametrize("fraction", [1.0, 0.8])
def test_fastmri_round_trip(truth, sampling, fraction, tmp_path):
    path = tmp_path / "scan.h5"
    options = AcquisitionOptions(sampling=sampling, partial_fourier=fraction)
    write_fastmri(path, truth, options)
    scan = open_scan(path)
    h, w = truth.header.grid
    assert scan.header.grid == (2 * h, w) and scan.header.matrix == (h, w)
    assert scan.header.voxel == pytest.approx(truth.header.voxel)
    assert scan.header.subject == truth.header.subject
    sample = scan[1]
    first = w - int(np.ceil(fraction * w))
    columns = torch.arange(w) >= first
    if sampling is not None:
        columns &= sampling((h, w), scan_rng(truth.header.name)).mask[0]
    assert sample.mask.tolist() == [columns.tolist()]
    image = root_sum_of_squares(center_crop(ifft(sample.kspace), (h, w)))
    if sampling is None:
        torch.testing.assert_close(image, sample.target)
        assert sample.peak >= sample.target.max()
    else:
        assert sample.target is None and sample.acs.tolist() == [2 * h, 11]
    assert not sample.kspace[..., ~columns].any()
