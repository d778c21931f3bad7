"""What is decided alike for the readouts of Cartesian and other acquisitions."""

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.acquisition import Fetch
from mrirecon.raw.checks import select_encoding
from mrirecon.raw.header import MeasurementHeader
from mrirecon.raw.readouts import Heads, LineKinds, classify
from mrirecon.raw.whitening import NoiseScan, Whitening, noise_scan, whitening

NO_NOISE = "There is no noise scan"


def imaging_kinds(header: MeasurementHeader, heads: Heads) -> LineKinds:
    """Sort readouts into kinds.

    Raises:
        RawDataError: When none of them makes an image.
    """
    # the calibration mode is a property of the encoding that the imaging lines use
    kinds = classify(heads, None)
    if not len(kinds.imaging):
        found = {"noise": len(kinds.noise), "calibration": len(kinds.calibration)} | kinds.dropped
        text = ", ".join(f"{count} {name}" for name, count in found.items() if count)
        raise RawDataError(
            f"none of the {len(heads)} readouts is an imaging line (found: {text or 'nothing'}). "
            "Is this a noise or calibration scan? Give the file of the imaging measurement"
        )
    return classify(heads, select_encoding(header, heads[kinds.imaging]).calibration_mode)


def conjugated(header: MeasurementHeader, fourier_sign: int | None) -> tuple[bool, str]:
    """Tell whether the Fourier sign is the opposite of ours, and what to say about it."""
    if fourier_sign is not None:
        return fourier_sign < 0, ""
    if "siemens" not in (header.vendor or "").lower():
        return False, ""
    return True, "Siemens' Fourier sign was converted: k-space is conjugated."


def without_pilot_tone(heads: Heads) -> Heads:
    """Discard the first three samples and the last, where OCMR's pilot tone is.

    (Chen et al., OCMR (v1.0), arXiv:2008.03410, and its reference reader.)
    """
    heads = heads.copy()
    heads["discard_pre"] = np.maximum(heads["discard_pre"], 3)
    heads["discard_post"] = np.maximum(heads["discard_post"], 1)
    return heads


def whitening_of_a_line(
    header: MeasurementHeader,
    heads: Heads,
    kinds: LineKinds,
    fetch: Fetch,
    noise: NoiseScan | None,
) -> tuple[Whitening | None, list[str]]:
    """Return what whitens a single readout, None without usable noise, and what was noticed.

    Args:
        header: Header of the measurement.
        heads: Headers of all readouts.
        kinds: Numbers of the readouts of each kind.
        fetch: Function that returns readouts by number.
        noise: Noise scan that is used instead of the noise readouts among ``heads``.
    """
    lines = heads[kinds.imaging]
    if noise is None and not len(kinds.noise):
        elsewhere = [name for kind, name in header.dependencies if kind.lower() == "noise"]
        where = f" (it refers to measurement {elsewhere[0]})" if elsewhere else ""
        return None, [f"{NO_NOISE}{where}: k-space is not whitened."]
    dwell = float(np.median(lines["sample_time_us"]))
    labels, notes = header.coil_labels, []
    try:
        if noise is None:
            noise = noise_scan(fetch(kinds.noise), labels, "of the same measurement")
        else:
            notes.append(f"The noise scan was taken from {noise.origin}.")
            if not (noise.labels and labels):
                notes.append(
                    "Coil names are missing: the channels of noise scan and image were matched by "
                    "number, which is wrong when their order differs."
                )
        coils = int(lines["active_channels"][0])
        result = whitening(noise, coils, labels, dwell, header.noise_bandwidth)
    except RawDataError as error:
        return None, [*notes, f"K-space is not whitened: {error}."]
    return result, [*notes, *result.notes]
