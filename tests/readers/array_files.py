"""Tiny twins of public formats: the exact layout on disk, of k-space that the caller knows.

Each writer takes centred orthonormal k-space (frame, slice, coil, h, w), or what it says.
"""

import h5py
import numpy as np
from scipy.io import savemat

from tests.readers.mrd_files import XML

HEADER = {
    "vendor": "x", "full": 32, "w": 20, "view_full": 64.0, "view_w": 40.0, "y": 16, "x": 16,
    "view_y": 32.0, "view_x": 32.0, "trajectory": "cartesian", "maximum": 19, "center": 10,
    "calibration": "other", "etl": 1,
}  # fmt: skip
M4RAW_EXTRA = """<repetitionInformation><repetition><MeasurementID>2022061003_T201</MeasurementID>
<studyUID>1.2.3</studyUID></repetition></repetitionInformation></ismrmrdHeader>"""


def random(*shape, seed=0):
    x = np.random.default_rng(seed).standard_normal((2, *shape)).astype(np.float32)
    return x[0] + 1j * x[1]


def write_hdf5(path, attrs=None, **datasets):
    with h5py.File(path, "w") as file:
        for name, value in datasets.items():
            file[name] = value
        file.attrs.update(attrs or {})
    return path


def xml(**changes):
    return XML.format(**(HEADER | changes))


def m4raw(path, kspace, subject="2022061003"):
    """Slices (slice, coil, h, w) with a header that no schema knows."""
    header = xml(full=kspace.shape[-2], w=kspace.shape[-1], maximum=kspace.shape[-1] - 1,
                 center=kspace.shape[-1] // 2)  # fmt: skip
    header = header.replace("</ismrmrdHeader>", M4RAW_EXTRA.replace("2022061003", subject))
    target = np.ones((len(kspace), 16, 16), np.float32)
    return write_hdf5(path, {"patient_id": subject, "acquisition": "T2"}, kspace=kspace,
                      ismrmrd_header=header.encode(), reconstruction_rss=target)  # fmt: skip


def prostate(path, averages, target=None, calibration=None, **changes):
    """Averages (average, slice, coil, h, w)."""
    _, slices, coils, h, w = averages.shape
    calibration = random(slices, coils, h, 6, seed=5) if calibration is None else calibration
    more = {} if target is None else {"reconstruction_rss": target}
    header = xml(**({"full": h, "w": w, "maximum": w - 1, "center": w // 2} | changes))
    attrs = {"max": 2.0, "norm": 1.0, "patient_id": "0001", "acquisition": "AXT2"}
    return write_hdf5(path, attrs, kspace=averages, calibration_data=calibration,
                      ismrmrd_header=header.encode(), **more)  # fmt: skip


def calgary_campinas(path, images):
    """Coil images (x, coil, y, z), of which ``ifft2`` of what is stored is the reconstruction."""
    sign = [np.exp(2j * np.pi * np.arange(n) * (n // 2) / n) for n in images.shape[-2:]]
    kspace = np.moveaxis(np.fft.fft2(images * np.multiply.outer(*sign)), 1, -1)
    stored = np.empty((*kspace.shape[:-1], 2 * kspace.shape[-1]), np.float32)
    stored[..., ::2], stored[..., 1::2] = kspace.real, kspace.imag
    return write_hdf5(path, kspace=stored)


def skm_tea(path, kspace, maps, target):
    """(echo, x, coil, y, z), (x, coil, y, z), (echo, x, y, z)."""
    return write_hdf5(
        path,
        kspace=kspace.transpose(1, 3, 4, 0, 2),
        maps=maps.transpose(0, 2, 3, 1)[..., None],
        target=target.transpose(1, 2, 3, 0)[..., None],
        **{"masks/poisson_6.0x": np.ones(kspace.shape[-2:]), "masks/poisson_8.0x": np.ones(3)},
    )


def reals(x, dtype="<f4"):
    """The compound type in which MATLAB 7.3 stores complex numbers."""
    stored = np.zeros(x.shape, [("real", dtype), ("imag", dtype)])
    stored["real"], stored["imag"] = x.real, x.imag
    return stored


def cmrxrecon(path, name, kspace, dtype="<f4", **others):
    """MATLAB order (kx, ky, coil, slice, time) of (time, slice, coil, h, w), reversed by HDF5."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file[name] = reals(kspace.swapaxes(-1, -2), dtype)
        file[name].attrs["MATLAB_class"] = np.bytes_("single" if dtype == "<f4" else "double")
        for key, value in others.items():
            file[key] = value
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


def old_mat(path, name, kspace, **options):
    savemat(path, {"note": "text", name: kspace.swapaxes(-1, -2).T, "cell": [{}]}, **options)
    return path


def bart(path, dimensions, name="kspace"):
    """Sixteen BART dimensions, in BART's order; returns the .cfl."""
    shape = dimensions.shape + (1,) * (16 - dimensions.ndim)
    header = path / f"{name}.hdr"
    header.write_text(f"# Dimensions\n{' '.join(map(str, shape))} \n# Command\nphantom -k x\n")
    data = path / f"{name}.cfl"
    dimensions.astype("<c8").ravel(order="F").tofile(data)
    return data
