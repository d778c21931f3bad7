"""Files that hold no raw data at all, named by their format, with what to do instead."""

import gzip
import json
import zipfile
import zlib
from pathlib import Path

START = 4096
"""Bytes of the beginning that are looked at."""
IMAGE = "it holds images, not k-space; give the raw file that they were made from"
PACKED = "unpack it, and give the raw file in it"
WEIGHTS = "it holds weights of a network; give it as checkpoint=FILE, and the raw file as input="
OTHER = "it holds no k-space; give the raw file of the scanner"
LOST = "it is no file of the scanner; download the raw file again"
MARKS: tuple[tuple[int, bytes, str, str], ...] = (
    (128, b"DICM", "a DICOM file", IMAGE),
    (344, b"n+1\0", "a NIfTI file", IMAGE),
    (344, b"ni1\0", "the header of a NIfTI pair", IMAGE),
    (4, b"n+2\0\r\n", "a NIfTI-2 file", IMAGE),
    (4, b"ni2\0\r\n", "the header of a NIfTI-2 pair", IMAGE),
    (0, b"NRRD000", "an NRRD file", IMAGE),
    (0, b"ObjectType", "a MetaImage file", IMAGE),
    (0, b"\x89PNG\r\n", "a PNG picture", IMAGE),
    (0, b"\xff\xd8\xff", "a JPEG picture", IMAGE),
    (0, b"GIF8", "a GIF picture", IMAGE),
    (0, b"II*\0", "a TIFF picture", IMAGE),
    (0, b"MM\0*", "a TIFF picture", IMAGE),
    (0, b"II+\0", "a TIFF picture", IMAGE),
    (8, b"WEBP", "a WebP picture", IMAGE),
    (0, b"BM", "a BMP picture", IMAGE),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture", IMAGE),
    (0, b"BZh", "a bzip2 archive", PACKED),
    (0, b"\xfd7zXZ\0", "an xz archive", PACKED),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive", PACKED),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", PACKED),
    (0, b"Rar!\x1a", "a RAR archive", PACKED),
    (257, b"ustar", "a tar archive", PACKED),
    (0, b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19", "a PyTorch checkpoint", WEIGHTS),
    (0, b"%PDF", "a PDF document", OTHER),
    (0, b"SQLite format 3\0", "an SQLite database", OTHER),
    (0, b"PAR1", "a Parquet table", OTHER),
    (0, b"CDF\x01", "a NetCDF file", OTHER),
    (0, b"CDF\x02", "a NetCDF file", OTHER),
    (0, b"\x7fELF", "a program", OTHER),
    (0, b"MZ", "a program", OTHER),
    (0, b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
)
"""Where, what, whose it is and what to do; what is longer or more certain comes first."""


def named_format(path: Path) -> tuple[str, str] | None:
    """Name the format of a file that holds no raw data, and say what to do; None when unknown.

    A few kilobytes are read, and decompressed; nothing is unpickled.
    """
    if path.suffix.lower() == ".cfl" and not path.with_suffix(".hdr").exists():
        return "a .cfl file without its header", "copy BART's .hdr of the same name beside it"
    with path.open("rb") as stream:
        start = stream.read(START)
    if start.startswith(b"\x1f\x8b"):
        inside = _named(_unzipped(path), path)
        if inside is not None and inside[1] == IMAGE:
            return f"{inside[0]}, compressed", IMAGE
        return "a gzip archive", PACKED
    if start.startswith(b"PK\x03\x04"):
        return _zip_archive(path)
    return _named(start, path)


def images_in(folder: Path) -> str:
    """Name the image format of the first files of a folder; empty when they are none."""
    for path in sorted(folder.iterdir())[:8]:
        if path.is_file() and (found := named_format(path)) and found[1] == IMAGE:
            return found[0]
    return ""


def _named(start: bytes, path: Path) -> tuple[str, str] | None:
    for place, mark, name, remedy in MARKS:
        if start[place:].startswith(mark):
            return name, remedy
    if path.name.lower().endswith((".mgz", ".mgh")) and start.startswith(b"\0\0\0\x01"):
        return "a FreeSurfer MGH file", IMAGE
    if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05":
        return "a Python pickle", "it may run code and is not opened; save k-space as .npy"
    if _is_safetensors(start):
        return "a safetensors file", WEIGHTS
    if not start.strip(b"\0"):
        return "a file that starts with zeros only", "the download or copy failed; repeat it"
    return _text(start)


def _text(start: bytes) -> tuple[str, str] | None:
    coding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    try:
        # the last letter may be cut
        text = start.decode(coding, "strict" if len(start) < START else "ignore")
    except UnicodeDecodeError:
        return None
    text = text.lstrip("\ufeff \t\r\n")
    if not text or not all(letter.isprintable() or letter in "\t\r\n\f" for letter in text):
        return None
    begin = text[:64].lower()
    if begin.startswith(("<!doctype html", "<html")):
        return "a web page", LOST
    if begin.startswith("<"):
        return "an XML text", OTHER
    if begin.startswith(("{", "[")):
        return "a JSON text", OTHER
    return f"a text that starts with {text[:32]!r}", OTHER


def _is_safetensors(start: bytes) -> bool:
    """Tell whether there is a length, and JSON that tells of tensors."""
    size = int.from_bytes(start[:8], "little")
    if start[8:9] != b"{" or not 2 <= size < 2**27:
        return False
    if 8 + size > len(start):
        return b'"data_offsets"' in start
    try:
        return isinstance(json.loads(start[8 : 8 + size]), dict)
    except (ValueError, RecursionError):
        return False


def _unzipped(path: Path) -> bytes:
    try:
        with gzip.open(path) as stream:
            return stream.read(START)
    except (OSError, EOFError, zlib.error):  # damaged, which unpacking will tell
        return b""


def _zip_archive(path: Path) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a damaged zip archive", "copy or download it again"
    if any(name.endswith("data.pkl") for name in names):
        return "a PyTorch checkpoint", WEIGHTS
    if "[Content_Types].xml" in names:
        return "an Office document", OTHER
    return "a zip archive", PACKED
