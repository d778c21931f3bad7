"""ISMRMRD files as two public collections have them: OCMR and mridata.org."""

import h5py
import numpy as np
import pytest
import torch

from mrirecon.readers import open_scan
from tests.readers.mrd_files import XML, MrdFile

PILOT = """<userParameters><userParameterLong><name>PilotTone</name><value>1</value>
</userParameterLong></userParameters><waveformInformation><waveformName>ECG1</waveformName>
<waveformType>ecg</waveformType><userParameters><userParameterLong><name>TriggerChannel</name>
<value>0</value></userParameterLong></userParameters></waveformInformation></ismrmrdHeader>"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.h5"


def close(actual, expected, tolerance=1e-5):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def write_ocmr(path, pilot=True):
    """Cine with k-t undersampling and no calibration lines, with an ECG block beside the data."""
    file = MrdFile(shape=(1, 2, 32, 12), xml={"vendor": "SIEMENS", "center": 6})
    for phase in range(3):
        for row in range(phase, 12, 3):
            file.line(row, phase=phase, user=[0, 0, 0, 0, 0, 6, 0, 0])
            if pilot:
                file.data[-1][:, :3] = file.data[-1][:, -1:] = 1e3
    file.write(path)
    with h5py.File(path, "a") as stored:
        xml = XML.format(**file.xml)
        stored["dataset/xml"][0] = xml.replace("</ismrmrdHeader>", PILOT) if pilot else xml
        head = np.dtype([("version", "<u2"), ("flags", "<u8"), ("number_of_samples", "<u2")])
        stored["dataset/waveforms"] = np.zeros(4, [("head", head)])
    return file


def test_ocmr_cine_without_calibration_lines(path):
    file = write_ocmr(path, pilot=False)
    scan = open_scan(path)
    assert [frame.phase for frame in scan.header.frames] == [0, 1, 2] and len(scan) == 3
    for phase, sample in enumerate(scan):
        mask = torch.arange(12) % 3 == phase
        assert (sample.mask == mask).all()
        close(sample.kspace, file.conjugated(0) * mask)
        close(sample.calibration, file.conjugated(0))  # the mean over time is complete
    assert any("mean over time" in note for note in scan.header.notes)


def test_the_pilot_tone_of_ocmr_is_left_out(path):
    write_ocmr(path)
    scan = open_scan(path)
    assert any("pilot tone" in note for note in scan.header.notes)
    assert scan[0].mask.shape == (32, 12)  # readouts are no longer complete
    assert scan[0].kspace.abs().max() < 100  # the tone was 1000 in every line


def test_mridata_ge_files_without_a_centre_and_with_two_lengths(path):
    """center_sample 0 throughout, limits counted from 1, some readouts shorter than the others."""
    file = MrdFile(xml={"vendor": "GE", "maximum": 12})
    file.lines(range(0, 12, 2), center_sample=0)
    for row in range(1, 12, 2):
        file.line(row, keep=slice(8, 24), center_sample=0)
    scan = open_scan(file.write(path))
    assert any("center_sample is 0" in note for note in scan.header.notes)
    sample = scan[0]
    assert sample.mask[:, ::2].all() and not sample.mask[:, 1::2].all()
    close(sample.kspace[:, :, ::2], file.kspace[0][:, :, ::2])
