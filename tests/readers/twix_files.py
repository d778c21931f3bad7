"""Writes small Siemens twix files, VB and multi-RAID, whose true k-space is known."""

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.readers.mrd_files import MrdFile

RAID_TABLE = 10240
QUATERNION = (0.5**0.5, 0.0, 0.0, 0.5**0.5)  # phase along +y, read along -x, slice along +z
COUNTERS = ("Lin", "Ave", "Sli", "Par", "Eco", "Phs", "Rep", "Set", "Seg")
COUNTERS += ("Ida", "Idb", "Idc", "Idd", "Ide")

PROTOCOL = {
    "tSequenceFileName": '"%SiemensSeq%\\\\gre"',
    "sKSpace.ucTrajectory": 1,
    "sKSpace.ucDimension": 2,
    "sSliceArray.asSlice[0].dThickness": 5.0,
    "alTR[0]": 8000,
    "alTE[0]": 3000,
    "alTI[0]": 300000,
    "sPrepPulses.ucInversion": 4,
    "adFlipAngleDegree[0]": 20.0,
    "sRXSPEC.alDwellTime[0]": 10000,
    "sPat.ucRefScanMode": "0x2",
    "sPat.lAccelFactPE": 2,
}


def coil_list(names, adc, path="sCoilSelectMeas.aRxCoilSelectData[0].asList"):
    """Return the protocol's list of coil elements."""
    found = {}
    for i, (name, channel) in enumerate(zip(names, adc, strict=True)):
        found[f"{path}[{i}].lRxChannelConnected"] = 1
        found[f"{path}[{i}].lADCChannelConnected"] = channel
        found[f"{path}[{i}].sCoilElementID.tCoilID"] = '"Head"'
        found[f"{path}[{i}].sCoilElementID.tElement"] = f'"{name}"'
    return found


@dataclass
class TwixMeasurement:
    """One measurement in the making: protocol entries and readouts."""

    vb: bool = False
    name: str = "gre test"
    uid: int = 7
    protocol: dict = field(default_factory=dict)
    derived: dict = field(default_factory=dict)
    channels: tuple = ()
    packets: list = field(default_factory=list)

    def add(self, samples, mask=0, center=None, center_lin=0, slice_position=(0, 0, 0), **counters):
        """Append a readout (coil, sample) with MDH bits and counters."""
        coils, count = samples.shape
        center = count // 2 if center is None else center
        cut = counters.pop("cut", (0, 0))
        center_par = counters.pop("center_par", 0)
        numbers = [counters.pop(name, 0) for name in COUNTERS]
        assert not counters
        data = np.ascontiguousarray(samples, "<c8")
        ids = self.channels or tuple(range(coils))
        place = (*slice_position, *QUATERNION)
        number = len(self.packets) + 1
        if self.vb:
            packet = b""
            for i in range(coils):
                packet += struct.pack(
                    "<IiIIIQHH14H2HHHfIHH4H4H3f4fHH",
                    *(128 + 8 * count, self.uid, number, 1000, 500, mask, count, coils, *numbers),
                    *(*cut, center, 0, 0.0, 12, center_lin, center_par, *range(4), *[0] * 4),
                    *(*place, ids[i], 0),
                )
                packet += data[i].tobytes()
        else:
            length = 192 + coils * (32 + 8 * count)
            packet = struct.pack(
                "<IiIIIHHiiiiQHH14H2HHHfIHH3f4f24H4HHHI",
                *(length, self.uid, number, 1000, 500, 0, 0, 1, 2, 3, 0, mask, count, coils),
                *(*numbers, *cut, center, 0, 0.0, 12, center_lin, center_par, *place),
                *(*range(24), *[0] * 4, 0, 0, 0),
            )
            for i in range(coils):
                packet += struct.pack("<IiIiIIHHI", 2, self.uid, number, 0, 0, 0, ids[i], 0, 0)
                packet += data[i].tobytes()
        self.packets.append(packet)
        return self

    def sync(self, size=64):
        """Append a packet without samples, as physiological recordings make."""
        head = 128 if self.vb else 192
        start = struct.pack("<Ii", head + size, 0) + bytes(12 if self.vb else 32)
        packet = (start + struct.pack("<Q", 1 << 5)).ljust(head + size, b"\0")
        self.packets.append(packet)
        return self

    def bytes(self):
        """Return the measurement as it stands in a file."""
        yaps = "### ASCCONV BEGIN ###\n"
        yaps += "".join(f"{key}\t = \t{value}\n" for key, value in self.protocol.items())
        yaps += "\n### ASCCONV END ###\n"
        meas = "".join(f'<ParamDouble."{k}">  {{ {v} }}\n' for k, v in self.derived.items())
        meas += f'<ParamString."tProtocolName">  {{ "{self.name}" }}\n'
        meas += '<ParamString."tPatientPosition">  { "HFS" }\n'
        buffers = b""
        for name, text in (("Config", ""), ("Meas", meas), ("MeasYaps", yaps)):
            buffers += name.encode() + b"\0" + struct.pack("<I", len(text)) + text.encode()
        length = -(-(8 + len(buffers)) // 32) * 32
        header = (struct.pack("<II", length, 3) + buffers).ljust(length, b"\0")
        head = 128 if self.vb else 192
        before = struct.pack("<Ii", head + 160, self.uid) + bytes(12 if self.vb else 32)
        end = (before + struct.pack("<Q", 1)).ljust(head + 160, b"\0")
        return header + b"".join(self.packets) + end


def imaging(truth: MrdFile, *, lines=None, mask=0, vb=False, **changes) -> TwixMeasurement:
    """Return a measurement with all lines of the true image, with Siemens' Fourier sign."""
    slices, _, h, w = truth.shape
    protocol = PROTOCOL | {
        "sKSpace.lBaseResolution": h,
        "sKSpace.lPhaseEncodingLines": w,
        "sSliceArray.asSlice[0].dReadoutFOV": 2.0 * h,
        "sSliceArray.asSlice[0].dPhaseFOV": 2.0 * w,
    }
    made = TwixMeasurement(vb=vb, **changes)
    made.protocol = protocol | made.protocol
    made.derived = {
        "iNoOfFourierColumns": truth.full,
        "flReadoutOSFactor": 2.0,
        "flMagneticFieldStrength": 2.89,
        "NImageCols": h,
        "NImageLins": w,
    } | made.derived
    for slice_ in range(slices):
        for row in range(w) if lines is None else lines:
            samples = truth.oversampled[slice_][:, :, row].conj()
            position = (1.0, 2.0, 3.0 + 7.0 * slice_)
            made.add(samples, mask, None, w // 2, position, Lin=row, Sli=slice_)
    return made


def write(path: Path, *measurements: TwixMeasurement) -> Path:
    """Write a file: multi-RAID unless its only measurement is VB."""
    if measurements[0].vb:
        path.write_bytes(measurements[0].bytes())
        return path
    table, body = struct.pack("<II", 0, len(measurements)), b""
    for number, measurement in enumerate(measurements):
        body = body.ljust(-(-len(body) // 512) * 512, b"\0")
        content = measurement.bytes()
        entry = struct.pack("<IIQQ", measurement.uid, number, RAID_TABLE + len(body), len(content))
        table += entry + b"x".ljust(64, b"\0") + measurement.name.encode().ljust(64, b"\0")
        body += content
    path.write_bytes(table.ljust(RAID_TABLE, b"\0") + body)
    return path
