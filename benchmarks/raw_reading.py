"""Read an ISMRMRD file against the reference library's loop: python benchmarks/raw_reading.py [MB].

The file has the layout that the library itself writes, one HDF5 chunk per readout. ``read`` hands
out all samples; ``sort`` is ours from opening the file to k-space of every slice, whitened and
without oversampling, against the library's bare reading.
"""

import sys
import tempfile
from pathlib import Path

import h5py
import ismrmrd
import numpy as np
from table import Row, median_ms, publish

from mrirecon.raw.mrd_records import ACQUISITION, AcquisitionFlag
from mrirecon.readers import open_scan
from mrirecon.readers.mrd.ismrmrd import IsmrmrdScan

COILS, SAMPLES, LINES = 16, 512, 250

XML = f"""<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>
<encodedSpace><matrixSize><x>{SAMPLES}</x><y>{LINES}</y><z>1</z></matrixSize>
<fieldOfView_mm><x>512</x><y>250</y><z>5</z></fieldOfView_mm></encodedSpace>
<reconSpace><matrixSize><x>{SAMPLES // 2}</x><y>{LINES}</y><z>1</z></matrixSize>
<fieldOfView_mm><x>256</x><y>250</y><z>5</z></fieldOfView_mm></reconSpace>
<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>{LINES - 1}</maximum>
<center>{LINES // 2}</center></kspace_encoding_step_1></encodingLimits>
<trajectory>cartesian</trajectory></encoding></ismrmrdHeader>"""


def write(path: Path, readouts: int) -> None:
    """Write slices of LINES readouts after ten noise readouts."""
    rng = np.random.default_rng(0)
    table = np.zeros(readouts + 10, ACQUISITION)
    heads = table["head"]
    heads["version"], heads["active_channels"], heads["number_of_samples"] = 1, COILS, SAMPLES
    heads["center_sample"], heads["sample_time_us"] = SAMPLES // 2, 5.0
    heads["read_dir"], heads["phase_dir"], heads["slice_dir"] = np.eye(3)
    heads["flags"][:10] = AcquisitionFlag.NOISE_MEASUREMENT.mask
    number = np.arange(readouts)
    heads["idx"]["slice"][10:] = number // LINES
    heads["idx"]["kspace_encode_step_1"][10:] = number % LINES
    heads["position"][10:, 2] = 5.0 * (number // LINES)
    values = rng.standard_normal((64, 2 * COILS * SAMPLES), dtype=np.float32)
    for row in range(len(table)):
        table["data"][row], table["traj"][row] = values[row % 64], np.zeros(0, np.float32)
    with h5py.File(path, "w") as file:
        group = file.create_group("dataset")
        group.create_dataset("xml", data=[XML], dtype=h5py.string_dtype())
        group.create_dataset("data", data=table, chunks=(1,), maxshape=(None,))


def main() -> None:
    """Write a file of about so many MB (default 262), time both ways to read it."""
    megabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 262.0
    slices = max(1, round(megabytes * 1e6 / (8 * COILS * SAMPLES * LINES)))
    readouts = slices * LINES
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.h5"
        write(path, readouts)

        def loop() -> np.ndarray:
            with ismrmrd.Dataset(str(path), mode="r") as dataset:
                return [
                    dataset.read_acquisition(i).data
                    for i in range(dataset.number_of_acquisitions())
                ]

        def bulk() -> list[np.ndarray]:
            scan = IsmrmrdScan.__new__(IsmrmrdScan)
            scan.path, scan.reading = path, open_reading
            measurement = scan.measurement()
            return list(scan.fetch(measurement, np.arange(len(measurement.heads))).samples)

        def sort() -> list:
            return [sample.kspace for sample in open_scan(path)]

        open_reading = open_scan(path).reading
        error = max(float(np.abs(a - b).max()) for a, b in zip(loop(), bulk(), strict=True))
        peer = median_ms(loop, 3)
        case = f"{readouts}x{COILS}x{SAMPLES}"
        rows = []
        for name, function in (("read", bulk), ("sort", sort)):
            ours = median_ms(function, 5)
            known = error if name == "read" else None
            rows.append(Row(f"{case} {name}", ours, "ismrmrd read_acquisition", peer, peer / ours,
                            known))  # fmt: skip
    publish("raw_reading", rows)


if __name__ == "__main__":
    main()
