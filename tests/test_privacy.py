"""Outputs tell nothing about whose data they are, unless that is asked for."""

import base64
import gzip
import re
import warnings
from dataclasses import replace

import h5py
import nibabel
import pydicom
import pytest
import torch

from mrirecon.commands import base
from mrirecon.commands.outputs import Outputs
from mrirecon.commands.provenance import told_command
from mrirecon.data.transforms import Normalize
from mrirecon.pipeline import Method, Request, assessed, run
from mrirecon.privacy import Disclosure, clean, identified, private_command, private_tree
from mrirecon.readers import open_scan
from mrirecon.reconstruction import Provenance, Reconstruction
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.sensitivity import Walsh
from mrirecon.simulation.raw_files import write_ismrmrd
from mrirecon.writers import WRITERS
from tests import scenes

NAME = "Mustermann"
WORDS = [
    "mrirecon", "reconstruct", f"input=/data/{NAME}, Erika/visit 1", f"output={NAME}_out",
    f"pattern={NAME}*/scan.h5", f"reading.noise='../{NAME}/noise.dat'", "model=cg_sense",
    f"checkpoint=C:\\{NAME}\\best.ckpt", "--config-dir", f"/home/{NAME}/conf",
    f"sensitivity.folder={NAME}", "sampling.acceleration=4", f"list=[a/{NAME},b]",
]  # fmt: skip


def everything(path):
    """All bytes of an output, also what is compressed or packed in it."""
    content = path.read_bytes()
    if path.name.endswith(".gz"):
        content += gzip.decompress(content)
    if path.suffix == ".html":
        for packed in re.findall(rb"base64,([^\"]+)", content):
            content += base64.b64decode(packed)
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            parts = [str(dict(file.attrs))]
            file.visititems(lambda _, item: parts.append(str(dict(item.attrs))))
            content += " ".join(parts).encode()
            if "dataset/image_0" in file:
                content += b" ".join(file["dataset/image_0/attributes"][:])
    return content


@pytest.fixture
def raw(tmp_path):
    """A file of a patient who is in the path and in the header."""
    path = tmp_path / f"{NAME}, Erika" / "visit 1" / "scan.h5"
    write_ismrmrd(path, scenes.scan(slices=1, coils=3, matrix=(24, 20)))
    with h5py.File(path, "r+") as file:
        xml = file["dataset/xml"][0].decode()
        del file["dataset/xml"]
        named = re.sub("<patientID>[^<]*<", f"<patientID>{NAME}^Erika<", xml)
        named = re.sub("<protocolName>[^<]*<", f"<protocolName>T1 {NAME}^Erika<", named)
        assert named.count(NAME) == 2
        file.create_dataset("dataset/xml", data=[named], dtype=h5py.string_dtype())
    return path


def outputs_of(path, folder, disclosure, monkeypatch):
    monkeypatch.setattr(base.sys, "orig_argv", ["python", *WORDS])
    monkeypatch.setattr(base.sys, "argv", WORDS[1:])
    checkpoint = path.with_name(f"{NAME}.ckpt").parent / "best.ckpt"
    checkpoint.write_bytes(b"weights")
    method = Method(
        CgSense(Walsh()), Normalize(), checkpoint=identified(checkpoint),
        config=f"input: {path.parent}\noutput: {NAME}\nmodel: {{a: 1, file: '/x/{NAME}/y.txt'}}\n",
    )  # fmt: skip
    outputs = Outputs(folder, list(WRITERS), [path], source=path.parents[1])
    scan = open_scan(path, folder=path.parents[1])
    command = told_command(disclosure, path.name)
    made = run(scan, method, Request(disclosure=disclosure, command=command))
    result = assessed(scan, made.results[0], method, made.seconds)
    for name in WRITERS:
        outputs.write(name, path, result)
    return [file for file in folder.rglob("*") if file.is_file()], result


def test_no_byte_of_any_output_tells_the_patient(raw, tmp_path, monkeypatch):
    files, result = outputs_of(raw, tmp_path / "out", Disclosure.PRIVATE, monkeypatch)
    assert len(files) == 7
    for file in files:
        content = everything(file)
        for secret in (NAME, "Erika", str(tmp_path)):
            assert secret.encode() not in content, (file, secret)
            assert secret.encode("utf-16-le") not in content
    made = result.provenance
    assert made.source == "scan.h5" and made.checkpoint.startswith("best.ckpt (SHA-256 ")
    assert "input=scan.h5" in made.command and "output=FOLDER" in made.command
    assert result.header.subject == f"anonymous-{made.fingerprint[:12]}"
    image = pydicom.dcmread(next(f for f in files if f.suffix == ".dcm"))
    assert image.PatientID == image.PatientName == result.header.subject
    assert image.ProtocolName == f"T1 {result.header.subject}"


def test_everything_is_told_when_asked_for(raw, tmp_path, monkeypatch):
    files, result = outputs_of(raw, tmp_path / "out", Disclosure.FULL, monkeypatch)
    named = [file for file in files if NAME.encode() in everything(file)]
    assert len(named) == 6  # all but the picture
    made = result.provenance
    assert made.source == str(raw.resolve()) and f"output={NAME}_out" in made.command
    image = pydicom.dcmread(next(f for f in files if f.suffix == ".dcm"))
    assert image.PatientID == f"{NAME}^Erika"


def test_command_lines_and_settings_lose_folders_and_keep_the_rest():
    words = private_command(WORDS, "scan.h5")
    assert not [word for word in words if NAME in word]
    assert words == [
        "mrirecon", "reconstruct", "input=scan.h5", "output=FOLDER", "pattern=scan.h5",
        "reading.noise=noise.dat", "model=cg_sense", "checkpoint=best.ckpt", "--config-dir",
        "FOLDER", "sensitivity.folder=FOLDER", "sampling.acceleration=4", "list=[FOLDER]",
    ]  # fmt: skip
    tree = {
        "output": NAME, "reading": {"noise": f"/a/{NAME}/n.h5", "axes": "h w coil"},
        "reconstruction": [f"{NAME}/a", f"b/{NAME}"], "model": {"_target_": "a.B", "x": 1.5},
        "checkpoint": None,
    }  # fmt: skip
    assert private_tree(tree) == {
        "output": "FOLDER", "reading": {"noise": "n.h5", "axes": "h w coil"},
        "reconstruction": ["FOLDER", "FOLDER"], "model": {"_target_": "a.B", "x": 1.5},
        "checkpoint": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "A\\B\\C",
        "tab\tline\nnul\0bell\a",
        "x" * 300,
        "Jörg 山田",
        "half \udc80",
        "￾ $x^2$ $",
        "^=^",
    ],
)
def test_text_of_headers_harms_no_output(text, tmp_path):
    """Control characters, backslashes, long, foreign and undecodable text."""
    header = scenes.scan(slices=1, matrix=(12, 10)).header
    named = {"acquisition": text, "vendor": text, "model": text, "patient_position": text}
    header = replace(header, **named, notes=(text,), subject=text, name="a.h5")
    made = Provenance(text, text, text, text, text)
    fields = {k: clean(v) for k, v in vars(made).items() if isinstance(v, str)}
    header = replace(header, **{k: clean(v) for k, v in named.items()},
                     notes=(clean(text),), subject=clean(text))  # fmt: skip
    result = Reconstruction(torch.rand(1, 1, 12, 10), header, replace(made, **fields))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        for name, form in WRITERS.items():
            form.write(tmp_path / f"{name}{form.suffix}", result)
    image = pydicom.dcmread(tmp_path / "dicom_dicom" / "0001.dcm")
    for tag in ("PatientID", "PatientName", "Manufacturer", "ManufacturerModelName",
                "ProtocolName", "SeriesDescription"):  # fmt: skip
        assert image[tag].VM <= 1 and len(str(image[tag].value)) <= 64, tag
    if text.startswith("A"):
        assert image.ProtocolName == "A/B/C"
    if text.startswith("J"):
        assert image.ProtocolName == text and image.Manufacturer == text
    nibabel.load(tmp_path / "nifti.nii.gz").header["descrip"].tobytes().decode()
