"""What goes to a scanner: label, start, and that the server keeps to its folder and its port."""

import importlib.metadata
import json
import os
import re
import runpy
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mrirecon import Method, Normalize, ZeroFilled, __version__, writers
from mrirecon.commands import serve as serve_command
from mrirecon.config import composed_of, settings as checked
from mrirecon.errors import ConfigError
from mrirecon.grammar import adapt
from mrirecon.serving.choosing import Chooser, Named
from mrirecon.serving.images import ImageChoice
from mrirecon.serving.parameters import parameters_of
from mrirecon.serving.probe import probe
from tests.commands import mrirecon, run
from tests.readers.mrd_files import MrdFile
from tests.serving.scanner import messages_of, session

ROOT = Path(__file__).parents[1]
OPENRECON, FIRE = ROOT / "packaging" / "openrecon", ROOT / "packaging" / "fire"
CONSOLE = {
    "weight": {
        "key": "model.regularization", "type": "double", "default": 2.0, "minimum": 0.1,
        "maximum": 20.0, "factor": 0.001, "configs": ["wavelet"],
    },
    "config": {"key": "config", "type": "choice", "default": "default",
               "values": ["default", "wavelet"]},
}  # fmt: skip


def named_by(words):
    return Method(ZeroFilled(), Normalize(), config=" ".join(words))


def chooser(settings=CONSOLE):
    images = ImageChoice()
    named = {"default": Named((), images), "wavelet": Named(("model=l1_wavelet",), images)}
    return Chooser(named, parameters_of(settings), named_by)


def test_a_setting_of_one_configuration_is_none_of_the_others():
    console = chooser()
    given = '{"parameters": {"config": "%s", "weight": "%s"}}'
    choice, remarks = console.choose("", given % ("wavelet", "5"))
    assert choice.method.config == "model=l1_wavelet model.regularization=0.005" and not remarks
    choice, remarks = console.choose("", given % ("default", "2.0"))  # the console sends all
    assert not choice.method.config and not remarks
    choice, remarks = console.choose("", given % ("default", "5"))
    assert not choice.method.config and "'weight' has no effect on the configuration" in remarks[0]
    choice, remarks = console.choose("", given % ("wavelet", "0.005"))  # below the bound
    assert choice.method.config.endswith("=0.002") and "0.1 to 20" in remarks[0]


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("weight", {"configs": ["wavelets"]}, r"weight\.configs: .* 'wavelets'; .* default, wav"),
        ("config", {"values": ["default", "learned"]}, r"config\.values: .* 'learned'"),
    ],
)
def test_settings_of_configurations_that_do_not_exist(name, changes, words):
    with pytest.raises(ConfigError, match=words):
        chooser({**CONSOLE, name: {**CONSOLE[name], **changes}})


@pytest.mark.parametrize("word", ["checkpoint=here/none.ckpt", "config.own.checkpoint=none.ckpt"])
def test_weights_that_are_to_be_served_are_not_passed_over(word, tmp_path):
    said = mrirecon("serve", "port=0", word, folder=tmp_path, fails=True)
    assert "none.ckpt is not a file" in said


@pytest.fixture(scope="module")
def scripts():
    """The scripts of the container, imported from where they lie."""
    sys.path.insert(0, str(OPENRECON))
    try:
        found = {name: runpy.run_path(str(OPENRECON / f"{name}.py")) for name in ("label", "start")}
    finally:
        sys.path.remove(str(OPENRECON))
    return SimpleNamespace(**{name: SimpleNamespace(**one) for name, one in found.items()})


def changed(scripts, tmp_path, *, drop=(), **changes):
    """Options with changes, by dotted keys with __ for the dots."""
    tree = yaml.safe_load((OPENRECON / "options.yaml").read_text(encoding="utf-8"))
    for key, value in changes.items():
        *places, last = key.split("__")
        node = tree
        for place in places:
            node = node[place]
        node[last] = value
    for key in drop:
        del tree["serve"][key]
    (tmp_path / "options.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    return scripts.label.read_options(tmp_path / "options.yaml")


def test_the_label_is_that_of_the_options(scripts):
    label = scripts.label.label_of(scripts.label.read_options(), __version__)
    written = (OPENRECON / "OpenReconLabel.json").read_text(encoding="utf-8")
    assert scripts.label.text_of(label) == written
    serve = yaml.safe_load((OPENRECON / "options.yaml").read_text(encoding="utf-8"))["serve"]
    settings = {one["id"]: one for one in label["parameters"]}
    assert list(settings) == list(serve["parameters"])
    for name, one in parameters_of(serve["parameters"]).items():
        shown = settings[name]
        assert shown["type"] == one.type and shown["default"] == one.checked(one.default)
        assert type(shown["default"]) is {"boolean": bool, "double": float}.get(one.type, str)
        assert (shown.get("minimum"), shown.get("maximum")) == (one.minimum, one.maximum)
        assert tuple(value["id"] for value in shown.get("values", ())) == one.values
    assert label["reconstruction"]["port"] == serve["port"]


SETTING = {"key": "model.x", "type": "double", "minimum": 0.0, "maximum": 1.0, "default": 0.5,
           "label": "x"}  # fmt: skip
MANY = {f"p{n}": SETTING for n in range(14)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"serve__parameters__my_weight": SETTING}, r"parameters\.my_weight\.id: .*my_weight"),
        ({"serve__parameters__w": {**SETTING, "unit": "percent"}}, r"w\.unit: 'percent'"),
        ({"serve__parameters__w": {**SETTING, "default": 3.0}}, r"w: default: expected 0 to 1"),
        ({"serve__parameters__w": {**SETTING, "default": 0.25}}, r"parameters\.w\.default: 0\.25"),
        ({"serve__parameters__w": {**SETTING, "type": "string"}}, r"parameters\.w: type"),
        ({"serve__parameters__w": {**SETTING, "type": "int", "default": 0, "maximum": 2.0**40}},
         r"parameters\.w\.maximum"),
        ({"serve__parameters": {"config": CONSOLE["config"], **MANY}}, "15 settings, .*14"),
        ({"serve__parameters": {"w": SETTING}}, "parameters: "),  # nothing to choose a method by
        ({"serve__parameters__config__values": ["default", "wavelt"]}, "'wavelt'"),
        ({"serve__config": None}, r"config\.values: .*'wavelet'"),
        ({"serve__parameters__config__key": "model.wavelet"}, "by this name clients choose"),
        ({"serve__parameters__customconfig": SETTING}, "by this name clients choose"),
        ({"serve__images": "float32"}, "images: expected int16 or complex64"),
        ({"needs__memory": 6144}, "needs.memory: expected more than 6144 MB"),
        ({"needs__cores": 0}, "min_count_required_cpu_cores"),
        ({"about__id": "mri-recon"}, r"general\.id: 'mri-recon'"),
        ({"about__regulation": "none"}, "regulation is no key of about"),
        ({"serve__port": 99999}, r"reconstruction\.port"),
    ],
)  # fmt: skip
def test_what_a_console_would_not_take_is_named(scripts, tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        scripts.label.label_of(changed(scripts, tmp_path, **changes), __version__)
    if "about__id" in changes:
        with pytest.raises(ConfigError, match=r"general\.version"):
            scripts.label.label_of(scripts.label.read_options(), "1.0.dev1")


def test_complex_images_and_defaults(scripts, tmp_path):
    options = changed(scripts, tmp_path, serve__images="complex64", needs__memory=13000,
                      drop=("port", "memory", "total"))  # fmt: skip
    label = scripts.label.label_of(options, __version__)["reconstruction"]
    assert label["injector"] == "compleximage" and label["port"] == 9002


def test_the_server_gets_the_options(scripts, tmp_path):
    tricky = {**SETTING, "label": "it's 50 %, or: {less}", "information": "null"}
    options = changed(scripts, tmp_path, serve__parameters__w=tricky, serve__save=None)
    assert options.words == shlex.split(shlex.join(options.words))
    config = composed_of("serve", [adapt(word, ("model",)) for word in options.words])
    found = checked(
        config,
        serve_command.Settings,
        ("model", "preprocessing", "sensitivity", "partial_fourier", "fallback", "adaptation"),
    )
    for name, value in options.serve.items():
        assert name == "model" or getattr(found, name) == value
    assert found.allowed["w"].label == tricky["label"]
    assert config.model._target_ == "mrirecon.reconstructors.CgSense"


def test_the_image_holds_what_is_named(scripts):
    docker = (OPENRECON / "Dockerfile").read_text(encoding="utf-8")
    options = scripts.label.read_options()
    assert f"EXPOSE {options.settings['port']}\n" in docker
    copied = re.findall(r"^COPY (.*) \./$", docker, re.MULTILINE)
    build = (OPENRECON / "build.sh").read_text(encoding="utf-8")
    for name in " ".join(copied).split():
        assert name in build or name == "*.whl"
    assert 'ENTRYPOINT ["python", "/opt/mrirecon/start.py"]' in docker and "USER mrirecon" in docker
    start = (FIRE / "start.sh").read_text(encoding="utf-8")
    assert "$here/start.py" in start and "/opt/mrirecon" in start


FAKE = """#!/bin/sh
case $1 in create) echo abc ;; export) tar -c -C "$ROOTS" . ;; rm) echo "removed $2" >&2 ;; esac
"""


@pytest.mark.skipif(not shutil.which("mke2fs"), reason="needs e2fsprogs")
def test_the_chroot_image_has_the_start_script(tmp_path):
    (tmp_path / "docker").write_text(FAKE, encoding="utf-8")
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / "root" / "opt" / "mrirecon").mkdir(parents=True)
    environment = {**os.environ, "DOCKER": str(tmp_path / "docker"), "ROOTS": f"{tmp_path}/root",
                   "TMPDIR": str(tmp_path)}  # fmt: skip
    words = ["sh", FIRE / "chroot.sh", "image", tmp_path / "fire.img", "2"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "removed abc" in done.stderr, done.stderr
    image = (tmp_path / "fire.img").read_bytes()
    assert image[0x438:0x43A] == b"\x53\xef" and b"start.py" in image  # ext3, and the script
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "exists already" in done.stderr
    assert (tmp_path / "fire.img").read_bytes() == image
    assert {path.name for path in tmp_path.iterdir()} == {"docker", "root", "fire.img"}


@pytest.mark.parametrize("script", ["openrecon/build.sh", "fire/start.sh", "fire/chroot.sh"])
def test_scripts_are_shell(script):
    done = subprocess.run(["sh", "-n", ROOT / "packaging" / script], check=False)
    assert done.returncode == 0 and os.access(ROOT / "packaging" / script, os.X_OK)


def needed():
    """Distributions that the image has: those of the requirements, and what they ask for."""
    text = (OPENRECON / "requirements.txt").read_text(encoding="utf-8")
    left = [line for line in text.splitlines() if line and not line.startswith("#")]
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    known = {canonicalize_name(line.partition("==")[0]) for line in constraints}
    assert {canonicalize_name(name) for name in left} <= known
    found = {"torch"}
    while left:
        name = canonicalize_name(left.pop())
        if name not in found:
            found.add(name)
            asked = map(Requirement, importlib.metadata.requires(name) or ())
            left += [one.name for one in asked if not one.marker or one.marker.evaluate()]
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The server as the image starts it, in a folder of its own; yields what it is asked by."""
    folder = tmp_path_factory.mktemp("scratch")
    here, have = importlib.metadata.packages_distributions(), needed()
    absent = [top for top, names in here.items() if not have & {*map(canonicalize_name, names)}]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT / 'tests' / 'watched'}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "WATCHED_FOLDER": str(folder),
        "WATCHED_ABSENT": ",".join(name for name in absent if name != "mrirecon"),
        **dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(folder)),
        "OMP_NUM_THREADS": "1",
    }
    with (folder.parent / "stderr").open("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, OPENRECON / "start.py", "host=127.0.0.1", "port=0"],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
        try:
            line = process.stdout.readline()
            port = re.search(r"serving on 127\.0\.0\.1:(\d+); .*: default, wavelet, learned", line)
            assert port, line + (folder.parent / "stderr").read_text()
            yield SimpleNamespace(address=("127.0.0.1", int(port[1])), folder=folder,
                                  process=process, said=folder.parent / "stderr")  # fmt: skip
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def test_pages_that_cannot_be_drawn_are_refused_at_the_start(monkeypatch):
    monkeypatch.delitem(sys.modules, "mrirecon.writers.qc", raising=False)
    monkeypatch.delitem(vars(writers), "write_qc", raising=False)  # it may have been used before
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match="quality=pages: needs the package matplotlib, which"):
        serve_command._load_pages("pages")


def asked(server, **settings):
    file = MrdFile((1, 2, 32, 24)).lines()
    words = {"config": None, "weight": "2.0", "spinning": "true"} | settings  # consoles send all
    return session(server, messages_of(file, settings=json.dumps({"parameters": words})))


def test_the_server_keeps_to_its_port_and_its_folder(server):
    probe(*server.address, 10.0)
    usual, wavelet = asked(server), asked(server, config="wavelet", weight="5.0", spinning="false")
    learned = asked(server, config="learned")
    for answer, method in ((usual, "CgSense"), (wavelet, "L1Wavelet"), (learned, "HqsNet")):
        assert answer.closed and not answer.told("ERR") and not answer.told("WRN"), answer.texts
        ((_, meta, pixels),) = answer.images
        assert method in meta and pixels.dtype == np.int16 and pixels.max() == 4095
    server.process.terminate()
    assert "sessions finished, 0 aborted" in server.process.communicate(timeout=30)[0]
    said = server.said.read_text(encoding="utf-8")
    assert "session 4: served" in said and "WATCHED" not in said, said
    assert list(server.folder.iterdir()) == []


def test_the_health_check_fails_when_nobody_serves(tmp_path):
    for name in ("start.py", "options.py"):
        shutil.copy(OPENRECON / name, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = (OPENRECON / "options.yaml").read_text(encoding="utf-8")
    text, count = re.subn("port: 9002", f"port: {port}", text)
    (tmp_path / "options.yaml").write_text(text, encoding="utf-8")
    done = run(tmp_path / "start.py", "--probe", folder=tmp_path)
    assert count == 1 and done.returncode == 1
    assert f"port={port}: no server can be reached" in done.stderr
