import io
import struct

import numpy as np
import pytest
import torch

from mrirecon.errors import RawDataError
from mrirecon.readers import open_scan
from tests.readers.mrd_files import XML, MrdFile

ismrmrd = pytest.importorskip("ismrmrd")
COVARIANCE = np.array([[2.0, 0.5j], [-0.5j, 1.0]])


def serialized(file, *, config=True, close=True, extras=False):
    """The bytes that the reference library sends for a file."""
    stream = io.BytesIO()
    sender = ismrmrd.ProtocolSerializer(stream)
    if config:
        from ismrmrd.serialization import ConfigFile, ConfigText

        sender.serialize(ConfigFile("default.xml"))
        sender.serialize(ConfigText("<config/>"))
    xml = XML.format(**file.xml).encode()  # with an element that the library's parser refuses
    stream.write(struct.pack("<HI", 3, len(xml)) + xml)
    for number, (head, data) in enumerate(zip(file.heads, file.data, strict=True)):
        acquisition = ismrmrd.Acquisition(head.tobytes())
        acquisition.resize(data.shape[1], data.shape[0], 2 if extras else 0)
        acquisition.data[:] = data
        sender.serialize(acquisition)
        if extras and number % 5 == 0:
            sender.serialize(ismrmrd.Waveform.from_array(np.ones((2, 7), np.uint32)))
            image = ismrmrd.Image.from_array(np.ones((3, 4), np.float32), transpose=False)
            image.attribute_string = "<ismrmrdMeta/>"
            sender.serialize(image)
            sender.serialize(np.ones((2, 3), np.complex64))
            sender.serialize("a text")
    if close:
        sender.close()
    return stream.getvalue()


@pytest.mark.parametrize("config", [True, False])
def test_a_captured_stream_reads_like_the_file(tmp_path, config):
    file = MrdFile(shape=(2, 2, 16, 12)).noise(COVARIANCE).lines(slice_=1).lines(slice_=0)
    (tmp_path / "a.mrd").write_bytes(serialized(file, config=config, extras=not config))
    stream, stored = open_scan(tmp_path / "a.mrd"), open_scan(file.write(tmp_path / "a.h5"))
    assert stream.header.format == "MRD stream" and stream.header.whitened
    assert len(stream) == 2 and stream.header.geometry == stored.header.geometry
    for one, other in zip(stream, stored, strict=True):
        torch.testing.assert_close(one.kspace, other.kspace, rtol=1e-6, atol=1e-6)
    assert not any("not closed" in note for note in stream.header.notes)
    told = "no readouts were skipped: 18 array, 18 image, 18 waveform."
    assert any(told in note for note in stream.header.notes) == (not config)


def test_an_open_end_is_told_and_a_cut_one_refused(tmp_path):
    path, content = tmp_path / "a.mrd", serialized(MrdFile().lines(), close=False)
    path.write_bytes(content)
    assert any("not closed" in note for note in open_scan(path).header.notes)
    path.write_bytes(content[:-5])
    with pytest.raises(RawDataError, match="ends within the ACQUISITION message"):
        open_scan(path)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda one: one[:-2] + b"\x09\x00" + one[-2:], "unknown message id 9"),
        (lambda one: one[:-2] + one, "several headers"),
        (lambda one: one[: one.index(b"</ismrmrdHeader>") + 16], "a header and 0 acquisitions"),
    ],
)
def test_damaged_streams_are_refused(tmp_path, build, words):
    one = serialized(MrdFile().lines(), config=False)
    (tmp_path / "a.mrd").write_bytes(build(one))
    with pytest.raises(RawDataError, match=words):
        open_scan(tmp_path / "a.mrd")


def test_noise_from_a_stream(tmp_path):
    from mrirecon.read_options import ReadOptions

    noise = tmp_path / "noise.mrd"
    noise.write_bytes(serialized(MrdFile().noise(COVARIANCE)))
    image = MrdFile().lines().write(tmp_path / "a.h5")
    assert open_scan(image, ReadOptions(noise=str(noise))).header.whitened


def test_flipped_bytes_never_crash(tmp_path):
    content = bytearray(serialized(MrdFile().lines()))
    rng, path, refused = np.random.default_rng(0), tmp_path / "a.mrd", 0
    for _ in range(60):
        damaged = bytearray(content)
        for place in rng.integers(0, len(damaged), 4):
            damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(
            damaged[: rng.integers(1, len(damaged))] if rng.random() < 0.3 else damaged
        )
        before = path.read_bytes()
        try:
            for sample in open_scan(path):
                assert sample.kspace.isfinite().all()
        except RawDataError:
            refused += 1
        assert path.read_bytes() == before
    assert 5 < refused < 60
