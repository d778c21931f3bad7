"""The table of methods as Markdown and as LaTeX, to be put into texts."""

import re
from collections.abc import Iterable, Sequence

from mrirecon.evaluation.tables.standings import LEGEND
from mrirecon.evaluation.tables.summary_table import Entry, SummaryTable
from mrirecon.metrics import MetricInfo

MEANS = "Mean over volumes [95 % interval of the mean over patients, bootstrap]"
BOLD = "bold: ahead of all others, and told apart from each"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&^])")
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\char34{}",
    "[": "{[}", "]": "{]}", "`": r"\textasciigrave{}",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$",
}  # fmt: skip


def legend(tables: Sequence[SummaryTable]) -> str:
    """Return what means, letters and bold numbers are, as far as there are some."""
    entries = [entry for table in tables for line in table.entries for entry in line]
    parts = [MEANS]
    if any(entry.letters for entry in entries):
        parts.append(LEGEND)
    if any(entry.best for entry in entries):
        parts.append(BOLD)
    return "; ".join(parts) + "."


def heading(info: MetricInfo) -> str:
    """Return the heading of a column; an arrow points to the better end."""
    arrow = {True: " ↑", False: " ↓", None: ""}[info.higher_is_better]
    return info.heading + arrow


def as_markdown(tables: Sequence[SummaryTable], definition: str) -> str:
    """Return Markdown tables.

    Args:
        tables: Table of everything, and those of regions.
        definition: Words about what was scored.
    """
    parts = []
    for table in tables:
        head = ["method", "volumes", *map(heading, table.infos)]
        lines = [row(map(markdown, head)), row(["---", "---:", *["---:"] * len(table.infos)])]
        for method, volumes, entries in zip(
            table.methods, table.volumes, table.entries, strict=True
        ):
            lines.append(row([markdown(method), str(volumes), *map(_markdown_entry, entries)]))
        title = f"**{markdown(table.region)}**\n\n" if table.region else ""
        parts.append(title + "\n".join(lines))
    return "\n\n".join([*parts, markdown(legend(tables)), markdown(definition)]) + "\n"


def as_latex(tables: Sequence[SummaryTable], definition: str) -> str:
    """Return LaTeX tables, which need no package.

    Args:
        tables: Table of everything, and those of regions.
        definition: Words about what was scored.
    """
    parts = []
    for table in tables:
        lines = [rf"\begin{{tabular}}{{lr{'l' * len(table.infos)}}}", r"\hline"]
        head = ["method", "volumes", *map(heading, table.infos)]
        lines += [" & ".join(map(latex, head)) + r" \\", r"\hline"]
        for method, volumes, entries in zip(
            table.methods, table.volumes, table.entries, strict=True
        ):
            cells = [latex(method), str(volumes), *map(_latex_entry, entries)]
            lines.append(" & ".join(cells) + r" \\")
        lines += [r"\hline", r"\end{tabular}"]
        title = rf"\par\textbf{{{latex(table.region)}}}\par" + "\n" if table.region else ""
        parts.append(title + "\n".join(lines))
    told = [rf"\par {latex(text)}" for text in (legend(tables), definition)]
    return "\n\n".join([*parts, *told]) + "\n"


def markdown(text: str) -> str:
    """Write text so that Markdown shows it as it is, in one line."""
    return _MARKDOWN.sub(r"\\\1", _one_line(text))


def latex(text: str) -> str:
    """Write text so that LaTeX shows it as it is, in one line."""
    shown = "".join(_LATEX.get(letter, letter) for letter in _one_line(text))
    return re.sub("-(?=-)", "-{}", shown)  # two hyphens would become a dash


def _one_line(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(shown.split())


def row(cells: Iterable[str]) -> str:
    """Return a line of a Markdown table; cells are escaped already."""
    return f"| {' | '.join(cells)} |"


def _markdown_entry(entry: Entry) -> str:
    text = markdown(entry.text)
    text = f"**{text}**" if entry.best else text
    return f"{text} {entry.letters}".rstrip()


def _latex_entry(entry: Entry) -> str:
    text = latex(entry.text)
    text = rf"\textbf{{{text}}}" if entry.best else text
    return text + (rf"\textsuperscript{{{entry.letters}}}" if entry.letters else "")
