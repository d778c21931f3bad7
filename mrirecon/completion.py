"""Completion of the command line in a shell, without importing what computes."""

from collections.abc import Sequence
from pathlib import Path

from mrirecon.choices import NAMED, choices, groups_of, settings_of

SCRIPT = """\
# eval "$(mrirecon completion)" in ~/.bashrc; in ~/.zshrc first: autoload -U bashcompinit
# and bashcompinit
_mrirecon() {
    local IFS=$'\\n'
    COMPREPLY=($(mrirecon complete "${COMP_LINE:0:COMP_POINT}" 2>/dev/null))
}
complete -o nospace -o default -F _mrirecon mrirecon"""


def complete(line: str, commands: Sequence[str], plain: Sequence[str], conf: Path) -> list[str]:
    """Return what may stand at the end of a line.

    Args:
        line: Line up to the cursor, with the name of the program.
        commands: Names of all commands.
        plain: Names of the commands without a configuration.
        conf: Folder of the configuration.
    """
    words = line.split(" ")
    typed = words[-1]
    if len(words) == 2:
        return [f"{name} " for name in commands if name.startswith(typed)]
    command = words[1] if len(words) > 2 else ""
    if command not in commands or command in plain:
        return []
    key, equals, value = typed.partition("=")
    if equals:  # shells complete what follows the equals sign by itself
        group = key.lstrip("+").partition("@")[0]
        names = choices(NAMED.get(command, {}).get(group, group), [conf])
        return [f"{name} " for name in names if name.startswith(value)]
    keys = [group.name for group in groups_of(command, conf)]
    keys += [name for name, _, _ in settings_of(command, conf)]
    return [f"{name}=" for name in keys if name.startswith(typed)]
