"""MRD (ISMRMRD version 1) image series, as the reference library writes and reads them."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

import h5py
import numpy as np
from jaxtyping import Complex64, Float32

from mrirecon import __version__
from mrirecon.files import Kind, atomic, mark_hdf5
from mrirecon.hdf5_output import created_hdf5
from mrirecon.raw.messages import MessageId
from mrirecon.raw.mrd_images import (
    COMPLEX,
    DATA_TYPE_COMPLEX,
    DATA_TYPE_FLOAT,
    IMAGE_HEADER,
    IMAGE_TYPE_COMPLEX,
    IMAGE_TYPE_MAGNITUDE,
)
from mrirecon.reconstruction import Reconstruction
from mrirecon.writers.quantities import NAMINGS
from mrirecon.writers.scanner_coordinates import slice_place

Facts = Mapping[str, str | Sequence[str]]
"""Meta attributes of an image: one value each, or several."""


@dataclass(frozen=True)
class MrdImages:
    """A series as MRD images, one per frame and slice, in this order.

    As MRD has it, ``x`` (the fastest axis) runs along the readout and ``y`` along phase encoding:
    the images are the transposes of the volume's slices. ``position`` in the headers is where the
    pixel ``(y // 2, x // 2)`` lies, in LPS mm.
    """

    heads: np.ndarray
    data: Float32[np.ndarray, "image 1 1 y x"] | Complex64[np.ndarray, "image 1 1 y x"]
    facts: Facts

    @property
    def attributes(self) -> str:
        """The meta attributes as XML."""
        return meta_xml(self.facts)


def mrd_images(result: Reconstruction) -> MrdImages:
    """Turn a series into MRD images."""
    header, volume = result.header, result.volume.numpy()
    if result.complex_volume is not None:
        volume = result.complex_volume.numpy()
    frames, slices, rows, columns = volume.shape
    heads = np.zeros(frames * slices, IMAGE_HEADER)
    for number, head in enumerate(heads):
        frame, index = divmod(number, slices)
        _place(head, result, index)
        counters = header.frames[frame]
        for name in ("contrast", "set", "phase", "repetition"):
            head[name] = getattr(counters, name)
        head["slice"], head["image_index"] = index, number + 1
    has_phase = np.iscomplexobj(volume)
    heads["version"], heads["channels"] = 1, 1
    heads["data_type"] = DATA_TYPE_COMPLEX if has_phase else DATA_TYPE_FLOAT
    heads["image_type"] = IMAGE_TYPE_COMPLEX if has_phase else IMAGE_TYPE_MAGNITUDE
    heads["image_series_index"] = result.number + NAMINGS[result.quantity].series
    data = volume.reshape(-1, 1, 1, rows, columns).swapaxes(-1, -2)
    images = MrdImages(heads, data, _facts(result))
    heads["attribute_string_len"] = len(images.attributes.encode())
    return images


def write_mrd(path: Path, result: Reconstruction, *, overwrite: bool = False) -> None:
    """Write ``dataset/image_0`` with its ``header``, ``data`` and ``attributes``.

    Companions of the image follow as ``image_1`` and so on, as series of their own.
    """
    with (
        atomic(path, Kind.MRD, overwrite=overwrite) as temporary,
        created_hdf5(temporary) as file,
    ):
        for number, part in enumerate((result, *result.apart())):
            _store(file.create_group(f"dataset/image_{number}"), mrd_images(part))
        mark_hdf5(file, Kind.MRD)


def _store(group: h5py.Group, images: MrdImages) -> None:
    stored = np.ascontiguousarray(images.data)
    if np.iscomplexobj(stored):
        stored = stored.view(COMPLEX)
    # resizable, as the library's own, so that it can append
    for name, values, dtype in (
        ("header", images.heads, IMAGE_HEADER),
        ("attributes", [images.attributes] * len(images.heads), h5py.string_dtype()),
        ("data", stored, stored.dtype),
    ):
        shape = np.shape(values)
        group.create_dataset(name, data=values, dtype=dtype, maxshape=(None, *shape[1:]))


def send_mrd(stream: BinaryIO, results: Iterable[Reconstruction]) -> int:
    """Send series, each followed by its companions, as IMAGE messages of an ISMRMRD stream.

    The stream is closed by its last message.

    Returns:
        The number of images.
    """
    count = 0
    for result in (part for one in results for part in (one, *one.apart())):
        images = mrd_images(result)
        for head, pixels in zip(images.heads, images.data, strict=True):
            stream.write(struct.pack("<H", MessageId.IMAGE))
            for part in image_message(head, pixels, images.attributes):
                stream.write(part)
            count += 1
    stream.write(struct.pack("<H", MessageId.CLOSE))
    stream.flush()
    return count


def image_message(head: np.void, pixels: np.ndarray, attributes: str) -> tuple[bytes, bytes, bytes]:
    """Return the parts of an IMAGE message's body: header, attributes and pixels.

    Args:
        head: Header of the image, whose length of the attributes is set here.
        pixels: Pixels of the type and shape that the header tells, x the fastest axis.
        attributes: Meta attributes as XML.
    """
    text = attributes.encode()
    head["attribute_string_len"] = len(text)
    return (
        head.tobytes(),
        struct.pack("<Q", len(text)) + text,
        np.ascontiguousarray(pixels).tobytes(),
    )


def _place(head: np.void, result: Reconstruction, index: int) -> None:
    header = result.header
    dy, dx, dz = header.voxel or (1.0, 1.0, 1.0)
    y, x = header.matrix
    place = slice_place(header, index)
    head["matrix_size"] = (y, x, 1)
    head["field_of_view"] = (y * dy, x * dx, dz)
    head["position"] = place.center
    head["read_dir"], head["phase_dir"] = place.along_y, place.along_x
    head["slice_dir"] = place.normal


def _facts(result: Reconstruction) -> Facts:
    """Return the images' meta attributes, under names in common use where there are some."""
    header, made = result.header, result.provenance
    comments = ("Research reconstruction, not for diagnostic use", result.meaning)
    return {
        "DataRole": "Image",
        "ImageComments": ". ".join(filter(None, comments)),
        "Quantity": NAMINGS[result.quantity].words,
        "SequenceDescriptionAdditional": "mrirecon",
        "ImageProcessingHistory": f"mrirecon {__version__} {made.method}".strip(),
        "ProtocolName": header.acquisition,
        "GeometryKnown": str(header.geometry is not None).lower(),
        "Source": made.source,
        "SourceFingerprint": made.fingerprint,
        "Command": made.command,
    }


def meta_xml(facts: Facts) -> str:
    """Return meta attributes as XML; those without a value are left out."""
    root = ElementTree.Element("ismrmrdMeta")
    for key, values in facts.items():
        if not values:
            continue
        meta = ElementTree.SubElement(root, "meta")
        ElementTree.SubElement(meta, "name").text = key
        for value in (values,) if isinstance(values, str) else values:
            ElementTree.SubElement(meta, "value").text = value
    return ElementTree.tostring(root, encoding="unicode")
