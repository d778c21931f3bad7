"""What goes to a scanner: label, start, and that the server keeps to its folder and its port."""

import pytest

from mrirecon import Method, Normalize, ZeroFilled
from mrirecon.errors import ConfigError
from mrirecon.serving.choosing import Chooser, Named
from mrirecon.serving.images import ImageChoice
from mrirecon.serving.parameters import parameters_of
from tests.commands import mrirecon

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
