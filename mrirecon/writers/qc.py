"""One self-contained page on which a person judges a reconstruction."""

import base64
import io
from collections.abc import Iterable
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mrirecon.figures import quality_pictures as draw
from mrirecon.files import Kind, atomic, mark, stamped
from mrirecon.quality import LARGEST_MISFIT, Quality
from mrirecon.reconstruction import Reconstruction
from mrirecon.writers.facts import instruction, run_facts, scan_facts
from mrirecon.writers.page_style import STYLE
from mrirecon.writers.png import overview

Pairs = Iterable[tuple[str, str]]
FINE, COARSE = 150, 100
"""Pixels per inch of pictures, and of the page: fine screens show more than one per pixel."""
NARROW = 220
"""Pixels across of the narrowest caption."""


def write_qc(path: Path, result: Reconstruction, *, overwrite: bool = False) -> None:
    """Write the quality page as one HTML file without scripts or links to elsewhere."""
    with atomic(path, Kind.PAGE, overwrite=overwrite) as temporary:
        temporary.write_bytes(stamped(page(result).encode(), Kind.PAGE))


def page(result: Reconstruction) -> str:
    """Return the page; what was not measured is named with the reason."""
    header, made, quality = result.header, result.provenance, result.quality
    name = header.name + result.suffix.replace("_", " ")
    parts = [
        f"<header><h1>{escape(name)}</h1><p>{escape(_subtitle(result))}</p></header>",
        _warnings(() if quality is None else quality.warnings),
        _notes(header.notes),
        "" if quality is None else _key_numbers(quality),
        _section("Image", _picture(overview(result), _image_caption(result))),
    ]
    if quality is not None:
        parts += _measured(quality, result.volumetric)
    parts += [
        '<div class="columns">',
        _section("Scan", _table(scan_facts(result))),
        _section("Run", _table(run_facts(result))),
        "</div>",
        _section("Repeat", f"<pre>{escape(instruction(made))}</pre>" + _config(made.config)),
        "<footer>Research reconstruction, not for diagnostic use.</footer>",
    ]
    title = escape(f"{name}: quality")
    misfit = None if result.quality is None else result.quality.misfit
    told = "" if misfit is None else f'<meta name="misfit" content="{misfit:.6f}">'  # for programs
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f'<meta name="generator" content="{mark(Kind.PAGE)}">'
        f'{told}<meta name="color-scheme" content="dark">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main></body></html>\n"
    )


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


def _image_caption(result: Reconstruction) -> str:
    words = "One window for all, from the 1st percentile to the 99.5th of what is not background."
    if result.header.geometry is None:
        words += " Left, right, top and bottom are unknown: the file does not tell the orientation."
    return words


def _notes(notes: tuple[str, ...]) -> str:
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<section class="notes"><h2>Notes</h2><ol>{items}</ol></section>'


def _warnings(warnings: tuple[str, ...]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    return f'<section class="warnings"><h2>WARNING</h2><ul>{items}</ul></section>'


def _key_numbers(quality: Quality) -> str:
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
    cells = "".join(f"<div><b>{value}</b><span>{label}</span></div>" for label, value in numbers)
    return f'<section class="numbers">{cells}</section>'


def _measured(quality: Quality, volumetric: bool) -> list[str]:
    """The pictures of one plane, by topic."""
    coils = quality.coils
    down = "phase encoding, across: partitions" if volumetric else "readout, across: phase encoding"
    sampling = _pictures(
        (
            draw.sampling_figure(quality.masks),
            "Where k-space was used. Orange: fully sampled centre. "
            + ("All planes looked at are sampled alike." if len(quality.masks) == 1 else ""),
        ),
        (
            draw.kspace_figure(quality),
            "Root-sum-of-squares over coils. The largest value should lie on the cross or beside "
            f"it. The blue frame is enlarged. Down: {down}.",
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
        _section(f"Sampling <small>{where}</small>", sampling),
        _section(f"Coils <small>{where}</small>", _pictures(*shown)),
        _section(
            f"Noise <small>{where}</small>",
            _pictures(*noise) + _consistency(quality) + (left_out if missing else ""),
        ),
    ]


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


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"


def _pictures(*pictures: tuple[Figure, str]) -> str:
    if not pictures:
        return ""
    return '<div class="row">' + "".join(_picture(*picture) for picture in pictures) + "</div>"


def _picture(figure: Figure, caption: str) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=FINE, bbox_inches="tight", pad_inches=0.02)
    data = stream.getvalue()
    width = int.from_bytes(data[16:20], "big") * COARSE // FINE  # where PNG keeps it
    caption, source = escape(caption.strip()), base64.b64encode(data).decode()
    return (
        f'<figure style="width: {max(width, NARROW)}px">'
        f'<img alt="{caption}" style="width: {width}px" src="data:image/png;base64,{source}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _table(rows: Pairs) -> str:
    cells = "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td></tr>" for a, b in rows if b)
    return f"<table>{cells}</table>"


def _config(config: str) -> str:
    if not config:
        return ""
    return f"<details><summary>configuration</summary><pre>{escape(config)}</pre></details>"
