"""Slices per second of training data against fastmri's loader: python benchmarks/data_path.py.

Needs the ``fastmri`` package: ``pip install fastmri`` in an environment of its own (it may replace
torch) and its ``site-packages`` on PYTHONPATH, at the end::

    PYTHONPATH=$PWD:/path/to/fastmri_env/lib/python3.11/site-packages python benchmarks/data_path.py

Two synthetic files in the layout of fastMRI, 15 coils and 640 x 368 points in complex64, 1 GB in
all with their packed copies, in a temporary folder (``TMPDIR``); warm, no worker processes, one
thread. Times are CPU times per slice (files come from the page cache, so nothing is waited for),
medians over all slices of rounds in which ours and the peer take turns.

==================== ===========================================================================
``c15 files``        read and undersampled k-space, target, facts: fastmri's ``SliceDataset`` with
                     ``VarNetDataTransform`` on the same files
``c15 packed``       the same from packed files; error 0 means the same Samples
``c15 packed crop``  packed with ``--crop-readout``
``c15 to device``    packed, masks left to the device (``data=folder_on_device``): slices are
                     copied once, as for the device, but not masked, while the peer masks on the CPU
``c15 crop device``  the same, packed with ``--crop-readout``
``c15 half device``  the same, packed with ``--crop-readout --half``: copied in half precision; the
                     error is that of rounding
``c15 mask``         drawing one line mask
``c15 normalize``    the percentile of the image and the division, against the plain formula
==================== ===========================================================================
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from table import Row, median_ms, publish

from mrirecon.data.dataset import SliceDataset
from mrirecon.data.folder import Folder
from mrirecon.data.packing import Packing, pack
from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.fourier import ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.sampling import EquispacedFractionLines
from mrirecon.types import Sample

try:
    from fastmri.data import mri_data, transforms
    from fastmri.data.subsample import create_mask_for_mask_type
except ImportError as problem:
    sys.exit(f"the peer cannot be imported ({problem}); the docstring of this script tells how")

FILES, SLICES, COILS, ROWS, COLUMNS, SIZE, ROUNDS = 2, 6, 15, 640, 368, 320, 5
PEER = "fastmri SliceDataset"
AS_READ = Compose([])
HEADER = f"""<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>
<encodedSpace><matrixSize><x>{ROWS}</x><y>{COLUMNS}</y><z>1</z></matrixSize>
<fieldOfView_mm><x>440</x><y>253</y><z>5</z></fieldOfView_mm></encodedSpace>
<reconSpace><matrixSize><x>{SIZE}</x><y>{SIZE}</y><z>1</z></matrixSize>
<fieldOfView_mm><x>220</x><y>220</y><z>5</z></fieldOfView_mm></reconSpace>
<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>{COLUMNS - 1}</maximum>
<center>{COLUMNS // 2}</center></kspace_encoding_step_1></encodingLimits>
<trajectory>cartesian</trajectory></encoding></ismrmrdHeader>"""


def write(path: Path, seed: int) -> None:
    """Write a file in the layout of fastMRI's training set."""
    rng = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        kspace = file.create_dataset("kspace", (SLICES, COILS, ROWS, COLUMNS), np.complex64)
        for index in range(SLICES):
            parts = rng.standard_normal((COILS, ROWS, 2 * COLUMNS), dtype=np.float32)
            kspace[index] = 1e-5 * parts.view(np.complex64)
        file["reconstruction_rss"] = rng.random((SLICES, SIZE, SIZE), dtype=np.float32)
        file["ismrmrd_header"] = HEADER
        file.attrs.update(max=1.0, norm=1.0, patient_id=f"patient{seed}", acquisition="AXT2")


def compared(ours: Sequence[Any], peer: Sequence[Any]) -> tuple[float, float]:
    """Return the median ms per item of both, which take turns; the first round only warms up."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS + 1):
        for items, found in zip((ours, peer), times, strict=True):
            for index in range(len(items)):
                started = time.process_time()
                items[index]
                if turn:
                    found.append(1000 * (time.process_time() - started))
    return statistics.median(times[0]), statistics.median(times[1])


def difference(ours: SliceDataset, peer: Sequence[Any]) -> float:
    """Return the relative difference of the undersampled k-space, for one mask."""
    worst = 0.0
    for index in range(len(ours)):
        kspace, other = ours[index].kspace, torch.view_as_complex(peer[index].masked_kspace)
        worst = max(worst, float((kspace - other).norm() / other.norm()))
    return worst


def rounding(ours: SliceDataset, exact: SliceDataset) -> float:
    """Return the relative difference of k-space to that in single precision."""
    pairs = [(ours[index].kspace, exact[index].kspace) for index in range(len(ours))]
    return max(float((one - other).norm() / other.norm()) for one, other in pairs)


class Copied:
    """Slices whose k-space is copied into one buffer, as it would be to a device."""

    def __init__(self, slices: SliceDataset) -> None:
        self.slices = slices
        self.buffer = torch.view_as_real(slices[0].kspace).clone()

    def __len__(self) -> int:
        return len(self.slices)

    def _read(self, index: int) -> Sample:
        sample = self.slices[index]
        self.buffer.copy_(torch.view_as_real(sample.kspace))
        return sample


def plainly_normalized(sample: Sample) -> Sample:
    """Divide by the 99th percentile of the zero-filled image as one writes it down."""
    image = root_sum_of_squares(ifft(sample.kspace)).flatten()
    scale = image.kthvalue(round(0.99 * len(image))).values
    return sample.replace(kspace=sample.kspace / scale, scale=scale)


def slices(folder: Path, transform: Callable[[Sample], Sample] | None) -> SliceDataset:
    """Return the slices of a folder; without a transform as they go to the device."""
    if transform is None:
        return SliceDataset(Folder(folder, "*.h5"), AS_READ, batch_transform=AS_READ)
    return SliceDataset(Folder(folder, "*.h5"), transform)


def main() -> None:
    """Write, pack, compare."""
    torch.set_num_threads(1)
    pattern = EquispacedFractionLines(4, 0.08)
    step, fixed = Undersample(pattern, "random"), Undersample(pattern, "scan")
    mask = create_mask_for_mask_type("equispaced_fraction", [0.08], [4])
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folders = {name: Path(temporary) / name for name in ("raw", "packed", "crop", "half")}
        for folder in folders.values():
            folder.mkdir()
        for number in range(FILES):
            write(folders["raw"] / f"file{number}.h5", number)
        for scan in Folder(folders["raw"]):
            pack(scan, folders["packed"] / scan.header.name)
            pack(scan, folders["crop"] / scan.header.name, Packing(crop_readout=True))
            pack(scan, folders["half"] / scan.header.name, Packing(crop_readout=True, half=True))

        def peer(use_seed: bool) -> Sequence[Any]:
            transform = transforms.VarNetDataTransform(mask_func=mask, use_seed=use_seed)
            return mri_data.SliceDataset(folders["raw"], "multicoil", transform)

        for case, folder, ours in (
            ("files", "raw", step), ("packed", "packed", step), ("packed crop", "crop", step),
            ("to device", "packed", None), ("crop device", "crop", None),
            ("half device", "half", None),
        ):  # fmt: skip
            error = None
            if case in ("files", "packed"):
                error = difference(slices(folders[folder], fixed), peer(use_seed=True))
            elif case == "half device":
                error = rounding(*(slices(folders[name], AS_READ) for name in ("half", "crop")))
            found = slices(folders[folder], ours)
            mine, other = compared(found if ours else Copied(found), peer(use_seed=False))
            rows.append(Row(f"c15 {case}", mine, PEER, other, other / mine, error))
        sample = fixed(Folder(folders["packed"])[0][0])

    shape, rng = (ROWS, COLUMNS), np.random.RandomState(0)
    mine = median_ms(lambda: pattern(shape, rng), 200)
    other = median_ms(lambda: mask((1, ROWS, COLUMNS, 2)), 200)
    rows.append(Row("c15 mask", mine, "fastmri MaskFunc", other, other / mine))
    mine, other = (
        median_ms(lambda f=function: f(sample), 5) for function in (Normalize(), plainly_normalized)
    )
    scales = Normalize()(sample).scale, plainly_normalized(sample).scale
    error = float((scales[0] - scales[1]).abs() / scales[1])
    rows.append(Row("c15 normalize", mine, "the plain formula", other, other / mine, error))
    publish("data_path", rows)
    for row in rows[:6]:
        print(f"{row.case}: {1000 / row.ours_ms:.0f} slices/s, {PEER} {1000 / row.peer_ms:.0f}")


if __name__ == "__main__":
    main()
