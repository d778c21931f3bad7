"""Files of strangers: YAML that unfolds without end, and numbers that nothing can hold."""

from dataclasses import dataclass

import pytest
import yaml

from mrirecon.errors import ConfigError
from mrirecon.evaluation.origins.origin import _config
from mrirecon.kits.cases import cases_of
from mrirecon.kits.reading import read_kit
from mrirecon.plain_yaml import plain_yaml
from mrirecon.records import record

LEVELS = 12
BOMB = "&x0 [a, b, c, d, e, f, g, h, i, j]" + "".join(
    f", &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, LEVELS)
)
KIT = """
version: 1
target: noise_free
protocol: whole
simulated:
  - first: 1
    count: 1
    contrasts: [t1]
    matrix: [32, 32]
    slices: 1
    coils: 2
    snr: 30
    sampling: {name: equispaced, acceleration: 2}
"""


@pytest.mark.parametrize(
    "text", [f"[{BOMB}]", "&a [*a]", "&a {b: *a}", "[" * 3000, "a: 9999-99-99"]
)
def test_what_unfolds_without_end_is_refused(text):
    with pytest.raises(yaml.YAMLError):
        plain_yaml(text)
    assert _config(text) == {}


def test_what_is_plain_is_read_with_its_aliases():
    assert plain_yaml("{a: &a [1, 2.5], b: *a}") == {"a": [1, 2.5], "b": [1, 2.5]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("name: equispaced", f"name: [{BOMB}]"), "more than 200000 values"),
        (("snr: 30", "snr: .nan"), "snr: expected a number, got nan"),
        (("snr: 30", "snr: .inf"), "snr: expected a number, got inf"),
        (("snr: 30", f"snr: {'9' * 400}"), r"snr: expected a number, got 9+\.\.\."),
        (("first: 1", f"first: {'9' * 400}"), r"first: expected a whole number, got 9+\.\.\."),
        (("first: 1", "first: -5"), "positive numbers"),
        (("snr: 30", "snr: -1"), "snr: expected a number above zero"),
        (("[32, 32]", "[0, -32]"), "positive numbers"),
        (("[32, 32]", "[32, 1000000]"), "up to 10000"),
        (("count: 1", "count: 1000000000"), "up to 10000"),
        (("acceleration: 2", "acceleration: .nan"), "sampling: acceleration must be at least 1"),
        (("acceleration: 2", "acceleration: 0"), "sampling: acceleration must be at least 1"),
        (("acceleration: 2", "acceleration: 2, nothing: 1"), "no such argument"),
    ],
)
def test_kits_with_impossible_numbers_are_refused_before_anything_is_made(tmp_path, change, told):
    path = tmp_path / "mine.yaml"
    path.write_text(KIT.replace(*change))
    with pytest.raises(ConfigError, match=told):
        cases_of(read_kit(str(path)), None)


@dataclass(frozen=True)
class Words:
    words: str


def test_a_terminal_is_told_nothing_by_words_of_a_file():
    assert record(Words, {"words": "a\x1b[31m  b"}).words == r"a\x1b[31m b"
    with pytest.raises(ValueError, match=r"expected words, got \[0, 0, .*\.\.\.$"):
        record(Words, {"words": [0] * 1000})
