import pytest

from mrirecon.errors import RawDataError
from mrirecon.raw.header import parse_header

BODY = """<encoding>
  <encodedSpace><matrixSize><x>640</x><y>368.0</y><z>0</z></matrixSize>
    <fieldOfView_mm><x>560</x><y>nan</y><z>four</z></fieldOfView_mm></encodedSpace>
  <encodingLimits><kspace_encoding_step_1><maximum>300</maximum></kspace_encoding_step_1>
  </encodingLimits>
  <trajectory>Cartesian</trajectory>
  <parallelImaging><calibrationMode>embedded</calibrationMode></parallelImaging>
  <surprise><deep/></surprise>
</encoding>
<encoding><trajectory>epi</trajectory></encoding>
<acquisitionSystemInformation><coilLabel><coilNumber>3</coilNumber><coilName>H1</coilName>
</coilLabel></acquisitionSystemInformation>
<measurementInformation><measurementDependency><dependencyType>Noise</dependencyType>
<measurementID>m7</measurementID></measurementDependency></measurementInformation>
<sequenceParameters><TR>500</TR><TE>10</TE><TE>?</TE><TE>20</TE></sequenceParameters>"""


@pytest.mark.parametrize(
    "wrap",
    [
        "<ismrmrdHeader>{}</ismrmrdHeader>",
        '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">{}</ismrmrdHeader>',
        '\ufeff<?xml version="1.0" encoding="ascii"?>\n<a:h xmlns:a="u">{}</a:h>\x00\n',
    ],
)
@pytest.mark.parametrize("encode", [str, str.encode])
def test_namespaces_and_unknown_elements_do_not_matter(wrap, encode):
    header = parse_header(encode(wrap.format(BODY)))
    first, second = header.encodings
    assert first.encoded.matrix == (640, 368, None)
    assert first.encoded.field_of_view == (560.0, None, None)
    assert first.recon.matrix == (None, None, None)
    limits = first.limits["kspace_encoding_step_1"]
    assert (limits.minimum, limits.maximum, limits.center) == (None, 300, None)
    assert (first.trajectory, second.trajectory) == ("cartesian", "epi")
    assert first.calibration_mode == "embedded" and second.calibration_mode is None
    assert header.coil_labels == {3: "H1"} and header.dependencies == (("Noise", "m7"),)
    assert header.echo_times == (10.0, 20.0) and header.sequence.repetition_time == 500.0
    assert header.vendor is None and header.sequence.flip_angle is None


@pytest.mark.parametrize("text", ["", "no xml", "<a><b></a>", "<a/>", b"\xff\xfe"])
def test_what_is_no_header_is_refused(text):
    with pytest.raises(RawDataError, match="XML header"):
        parse_header(text)


def test_a_document_type_is_refused():
    """Entities of entities would expand to any size."""
    bomb = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><ismrmrdHeader>&b;</ismrmrdHeader>'
    with pytest.raises(RawDataError, match="document type"):
        parse_header(bomb)
