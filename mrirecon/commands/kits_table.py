"""The kits of ``mrirecon benchmark``, with the scores that are published for each.

Without a name a table of all; mrirecon benchmark --list fastmri_knee_8x tells all of one.
"""

import textwrap

from mrirecon.commands.plain import plain_parser, told
from mrirecon.evaluation.tables.summaries import aligned
from mrirecon.kits.card import rows
from mrirecon.kits.kit import NamedKit
from mrirecon.kits.reading import kit_names, read_kit

WIDTH = 96
HEAD = ("kit", "data", "protocol", "cases", "published scores")


def main() -> None:
    """Print a table of all kits, or all that is known of some."""
    parser = plain_parser("benchmark", __doc__)
    parser.add_argument("--list", action="store_true", help="the kits that there are")
    parser.add_argument("kit", nargs="*", help="name of a kit, or a YAML file")
    options = parser.parse_intermixed_args()
    with told("benchmark"):
        if options.kit:
            print("\n\n".join(_described(read_kit(name)) for name in options.kit))
        else:
            kits = [_row(read_kit(name)) for name in kit_names()]
            print(aligned([HEAD, *kits], words=3))
            print("mrirecon benchmark --list NAME tells all that is known of a kit")


def _row(named: NamedKit) -> tuple[str, ...]:
    kit = named.kit
    data = kit.files.title if kit.files else "none: simulated"
    return named.name, data, kit.protocol, str(kit.cases), str(len(kit.anchors) or "none")


def _described(named: NamedKit) -> str:
    """Describe a kit: its name and what it is, then a line for each fact."""
    lines = [f"{named.name}: {named.about}"]
    facts = [row for row in rows(named) if row[0] != "about"]
    facts += [
        (
            "published",
            f"{one.metric} {one.value:g} ± {one.tolerance:g}, {one.method} ({one.source})",
        )
        for one in named.kit.anchors
    ]
    for title, text in facts:
        lines += textwrap.wrap(
            text, WIDTH, initial_indent=f"  {title:<10}", subsequent_indent=" " * 12,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    return "\n".join(lines)
