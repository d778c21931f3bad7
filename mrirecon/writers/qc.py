"""One self-contained page on which a person judges a reconstruction."""

from html import escape
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mrirecon.figures import quality_pictures as draw, top_of_grey
from mrirecon.files import Kind
from mrirecon.pages import Text, columns, document, picture, section, table, written
from mrirecon.quality import LARGEST_MISFIT, Added, Quality
from mrirecon.reconstruction import Reconstruction
from mrirecon.writers.facts import instruction, run_facts, scan_facts
from mrirecon.writers.png import overview
from mrirecon.writers.quantities import NAMINGS


def write_qc(path: Path, result: Reconstruction, *, overwrite: bool = False) -> None:
    """Write the quality page as one HTML file without scripts or links to elsewhere."""
    written(path, page(result), Kind.PAGE, overwrite=overwrite)


def page(result: Reconstruction) -> Text:
    """Return the page; what was not measured is named with the reason."""
    header, made, quality = result.header, result.provenance, result.quality
    name = header.name + result.suffix.replace("_", " ")
    parts = [
        _warnings(() if quality is None else quality.warnings),
        _notes(header.notes),
        Text() if quality is None else _key_numbers(quality),
        section("Image", picture(overview(result), _image_caption(result))),
        _uncertainty(result),
    ]
    if quality is not None:
        parts += _measured(quality, result.volumetric)
    parts += [
        columns(
            section("Scan", table(scan_facts(result))), section("Run", table(run_facts(result)))
        ),
        section("Repeat", Text(f"<pre>{escape(instruction(made))}</pre>" + _config(made.config))),
    ]
    misfit = None if quality is None else quality.misfit
    facts = {} if misfit is None else {"misfit": f"{misfit:.6f}"}
    if quality is not None and quality.added is not None:
        facts["unmeasured"] = f"{quality.added.image.share:.6f}"
        if quality.added.error is not None:
            facts["unmeasured-error"] = f"{quality.added.error.share:.6f}"
    title = f"{name}: quality"
    return document(name, _subtitle(result), parts, Kind.PAGE, title=title, facts=facts)


def _subtitle(result: Reconstruction) -> str:
    header, made = result.header, result.provenance
    y, x = header.matrix
    frames = len(header.frames)
    size = f"{y} × {x}, {header.slices} slice" + ("s" if header.slices != 1 else "")
    facts = (
        header.acquisition,
        made.method,
        f"R = {made.acceleration:.2f}",
        size + (f", {frames} frames" if frames > 1 else ""),
        f"{header.coils} coil" + ("s" if header.coils != 1 else ""),
        header.format,
    )
    return " · ".join(fact for fact in facts if fact)


def _uncertainty(result: Reconstruction) -> Text:
    """Show the standard deviation and the bounds, and what was read from the images."""
    window = top_of_grey(result.volume.numpy())
    shown = [one for one in result.apart() if one.quantity != "mean"]
    pictures = _pictures(*((overview(o, window), _companion_caption(o)) for o in shown))
    read = "".join(f"<li>{escape(text)}</li>" for text in result.provenance.readouts)
    content = Text(pictures + (f"<ul>{read}</ul>" if read else ""))
    return section("Uncertainty", content) if content else Text()


def _companion_caption(companion: Reconstruction) -> str:
    words = NAMINGS[companion.quantity].words
    return f"{words[0].upper()}{words[1:]}: {companion.meaning}."


def _image_caption(result: Reconstruction) -> str:
    words = "One window for all, from the 1st percentile to the 99.5th of what is not background."
    if result.header.geometry is None:
        words += " Left, right, top and bottom are unknown: the file does not tell the orientation."
    return words


def _notes(notes: tuple[str, ...]) -> Text:
    if not notes:
        return Text()
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return section("Notes", Text(f"<ol>{items}</ol>"), "notes")


def _warnings(warnings: tuple[str, ...]) -> Text:
    if not warnings:
        return Text()
    items = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    return section("WARNING", Text(f"<ul>{items}</ul>"), "warnings")


def _key_numbers(quality: Quality) -> Text:
    """The few numbers that one looks for first."""
    h, w = quality.kspace.shape
    off = (quality.peak[0] - h // 2, quality.peak[1] - w // 2)
    numbers = [("acceleration", f"{quality.masks[-1].acceleration:.2f}")]
    acs = quality.masks[-1].acs
    if acs != (0, 0):
        numbers.append(("fully sampled centre", f"{acs[0]} × {acs[1]}"))
    numbers.append(("k-space peak off centre", f"{off[0]:+d}, {off[1]:+d}"))
    if quality.noise is not None and quality.noise.inside.any():
        inside = quality.noise.inside
        numbers.append(("median SNR", f"{np.median(quality.noise.snr[inside]):.1f}"))
        worst = np.percentile(quality.noise.deviation[inside], 95)
        numbers.append(("noise amplification, 95th percentile", f"{worst:.2f}"))
    residual = quality.residual or quality.own_residual
    if residual is not None:
        if residual.noise is not None:
            numbers.append(("residual / noise", f"{residual.noise:.2f}"))
        else:
            numbers.append(("residual / data", f"{residual.relative:.1%}"))
        shown = "none" if residual.empty else f"{residual.misfit:.1%}"
        numbers.append((f"misfit, {residual.verdict}", shown))
    if quality.added is not None:
        numbers.append(("of the image's energy not measured", f"{quality.added.image.share:.1%}"))
    cells = "".join(f"<div><b>{value}</b><span>{label}</span></div>" for label, value in numbers)
    return Text(f'<section class="numbers">{cells}</section>')


def _measured(quality: Quality, volumetric: bool) -> list[Text]:
    """The pictures of one plane, by topic."""
    coils = quality.coils
    down = "phase encoding, across: partitions" if volumetric else "readout, across: phase encoding"
    if quality.gridded:
        down = "the image's rows, across: its columns"
    gridded = " of gridded k-space" if quality.gridded else ""
    sampling = _pictures(
        (
            draw.sampling_figure(quality.masks),
            "Where k-space was used. Orange: fully sampled centre. "
            + ("All planes looked at are sampled alike." if len(quality.masks) == 1 else ""),
        ),
        (
            draw.kspace_figure(quality),
            f"Root-sum-of-squares over coils{gridded}. The largest value should lie on the cross "
            f"or beside it. The blue frame is enlarged. Down: {down}.",
        ),
    )
    count = len(coils.magnitude)
    some = f", the first {draw.COILS} of {count}" if count > draw.COILS else ""
    shown = [(draw.coils_figure(coils), f"Magnitude of the {coils.of}{some}.")]
    if coils.eigenvalue is not None:
        cut = f" Outside of the dark line (below {coils.crop:g}) the maps are zero."
        text = "Largest eigenvalue of ESPIRiT: 1 where the sensitivities explain the data."
        shown.append((draw.eigenvalue_figure(coils), text + (cut if coils.crop else "")))
    noise = []
    if quality.noise is not None:
        how = f"pseudo-replica method, {quality.noise.replicas} replicas, sensitivities fixed"
        noise.append((draw.snr_figure(quality.noise), f"Signal-to-noise ratio: {how}."))
        noise.append(
            (
                draw.deviation_figure(quality.noise),
                "Standard deviation of the image's noise; 1 is that of a fully sampled image, "
                "so g-factor × √R without regularization.",
            )
        )
    if quality.correlation is not None:
        text = "Magnitude of the noise correlation between coils, before whitening."
        noise.append((draw.correlation_figure(quality.correlation), text))
    where = escape(quality.plane)
    missing = "".join(f"<li>{escape(what)}: {escape(why)}.</li>" for what, why in quality.missing)
    left_out = f'<ul class="missing"><li class="title">Not shown</li>{missing}</ul>'
    return [
        section(Text(f"Sampling <small>{where}</small>"), sampling),
        section(Text(f"Coils <small>{where}</small>"), _pictures(*shown)),
        *(
            [section(Text(f"Measured and added <small>{where}</small>"), _added(quality.added))]
            if quality.added
            else []
        ),
        section(
            Text(f"Noise <small>{where}</small>"),
            Text(_pictures(*noise) + _consistency(quality) + (left_out if missing else "")),
        ),
    ]


def _added(added: Added) -> Text:
    """The part of the image that the data have not told."""
    text = (
        f"Part of the image in the null space of the encoding, as far as noise lets anybody tell: "
        f"{added.image.share:.1%} of the image's energy. The data say nothing about it: the method "
        "has added it (with the maps of record; a component counts as measured where encoding "
        f"passes more than {added.threshold:.1e} of its power, the noise's share of the object)."
    )
    if added.error is not None:
        text += (
            f" Of the error ({added.error.name}) {added.error.share:.0%} were not measured; the "
            "rest is noise, or measured data that the method has not kept."
        )
    return _pictures((draw.added_figure(added), text))


def _consistency(quality: Quality) -> str:
    found = [one for one in (quality.residual, quality.own_residual) if one is not None]
    if not found:
        return ""
    rows = "".join(
        f"<tr><th>{escape(one.maps)}</th><td>{one.relative:.2%}</td>"
        f"<td>{'unknown' if one.noise is None else f'{one.noise:.2f}'}</td>"
        f"<td>{one.misfit:.2%}</td></tr>"
        for one in found
    )
    return (
        '<table class="residuals"><tr><th>measured minus predicted k-space, with</th>'
        "<th>of the measured</th>"
        f"<th>in noise standard deviations</th><th>misfit</th></tr>{rows}</table>"
        "<p>The first row is the same for every method, so methods compare by it. About 1 noise "
        "standard deviation means that only noise is left over; the misfit is what noise does not "
        f"explain, and a warning above {LARGEST_MISFIT:.0%}.</p>"
    )


def _pictures(*pictures: tuple[Figure, str]) -> Text:
    if not pictures:
        return Text()
    return Text('<div class="row">' + "".join(picture(*one) for one in pictures) + "</div>")


def _config(config: str) -> str:
    if not config:
        return ""
    return f"<details><summary>configuration</summary><pre>{escape(config)}</pre></details>"
