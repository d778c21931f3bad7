"""Writes small streams of MRD version 2, by a small schema or by any other one."""

import json
import re
import struct
from xml.etree import ElementTree

import numpy as np

from mrirecon.raw.mrd_records import ENCODING_COUNTERS
from tests.readers.mrd_files import XML

FIELDS = {
    "Header": "subjectInformation:Subject? measurementInformation:Measurement? "
    "acquisitionSystemInformation:System? experimentalConditions:Conditions encoding:Encoding* "
    "sequenceParameters:Sequence? userParameters:UserParameters?",
    "Subject": "patientName:string? patientID:string? patientBirthdate:date?",
    "Measurement": "measurementID:string? patientPosition:Position protocolName:string? "
    "measurementDependency:Dependency*",
    "Dependency": "dependencyType:string measurementID:string",
    "System": "systemVendor:string? systemModel:string? systemFieldStrengthT:float32? "
    "relativeReceiverNoiseBandwidth:float32? coilLabel:CoilLabel*",
    "CoilLabel": "coilNumber:uint32 coilName:string",
    "Conditions": "h1resonanceFrequencyHz:int64",
    "Sizes": "x:uint32 y:uint32 z:uint32",
    "Lengths": "x:float32 y:float32 z:float32",
    "Space": "matrixSize:Sizes fieldOfViewMm:Lengths",
    "Limit": "minimum:uint32 maximum:uint32 center:uint32",
    "Limits": "kspaceEncodingStep0:Limit? kspaceEncodingStep1:Limit? kspaceEncodingStep2:Limit? "
    "contrast:Limit? slice:Limit? user3:Limit?",
    "Acceleration": "kspaceEncodingStep1:uint32 kspaceEncodingStep2:uint32",
    "Multiband": "multibandFactor:uint32",
    "Parallel": "accelerationFactor:Acceleration calibrationMode:Calibration? multiband:Multiband?",
    "Encoding": "encodedSpace:Space reconSpace:Space encodingLimits:Limits trajectory:Trajectory "
    "parallelImaging:Parallel? echoTrainLength:int64?",
    "Sequence": "tR:float32* tE:float32* tI:float32* flipAngleDeg:float32*",
    "UserLong": "name:string value:int64",
    "UserParameters": "userParameterLong:UserLong*",
    "Counters": "kspaceEncodeStep1:uint32? kspaceEncodeStep2:uint32? average:uint32? slice:uint32? "
    "contrast:uint32? phase:uint32? repetition:uint32? set:uint32? segment:uint32? user:uint32*",
    "AcquisitionHeader": "flags:Flags idx:Counters measurementUid:uint32 scanCounter:uint32? "
    "acquisitionTimeStampNs:uint64? physiologyTimeStampNs:uint64* channelOrder:uint32* "
    "discardPre:uint32? discardPost:uint32? centerSample:uint32? encodingSpaceRef:uint32? "
    "sampleTimeNs:uint64? position:float32[3] readDir:float32[3] phaseDir:float32[3] "
    "sliceDir:float32[3] patientTablePosition:float32[3] userInt:int32* userFloat:float32*",
    "Acquisition": "head:AcquisitionHeader data:complexfloat32[,] phase:float32[.]? "
    "trajectory:float32[,]",
    "Image": "meta:Meta data:uint16[,]",
}
"""Names and types: ``?`` is optional, ``*`` a vector; ``[3]``, ``[.]``, ``[,]`` arrays."""
SYMBOLS = {
    "Position": ("int32", "hFP hFS hFDR hFDL fFP fFS fFDR fFDL"),
    "Trajectory": ("int32", "cartesian epi radial goldenangle spiral other"),
    "Calibration": ("int32", "noacceleration embedded interleaved separate external other"),
    "Flags": ("uint64", ""),
}
ITEMS = ("acquisition:Acquisition", "waveformUint32:WaveformUint32", "image:Image")
FORMER = {"tR": "TR", "tE": "TE", "tI": "TI", "multibandFactor": "multiband_factor"}
UNITS = {"Mm": "_mm", "T": "_T", "Deg": "_deg", "Hz": "_Hz"}


def parsed(word):
    """The type that a word of ``FIELDS`` stands for."""
    if word.endswith("?"):
        return [None, parsed(word[:-1])]
    if word.endswith("*"):
        return {"vector": {"items": parsed(word[:-1])}}
    if word.endswith("]"):
        items, _, axes = word[:-1].partition("[")
        axes = [{"length": int(axes)}] if axes.isdigit() else [{"name": "a"}, {"name": "b"}]
        return {"array": {"items": items, "dimensions": axes[: 1 if word[-2] == "." else 2]}}
    return f"Mrd.{word}" if word[0].isupper() else word


def small_schema(items=ITEMS, name="Mrd"):
    """A schema of the parts of MRD 2.2 that matter, with some that do not."""
    types = [
        {"name": one, "fields": [dict(zip(("name", "type"), (n, parsed(t)), strict=True))
                                 for n, _, t in (word.partition(":") for word in text.split())]}
        for one, text in FIELDS.items()
    ]  # fmt: skip
    for one, (base, symbols) in SYMBOLS.items():
        values = [{"symbol": s, "value": number} for number, s in enumerate(symbols.split())]
        types.append({"name": one, "base": base, "values": values})
    either = [{"tag": "text", "type": "string"}, {"tag": "number", "type": "float64"}]
    meta = {"map": {"keys": "string", "values": {"vector": {"items": either}}}}
    generic = {"array": {"items": "T", "dimensions": 2}}
    waveform = [{"name": "id", "type": "uint32"}, {"name": "data", "type": generic}]
    made = {"name": "Mrd.Waveform", "typeArguments": ["uint32"]}
    union = [
        {"tag": tag, "type": parsed(kind)} for tag, _, kind in (i.partition(":") for i in items)
    ]
    types += [
        {"name": "Meta", "type": meta},
        {"name": "Waveform", "typeParameters": ["T"], "fields": waveform},
        {"name": "WaveformUint32", "type": made},
        {"name": "StreamItem", "type": union},
    ]
    steps = [
        {"name": "header", "type": [None, "Mrd.Header"]},
        {"name": "data", "type": {"stream": {"items": "Mrd.StreamItem"}}},
    ]
    return {"protocol": {"name": name, "sequence": steps}, "types": types}


def varint(value):
    """Seven bits per byte, the lowest ones first."""
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def signed(value):
    return varint(value << 1 if value >= 0 else -(value << 1) - 1)


ARRAYS = {"float32": "<f4", "complexfloat32": "<c8", "float64": "<f8"}


class Mrd2Stream:
    """A stream in the making; ``head``, ``step`` and ``end`` return its bytes."""

    def __init__(self, schema=None):
        self.text = schema if isinstance(schema, str) else json.dumps(schema or small_schema())
        self.schema = json.loads(self.text)
        self.types = {one["name"]: one for one in self.schema["types"]}

    def begin(self, header):
        """What comes before the items; ``header`` is a record, or None."""
        text = self.text.encode()
        start = b"yardl" + struct.pack("<i", 1) + varint(len(text)) + text
        return start + self.encode([None, "Mrd.Header"], header)

    def item(self, tag, value, alone=True):
        """One item, in a block of its own when it is ``alone``."""
        cases = self.types["StreamItem"]["type"]
        number = [one["tag"].lower() for one in cases].index(tag.lower())
        start = bytes([1, number] if alone else [number])
        return start + self.encode(cases[number]["type"], value)

    def fields(self, name):
        return [(one["name"], one["type"]) for one in self.types[name]["fields"]]

    def encode(self, told, value, given=()):
        """The bytes of a value; what is None is as little as there may be."""
        given = dict(given)
        if isinstance(told, list):
            return b"\0" if value is None else self._case(told, value, given)
        if isinstance(told, str) and told not in given:
            name = told.rpartition(".")[2]
            return self._named(name, value, {}) if name in self.types else simple(told, value)
        if isinstance(told, str):
            return self.encode(given[told], value)
        if "name" in told:
            name = told["name"].rpartition(".")[2]
            names = self.types[name]["typeParameters"]
            arguments = dict(zip(names, told["typeArguments"], strict=True))
            return self._named(name, value, arguments)
        ((form, inside),) = told.items()
        if form == "vector":
            values = [] if value is None else list(value)
            every = b"".join(self.encode(inside["items"], one, given) for one in values)
            return varint(len(values)) + every
        if form == "map":
            pairs = [
                self.encode(inside["keys"], key) + self.encode(inside["values"], one)
                for key, one in (value or {}).items()
            ]
            return varint(len(pairs)) + b"".join(pairs)
        return self._array(inside, value, given)

    def _case(self, told, value, given):
        if told[0] is None:
            return b"\1" + self.encode(told[1], value, given)
        kinds = [str if one["type"] == "string" else float for one in told]
        number = kinds.index(type(value))
        return bytes([number]) + self.encode(told[number]["type"], value)

    def _named(self, name, value, given):
        one = self.types[name]
        if "fields" in one:
            return b"".join(
                self.encode(told, (value or {}).get(field), given)
                for field, told in self.fields(name)
            )
        if "values" in one:
            numbers = {v["symbol"]: v["value"] for v in one["values"]}
            return simple(one.get("base", "int32"), numbers.get(value, value))
        return self.encode(one["type"], value, given)

    def _array(self, inside, value, given):
        items = given.get(inside["items"], inside["items"])
        axes = inside.get("dimensions")
        count = len(axes) if isinstance(axes, list) else axes
        fixed = isinstance(axes, list) and "length" in axes[0]
        if value is None:
            value = np.zeros([axes[0]["length"]] if fixed else [0] * (count or 1))
        value = np.asarray(value)
        start = b"" if fixed else b"".join(map(varint, value.shape))
        start = start if count is not None else varint(value.ndim) + start
        if items in ARRAYS:
            return start + value.astype(ARRAYS[items]).tobytes()
        return start + b"".join(simple(items, int(one)) for one in value.flat)


def simple(name, value):
    if name == "string":
        text = (value or "").encode()
        return varint(len(text)) + text
    if name in ("float32", "float64"):
        return struct.pack("<f" if name == "float32" else "<d", value or 0)
    return (varint if name.startswith(("uint", "size")) else signed)(int(value or 0))


def header_record(stream, file, **changes):
    """The header of an MrdFile, as a record."""
    xml = getattr(file, "template", XML).format(**file.xml)
    root = ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", xml))
    return _record(stream, "Mrd.Header", root) | changes


def _record(stream, told, element):
    found = {}
    for name, kind in stream.fields(told.rpartition(".")[2]):
        former = re.sub(r"^(kspaceEncodingStep|user)(\d)$", r"\1_\2", FORMER.get(name, name))
        former = former.replace("kspaceEncodingStep", "kspace_encoding_step")
        former = re.sub("(Mm|T|Deg|Hz)$", lambda unit: UNITS[unit[1]], former).replace("h1", "H1")
        inside = kind[1] if isinstance(kind, list) else kind
        if isinstance(inside, dict):
            inside = inside["vector"]["items"]
            values = [_value(stream, inside, one) for one in element.findall(former)]
            found[name] = values
        elif (one := element.find(former)) is not None:
            found[name] = _value(stream, inside, one)
    return found


def _value(stream, told, element):
    name = told.rpartition(".")[2]
    if "fields" in stream.types.get(name, ()):
        return _record(stream, told, element)
    if name in stream.types:
        symbols = [one["symbol"] for one in stream.types[name]["values"]]
        return next(one for one in symbols if one.lower() == element.text.lower())
    return element.text if told == "string" else float(element.text)


def acquisition_record(head, data, trajectory=None, **changes):
    """A readout of an MrdFile, as a record; ``changes`` are of its head."""
    idx = {re.sub(r"_([a-z])", lambda m: m[1].upper(), name.replace("_1", "1").replace("_2", "2")):
           head["idx"][name].tolist() for name in ENCODING_COUNTERS.names}  # fmt: skip
    dwell, stamp = float(head["sample_time_us"]), int(head["acquisition_time_stamp"])
    told = {
        "flags": int(head["flags"]),
        "idx": idx,
        "scanCounter": int(head["scan_counter"]),
        "acquisitionTimeStamp": stamp,
        "acquisitionTimeStampNs": stamp * 10**6,
        "channelOrder": range(len(data)),
        "discardPre": int(head["discard_pre"]),
        "discardPost": int(head["discard_post"]),
        "centerSample": int(head["center_sample"]),
        "encodingSpaceRef": int(head["encoding_space_ref"]),
        "sampleTimeUs": dwell,
        "sampleTimeNs": round(1000 * dwell),
        "position": head["position"],
        "readDir": head["read_dir"],
        "phaseDir": head["phase_dir"],
        "sliceDir": head["slice_dir"],
        "userInt": head["user_int"],
        "userFloat": head["user_float"],
    }
    phase = changes.pop("phase", None)
    return {"head": told | changes, "data": data, "phase": phase, "trajectory": trajectory}


def version2(file, schema=None, *, header=None, records=None, close=True, **changes):
    """The bytes of an MrdFile as a stream of version 2.

    Args:
        file: An MrdFile.
        schema: Schema to write by.
        header: Changes of the header's record.
        records: Items of the stream, ``(tag, value)``; the file's readouts when it is None.
        close: Whether the end is marked.
        changes: Changes of the heads of all readouts.
    """
    stream = Mrd2Stream(schema)
    if records is None:
        readouts = zip(file.heads, file.data, strict=True)
        records = [("acquisition", acquisition_record(*one, **changes)) for one in readouts]
    parts = [stream.begin(header_record(stream, file, **(header or {})))]
    parts += [stream.item(*one) for one in records[:2]]
    block = [stream.item(*one, alone=False) for one in records[2:]]  # the rest is in one block
    parts += [varint(len(block)), *block] if block else []
    return b"".join([*parts, b"\0" if close else b""])
