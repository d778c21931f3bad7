"""What the owner of a server chooses: mistakes are told before anything listens."""

import queue
import signal
import socket
import threading
from contextlib import suppress

import pytest

from mrirecon.commands import serve
from mrirecon.commands.base import chosen_by
from mrirecon.errors import ConfigError
from mrirecon.interruption import Interrupted
from mrirecon.serving import server as serving_server
from mrirecon.serving.budget import Budget
from mrirecon.serving.choosing import Chooser, Named
from mrirecon.serving.images import ImageChoice
from mrirecon.serving.limits import Limits
from mrirecon.serving.noise import NoiseStore
from mrirecon.serving.parameters import parameters_of
from mrirecon.serving.server import Place, Server
from mrirecon.serving.shared import Shared
from tests.commands import mrirecon
from tests.serving.scanner import FLOATS, zero_filled

USUAL = {
    "host": "127.0.0.1", "port": 0, "checkpoint": None, "config": None, "parameters": None,
    "images": "int16", "scale": None, "sessions": 4, "memory": 64, "total": 64, "idle": 1,
    "stalled": 1, "grace": 1, "noise_age": 1, "save": None, "log": None, "device": "cpu",
    "trust": [], "quality": None,
}  # fmt: skip


def test_weights_and_what_was_taken_away_belong_to_every_configuration():
    typed = ["++port=0", "++checkpoint='a b.ckpt'", "~preprocessing", "++model.iterations=3"]
    usual = ("preprocessing=null", "model.iterations=3", "checkpoint=a b.ckpt")
    config = {"other": {"model.weight": 1}, "own": {"model": "grappa"}}
    with chosen_by(typed):
        chosen = serve.Settings(**USUAL | {"checkpoint": "a b.ckpt", "config": config})
        words = {name: named.words for name, named in chosen.configurations().items()}
    assert words == {
        "default": usual, "other": (*usual, "model.weight=1"), "own": ("model=grappa",)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["checkpoint=no where.ckpt"], "no where.ckpt is not a file"),
        (["preprocessing=null"], "preprocessing: expected a node"),
        (["config.x={model: 3}"], "model=3"),
        (["-m", "port=0,0"], "--multirun"),
        (["save=~/serve.txt/below (1)"], "save=~/serve.txt/below (1): nothing can be written"),
    ],
)
def test_what_cannot_be_served(words, told, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "here"
    folder.mkdir()
    (tmp_path / "serve.txt").touch()
    said = mrirecon("serve", "port=0", *words, folder=folder, fails=True)
    assert told in said and "serving on" not in said
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ["memory", "total", "idle", "stalled", "grace", "noise_age"])
def test_no_bound_is_infinite(name):
    with pytest.raises(ValueError, match=f"{name} must be at most"):
        serve.Settings(**USUAL | {name: float("inf")})


@pytest.mark.parametrize("scale", [True, 0, float("nan")])
def test_scales_are_positive_numbers(scale):
    with pytest.raises(ValueError, match="scale: expected a positive number"):
        ImageChoice("int16", scale)


NUMBER = {"type": "int", "default": 3, "minimum": 1, "maximum": 9}


@pytest.mark.parametrize(
    ("node", "told"),
    [
        ({"key": "images", "type": "choice", "default": "int8", "values": ["int8"]}, "'int8'"),
        ({"key": "images", "type": "boolean", "default": True}, "images is a choice"),
        ({"key": "config", **NUMBER}, "config is a choice"),
        ({"key": "scale", **NUMBER, "minimum": 0}, "minimum above 0"),
        ({"key": "model.n", **NUMBER}, "parameters.one: 9 cannot be: too many"),
        ({"key": "model", "type": "choice", "default": "a", "values": ["a", "9"]}, "9 cannot be"),
    ],
)
def test_settings_that_a_server_could_not_take(node, told):
    def build(words):
        if any("9" in word for word in words):
            raise ConfigError("too many")
        return zero_filled()

    with pytest.raises(ConfigError, match=told):
        Chooser({"default": Named((), FLOATS)}, parameters_of({"one": node}), build)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"minimum": 4, "maximum": 2}, "4 is larger than 2"),
        ({"default": "some"}, "default: expected a whole number, got 'some'"),
    ],
)
def test_bounds_and_defaults_of_settings(changed, told):
    with pytest.raises(ValueError, match=told):
        parameters_of({"one": {"key": "model.n", **NUMBER, **changed}})


def server(host, port=0, work=None):
    chooser = Chooser({"default": Named((), FLOATS)}, {}, zero_filled)
    shared = Shared(
        chooser, Limits(), Budget(64), NoiseStore(60), queue.Queue() if work is None else work
    )
    return Server(Place(host, port), shared)


@pytest.mark.parametrize(("again", "expected"), [(False, [0]), (True, [143])])
def test_a_server_that_still_computes_ends_with_its_status(again, expected, monkeypatch, capsys):
    """Ending a thread in the middle of what a library computes would abort the process."""
    statuses, done, work = [], threading.Event(), queue.Queue()
    monkeypatch.setattr(serve.os, "_exit", statuses.append)
    monkeypatch.setattr(serving_server, "HASTY", Limits(stalled=0.1, idle=0.1))
    found = server("127.0.0.1", work=work)
    work.put(done.wait)
    found.serve(lambda: True)
    with suppress(Interrupted), serve._left_while_computing(found):
        assert found.close(0) == "0 sessions finished, 0 aborted"
        if again:
            raise Interrupted(signal.SIGTERM)
    assert statuses == expected
    assert ("interrupted (SIGTERM)" in capsys.readouterr().err) == again
    done.set()
    with serve._left_while_computing(found):
        found.close(0)
    assert statuses == expected and not found.computing


def test_addresses():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match="another program listens there"):
            server("127.0.0.1", port)
    for host in ("192.0.2.1", "a..b"):  # 192.0.2.0/24 is for documentation
        with pytest.raises(ConfigError, match="an interface of this machine"):
            server(host)
    found = server("localhost")
    assert found.address[0] == "127.0.0.1"  # where clients that know version 4 only look for it
    found.serve(lambda: True)
    found.close(0)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IP version 6 here")
def test_addresses_of_version_6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IP version 6 here")
    found = server("::1")
    assert found.address[0] == "::1"
    found.serve(lambda: True)
    found.close(0)
