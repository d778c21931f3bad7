"""Streams of MRD version 2 against the same readouts as an ISMRMRD file."""

import dataclasses
import io
import json
import pickle
import sys
import warnings

import h5py
import nibabel as nib
import numpy as np
import pytest
import torch

from mrirecon.commands.pipes import standard_input
from mrirecon.errors import RawDataError
from mrirecon.inspection import inspect_file
from mrirecon.raw.mrd_records import AcquisitionFlag
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from mrirecon.readers.mrd.cursor import Cursor
from mrirecon.readers.mrd.yardl_schema import Schema
from tests.commands import mrirecon
from tests.readers.mrd2_files import Mrd2Stream, acquisition_record, small_schema, varint, version2
from tests.readers.mrd_files import MrdFile
from tests.readers.test_ismrmrd_volumes import MrdVolume

COVARIANCE = np.array([[2.0, 0.5j], [-0.5j, 1.0]])
WAVEFORM = {"id": 3, "data": np.array([[1, 200, 70_000], [2**31, 0, 5]])}
IMAGE = {"meta": {"names": ["a", 2.5], "none": []}, "data": np.full((2, 3), 300)}


def multi_slice():
    file = MrdFile(shape=(2, 2, 16, 12)).noise(COVARIANCE, dwell=2.5)
    file.lines(slice_=1).lines(slice_=0, acquisition_time_stamp=7)
    return file


def averages_of_partial_echoes():
    file = MrdFile(xml={"vendor": "SIEMENS"})
    flags = (AcquisitionFlag.REVERSE,)
    for row in range(0, 12, 2):
        samples = file.oversampled[0][:, 6:, row]
        file.line(row, keep=slice(6, None), discard_pre=2, average=0)
        told = {"center_sample": 25 - 10, "discard_post": 1, "average": 1}
        file.add(np.ascontiguousarray(samples[:, ::-1]), flags, ky=row, **told)
    return file


def echoes_with_calibration():
    file = MrdFile(xml={"calibration": "separate"})
    file.lines(range(4, 9), flags=(AcquisitionFlag.PARALLEL_CALIBRATION,))
    for echo in (0, 1):
        file.lines(range(echo, 12, 2), gain=1 + echo, contrast=echo)
    return file


def volume():
    return MrdVolume((16, 12, 6)).noise(COVARIANCE).points()


FILES = [multi_slice, averages_of_partial_echoes, echoes_with_calibration, volume]


def told(header):
    """What a header tells that does not depend on the format; ``unknownElement`` is in the XML."""
    parts = {field.name: getattr(header, field.name) for field in dataclasses.fields(header)}
    notes = [note for note in header.notes if "unknownElement" not in note]
    # the record of version 2 always has a patient position, the XML header of the test has none
    return parts | {"notes": notes, "name": "", "format": "", "patient_position": None}


def assert_same(path, stored):
    one, other = open_scan(path), open_scan(stored)
    assert one.header.format == "MRD version 2"
    assert told(one.header) == told(other.header) and one.content() == other.content()
    for left, right in zip(one, other, strict=True):
        torch.testing.assert_close(left.kspace, right.kspace, rtol=1e-6, atol=1e-6)
        assert torch.equal(left.mask, right.mask) and torch.equal(left.acs, right.acs)
    return one


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.mrd"


@pytest.mark.parametrize("make", FILES)
def test_a_stream_reads_like_the_file(path, make):
    file = make()
    path.write_bytes(version2(file))
    scan = assert_same(path, file.write(path.with_suffix(".h5")))
    if make is multi_slice:
        assert scan.header.whitened and torch.equal(pickle.loads(pickle.dumps(scan))[1].kspace,
                                                    scan[1].kspace)  # fmt: skip
        assert scan.header.subject == "subject-1" and scan.header.acquisition == "tse_t2"
        assert scan.header.sequence.field_strength == 2.9 and scan.header.echo_times == (90, 180)


def without(records, name, inside="head"):
    """Records whose field, or field of their counters, is missing."""
    for _, record in records:
        place = record["head"] if inside == "head" else record["head"]["idx"]
        place[name] = None
    return records


def readouts(file):
    pairs = zip(file.heads, file.data, strict=True)
    return [("acquisition", acquisition_record(*pair)) for pair in pairs]


def test_what_may_be_missing_is_as_version_1_has_it(path):
    file = multi_slice()
    records = readouts(file)
    for name in ("kspaceEncodeStep2", "average", "contrast", "phase", "repetition", "set"):
        without(records, name, "idx")
    for name in ("scanCounter", "discardPre", "discardPost", "encodingSpaceRef", "channelOrder"):
        without(records, name)
    for number, (_, record) in enumerate(records):
        record["head"]["userInt"] = [-5] * (number % 12)
        record["head"]["userFloat"] = [1.5] * (number % 3)
        record["head"]["idx"]["user"] = [0] * (number % 10)
        record["head"]["physiologyTimeStampNs"] = [2**40] * (number % 5)
    path.write_bytes(version2(file, records=records))
    assert_same(path, file.write(path.with_suffix(".h5")))


@pytest.mark.parametrize("which", ["all", "noise"])
def test_an_echo_centre_that_is_missing_is_the_middle(path, which):
    file = multi_slice()
    records = readouts(file)
    for (_, record), head in zip(records, file.heads, strict=True):
        if which == "all" or head["flags"]:
            record["head"]["centerSample"] = None
    path.write_bytes(version2(file, records=records))
    scan, stored = open_scan(path), open_scan(file.write(path.with_suffix(".h5")))
    assert torch.equal(scan[1].kspace, stored[1].kspace)
    assert any("missing in 24 readouts" in note for note in scan.header.notes) == (which == "all")


def test_rows_are_matched_by_their_channels(path):
    """The noise scan has its channels the other way round; labels go by channel number."""
    file = multi_slice()
    records = readouts(file)
    for (_, record), head in zip(records, file.heads, strict=True):
        if head["flags"]:
            record["head"]["channelOrder"], record["data"] = [7, 4], record["data"][::-1]
        else:
            record["head"]["channelOrder"] = [4, 7]
    labels = [{"coilNumber": number, "coilName": f"C{number}"} for number in range(8)]
    system = {"coilLabel": labels, "relativeReceiverNoiseBandwidth": 0.8}
    header = {"acquisitionSystemInformation": system}
    path.write_bytes(version2(file, records=records, header=header))
    scan = open_scan(path)
    torch.testing.assert_close(
        scan[1].kspace, open_scan(file.write(path.with_suffix(".h5")))[1].kspace
    )
    assert dict(scan.measurement().header.coil_labels) == {0: "C4", 1: "C7"}


def test_labels_of_channels_without_an_image_are_kept(path):
    """The noise scan has three channels, the image two of them: names tell which."""
    file = MrdFile().noise(np.diag([1.0, 2.0, 3.0])).lines()
    labels = [{"coilNumber": number, "coilName": f"C{number}"} for number in range(3)]
    path.write_bytes(version2(file, header={"acquisitionSystemInformation": {"coilLabel": labels}}))
    scan = open_scan(path)
    assert scan.header.whitened and len(scan.measurement().header.coil_labels) == 3


def test_all_of_a_header_that_is_read_has_its_place(path):
    header = {
        "measurementInformation": {
            "measurementID": "m1", "patientPosition": "fFDR", "protocolName": "p",
            "measurementDependency": [{"dependencyType": "Noise", "measurementID": "m0"}],
        },
        "acquisitionSystemInformation": {"systemModel": "Model", "systemFieldStrengthT": 0.55},
        "experimentalConditions": {"h1resonanceFrequencyHz": 23_400_000},
        "sequenceParameters": {"tR": [5.1], "tE": [], "tI": [100.5], "flipAngleDeg": [12.3]},
        "userParameters": {"userParameterLong": [{"name": "PilotTone", "value": 1}]},
    }  # fmt: skip
    file = MrdFile().lines()
    file.xml["calibration"] = "other"
    content = version2(file, header=header)
    path.write_bytes(content)
    found = open_scan(path).measurement().header
    assert (found.measurement, found.patient_position) == ("m1", "FFDR")
    assert found.dependencies == (("Noise", "m0"),) and found.pilot_tone
    assert (found.model, found.field_strength, found.imaging_frequency) == ("Model", 0.55, 23.4)
    assert (found.repetition_times, found.inversion_times) == ((5.1,), (100.5,))
    assert (found.echo_times, found.flip_angles) == ((), (12.3,))
    (encoding,) = found.encodings
    assert encoding.calibration_mode == "other" and encoding.acceleration == (2.0, 1.0)
    schema = small_schema()
    modes = next(one for one in schema["types"] if one["name"] == "Calibration")["values"]
    modes[5]["symbol"], modes[0]["symbol"] = "noacceleration", "other"  # numbered otherwise
    path.write_bytes(content.replace(json.dumps(small_schema()).encode(), b"").replace(
        b"yardl", b"yardl", 1)[:9] + Mrd2Stream(schema).begin(None)[9:-1] + content[
        len(Mrd2Stream().begin(None)) - 1:])  # fmt: skip
    assert open_scan(path).measurement().header.encodings[0].calibration_mode is None


def test_other_items_are_skipped_and_told(path):
    file = MrdFile().lines()
    records = readouts(file)
    records[1:1] = [("waveformUint32", WAVEFORM), ("image", IMAGE)]
    records[7:7] = [("waveformUint32", WAVEFORM)]
    records[9][1]["phase"] = np.array([0.0, 0.5], np.float32)
    records[10][1]["phase"] = np.zeros(2, np.float32)
    path.write_bytes(version2(file, records=records))
    scan = open_scan(path)
    torch.testing.assert_close(scan[0].kspace, file.kspace[0], rtol=1e-5, atol=1e-5)
    assert (
        "Items of the stream that are no readouts were skipped: 1 image, 2 waveformUint32."
        in scan.header.notes
    )
    assert "The phase offsets of 1 readouts were not applied." in scan.header.notes


def test_acquisitions_without_a_head_of_their_own(path):
    """As MRD 2.0 had them, with times in the units of version 1."""
    file = multi_slice()
    schema = small_schema()
    by_name = {one["name"]: one for one in schema["types"]}
    head = [one for one in by_name["AcquisitionHeader"]["fields"]
            if not one["name"].endswith("Ns")]  # fmt: skip
    head += [
        {"name": "acquisitionTimeStamp", "type": [None, "uint32"]},
        {"name": "physiologyTimeStamp", "type": {"vector": {"items": "uint32"}}},
        {"name": "sampleTimeUs", "type": [None, "float32"]},
    ]
    by_name["Acquisition"]["fields"][:1] = head
    records = [(tag, record | record["head"] | {"phase": None}) for tag, record in readouts(file)]
    path.write_bytes(version2(file, schema, records=records))
    assert_same(path, file.write(path.with_suffix(".h5")))


def test_noise_from_a_stream(path):
    noise = MrdFile().noise(COVARIANCE).lines()
    path.write_bytes(version2(noise))
    image = MrdFile().lines().write(path.with_suffix(".h5"))
    scan = open_scan(image, ReadOptions(noise=str(path)))
    assert scan.header.whitened
    with pytest.raises(RawDataError, match="no readouts flagged as noise"):
        path.write_bytes(version2(MrdFile().lines()))
        open_scan(image, ReadOptions(noise=str(path)))


def test_the_end_of_a_stream(path):
    file = MrdFile().lines()
    path.write_bytes(version2(file, close=False))
    assert any("not closed" in note for note in open_scan(path).header.notes)
    path.write_bytes(version2(file) + b"more")
    assert any("4 bytes after the end" in note for note in open_scan(path).header.notes)
    path.write_bytes(2 * version2(file))
    with pytest.raises(RawDataError, match="several streams, expected one measurement; split it"):
        open_scan(path)


def test_a_cut_stream_is_refused_wherever_it_is_cut(path):
    content = version2(MrdFile(shape=(1, 1, 4, 2)).lines())
    for stop in [*range(5, 60, 7), *range(len(content) - 300, len(content) - 1, 5)]:
        path.write_bytes(content[:stop])
        with pytest.raises(RawDataError, match=r"scan.mrd: .*(truncated|expected)"):
            open_scan(path)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (varint(2**62), "announces at least"),
        (b"\xff" * 12, "more than 10 bytes"),
        (varint(70_000), "number of channels of an acquisition is 70000, expected 0 to 65535"),
    ],
)
def test_lengths_that_lie_are_refused_before_anything_is_made(path, value, words):
    file = MrdFile(shape=(1, 1, 4, 2)).lines()
    stream = Mrd2Stream()
    start = version2(file, records=[])[:-1]
    (_, record), *_ = readouts(file)
    head = b"\1\0" + stream.encode("Mrd.AcquisitionHeader", record["head"])
    zeros = b"" if value == varint(2**62) else bytes(8 * 70_000)
    path.write_bytes(start + head + value + varint(1) + zeros + b"\0\0\0\0")
    with pytest.raises(RawDataError, match=words):
        open_scan(path)


def schema_with(**types):
    """A schema in which some types are others."""
    schema = small_schema()
    for one in schema["types"]:
        one.update(types.get(one["name"], {}))
    return schema


FIELD = {"name": "head", "type": "Mrd.Acquisition"}
DEEP = {"array": {"items": "float32", "dimensions": [{"length": 2**40}] * 30}}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (small_schema(name="MrdNoiseCovariance"), r"protocol MrdNoiseCovariance .*expected Mrd"),
        (schema_with(Acquisition={"fields": [FIELD]}), "without an end"),
        (schema_with(Acquisition={"fields": []}), "a record without fields"),
        (schema_with(Waveform={"fields": [{"name": "a", "type": DEEP}]}), "values of more than"),
        (schema_with(Flags={"base": "float128"}), "KeyError: 'float128'"),
        (schema_with(Flags={"values": [{"value": [1], "symbol": "a"}]}), "TypeError"),
        (schema_with(StreamItem={"type": "float32"}), "items that are no union"),
        (schema_with(StreamItem={"type": []}), "a union without cases"),
        ({"protocol": {"name": "Mrd", "sequence": 3}, "types": []}, "TypeError"),
        ({"protocol": "Mrd"}, "cannot be understood"),
    ],
)
def test_schemas_of_another_kind_are_refused(path, schema, words):
    text = json.dumps(schema).encode()
    path.write_bytes(b"yardl\1\0\0\0" + varint(len(text)) + text + bytes(400))
    with pytest.raises(RawDataError, match=words) as refusal:
        open_scan(path)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"yardl\2\0\0\0", "MRD version 2: .* version 2 of yardl's encoding, expected 1"),
        (b"yardl\1\0\0\0" + varint(2**23) + bytes(2**23), "schema has 8388608 bytes"),
        (b"yardl\1\0\0\0\4\xff\xff\xff\xff", "UnicodeDecodeError"),
        (b'{"yardl":{"version":1,"schema":{}}}\n', "as text .NDJSON.*BinaryMrdWriter"),
        (Mrd2Stream().begin(None) + b"\0", "has no header"),
        (version2(MrdFile(), records=[("image", IMAGE)]), "no acquisitions .1 image"),
        (version2(MrdFile(), records=[]), "no acquisitions .nothing"),
        (version2(MrdFile(), header={"encoding": []}, records=[]), "no <encoding>"),
        (version2(MrdFile(), records=[])[:-1] + b"\1\7", "chooses case 7 of 3"),
    ],
)
def test_what_holds_no_readouts_is_named(path, content, words):
    path.write_bytes(content)
    with pytest.raises(RawDataError, match=words):
        open_scan(path)


def test_version_2_in_hdf5_is_named_with_its_converter(path):
    with h5py.File(path, "w") as file:
        file["Mrd/$yardl_schema"] = "{}"
    with pytest.raises(RawDataError, match=r"mrd_hdf5_to_stream scan\.mrd > scan\.mrd"):
        open_scan(path)


@pytest.mark.parametrize("kind", ["trajectory", "idx", "data", "position", "userFloat"])
def test_fields_of_another_kind_are_refused(path, kind):
    schema = small_schema()
    for one in schema["types"]:
        for field in one.get("fields", ()):
            if field["name"] == kind and one["name"].startswith("Acquisition"):
                field["type"] = {"vector": {"items": "string"}}
    records = readouts(MrdFile(shape=(1, 1, 4, 2)).lines())
    for _, record in records:
        for place in (record, record["head"]):
            if kind in place:
                place[kind] = ["a", "b"]
    path.write_bytes(version2(MrdFile(shape=(1, 1, 4, 2)), schema, records=records))
    with pytest.raises(RawDataError, match=r"of the stream is none of MRD version 2|its samples"):
        open_scan(path)


@pytest.mark.parametrize("dimensions", [None, 3, [{"name": "a"}, {"name": "b"}, {"name": "c"}]])
def test_arrays_of_all_kinds_are_walked_over(dimensions):
    """Behind an array of integers of different lengths comes a string."""
    values = np.array([[[5, 2**40], [0, 300]]] * 700)
    sizes = b"".join(map(varint, ([3] if dimensions is None else []) + [700, 2, 2]))
    content = sizes + b"".join(varint(int(one)) for one in values.flat) + b"\3end"
    array = {"items": "uint64"} | ({} if dimensions is None else {"dimensions": dimensions})
    cursor = Cursor(content)
    stored = Schema([]).kind({"array": array}).read(cursor, True)
    assert stored.shape == (700, 2, 2) and stored.dtype is None
    assert Schema([]).kind("string").read(cursor, True) == "end" and not cursor.left


@pytest.mark.parametrize(
    ("kind", "content", "value"),
    [("int64", b"\5", -3), ("date", b"\5", -3), ("bool", b"\1", True), ("int8", b"\xfd", -3)],
)
def test_integers_have_their_signs(kind, content, value):
    assert Schema([]).kind(kind).read(Cursor(content), True) == value


def test_images_and_their_places_are_those_of_the_file(tmp_path):
    file = multi_slice()
    (tmp_path / "two.mrd").write_bytes(version2(file))
    file.write(tmp_path / "one.h5")
    words = ("model=cg_sense", "formats=[nifti]", f"output={tmp_path}/out")
    mrirecon("reconstruct", f"input={tmp_path}", *words, folder=tmp_path)
    one, two = (nib.load(tmp_path / f"out/{name}.nii.gz") for name in ("one", "two"))
    np.testing.assert_allclose(two.get_fdata(), one.get_fdata(), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(two.affine, one.affine, atol=1e-6)


def test_a_piped_stream(monkeypatch):
    class Piped(io.TextIOWrapper):
        def isatty(self):
            return False

    monkeypatch.setattr(sys, "stdin", Piped(io.BytesIO(version2(multi_slice()))))
    with standard_input() as path:
        report = inspect_file(path)
    assert report.header.format == "MRD version 2" and report.header.name == "stdin"


def library():
    """The package mrd-python; a version of it uses what Python 3.12 warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return pytest.importorskip("mrd")


@pytest.mark.parametrize("make", FILES)
def test_streams_of_the_reference_library(path, make):
    """It reads what the tests write by its schema; what it then writes itself is read here."""
    mrd, file = library(), make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        path.with_suffix(".ours").write_bytes(version2(file, mrd.BinaryMrdReader.schema))
        with (
            mrd.BinaryMrdReader(str(path.with_suffix(".ours"))) as reader,
            mrd.BinaryMrdWriter(str(path)) as writer,
        ):
            header, items = reader.read_header(), list(reader.read_data())
            assert header.encoding[0].encoded_space.matrix_size.x == file.full
            assert len(items) == len(file.heads)
            waveform = mrd.WaveformUint32(data=WAVEFORM["data"].astype(np.uint32))
            image = mrd.ImageHeader(image_type=mrd.ImageType.MAGNITUDE)
            pixels = np.full((1, 1, 3, 4), 300, np.uint16)
            meta = {"a": [mrd.ImageMetaValue.String("b"), mrd.ImageMetaValue.Float64(0.5)]}
            bucket = mrd.AcquisitionBucket(data=[items[0].value], waveforms=[waveform])
            items[1:1] = [
                mrd.StreamItem.WaveformUint32(waveform),
                mrd.StreamItem.ImageUint16(mrd.Image(head=image, data=pixels, meta=meta)),
                mrd.StreamItem.AcquisitionBucket(bucket),
                mrd.StreamItem.ArrayComplexFloat(np.ones((2, 3), np.complex64)),
            ]
            writer.write_header(header)
            writer.write_data(iter(items))
    scan, stored = open_scan(path), open_scan(file.write(path.with_suffix(".h5")))
    assert any("skipped: 1 acquisitionbucket" in note.lower() for note in scan.header.notes)
    for left, right in zip(scan, stored, strict=True):
        torch.testing.assert_close(left.kspace, right.kspace, rtol=1e-6, atol=1e-6)
        assert torch.equal(left.mask, right.mask)
