import subprocess
import sys

import pytest

from mrirecon import cli
from mrirecon.choices import NAMED, groups_of, refuse_former, settings_of
from mrirecon.completion import SCRIPT
from mrirecon.errors import ConfigError
from mrirecon.files import conf_folder

CONF = conf_folder()
CONFIGURED = [name for name in cli.COMMANDS if name not in cli.PLAIN]


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["mrirecon", *arguments])
    try:
        cli.main()
    except SystemExit as end:
        return str(end.code)
    return capsys.readouterr().out


@pytest.mark.parametrize("command", CONFIGURED)
def test_help_tells_settings_groups_and_their_defaults(command, monkeypatch, capsys):
    text = run(monkeypatch, capsys, command, "--help")
    assert text.count(f"  mrirecon {command} ") == 3
    assert "docs/how-to/what-do-i-run.md" in text and f"/commands/{command}.html" in text
    for name, default, _ in settings_of(command, CONF):
        assert f"  {name}={default}" in text
    for group in groups_of(command, CONF):
        assert f"  {group.name}=" in text
        for default in group.defaults:
            assert default == "null" or f"{default}*" in text
    assert "null*" not in text and "hydra:" not in text


def test_every_group_is_in_the_help_of_some_command():
    told = {group.name for command in CONFIGURED for group in groups_of(command, CONF)}
    folders = {
        str(folder.relative_to(CONF))
        for folder in CONF.rglob("*")
        if folder.is_dir() and any(folder.glob("*.yaml"))
    }
    told |= {group for named in NAMED.values() for group in named.values()}
    assert folders - {"hydra/launcher"} <= told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model=varnett"], "did you mean varnet? choose one of adaptive_combine"),
        (["+regularizer@model.regularizer=mwcn"], "did you mean mwcnn?"),
        (["-m", "model=modl,istanet"], "model=istanet: there is no such choice; did you mean"),
        (["data/transforms@data.train.transform=augment"], "choose one of as_read, combined, "),
        (["zebra=3"], "zebra: there is no such key; there are seed, output"),
        (["--config-name", "mine"], "--config-name mine: there is no such file"),
        (["data=folder"], "data.train.scans.path, data.val.scans.path must be given"),
        (["data=folder", "data.train.scans.path=x"], "data.val.scans.path must be given"),
    ],
)
def test_what_cannot_be_chosen_is_told_with_what_can(arguments, message, monkeypatch, capsys):
    told = run(monkeypatch, capsys, "train", *arguments, "hydra.run.dir=.")
    assert message in told + capsys.readouterr().err


def test_choices_of_the_users_own_folder_are_known(tmp_path, monkeypatch, capsys):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("_target_: nowhere.Mine\n")
    for option in (["--config-dir", str(tmp_path)], [f"--config-dir={tmp_path}"]):
        told = run(monkeypatch, capsys, "train", *option, "model=mine", "hydra.run.dir=.")
        assert "cannot find nowhere.Mine" in told


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("mrirecon ", [f"{name} " for name in cli.COMMANDS]),
        ("mrirecon re", ["reconstruct "]),
        ("mrirecon train mo", ["model="]),
        ("mrirecon train model=v", ["varnet ", "view_sharing ", "vsharp "]),
        ("mrirecon train +regularizer@model.regularizer=mw", ["mwcnn "]),
        ("mrirecon reconstruct inp", ["input="]),
        ("mrirecon reconstruct input=x", []),
        ("mrirecon inspect fi", []),
        ("mrirecon nothing mo", []),
    ],
)
def test_lines_are_completed(line, found, monkeypatch, capsys):
    assert run(monkeypatch, capsys, "complete", line).split("\n")[:-1] == (found or [""])


def test_the_shell_takes_the_script():
    script = f"{SCRIPT}\ncomplete -p mrirecon"
    shown = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert "_mrirecon mrirecon" in shown.stdout and not shown.stderr


@pytest.mark.parametrize(
    ("override", "now"),
    [
        ("protocol=demo", "simulation=demo"),
        ("+protocol.snr=20", "simulation.snr=20"),
        ("~protocol", "simulation"),
        ("protocol.prescription.slices=1", "simulation.prescription.slices=1"),
    ],
)
def test_former_names_of_groups_are_told(override, now):
    for command in ("train", "simulate"):
        with pytest.raises(ConfigError, match=f"called simulation by now; write {now}$"):
            refuse_former(command, override)
    refuse_former("evaluate", override)
    refuse_former("train", "protocols=demo")
    refuse_former("train", override.replace("protocol", "simulation"))
