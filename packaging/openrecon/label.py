"""Makes the OpenRecon label of the container from the options, and checks it by `rules.json`.

    python packaging/openrecon/label.py > packaging/openrecon/OpenReconLabel.json
    python packaging/openrecon/label.py --base64     as it goes into the image's label
    python packaging/openrecon/label.py --name       the name that a console expects of the file

The settings of the console are the `Parameter`s that the server itself uses, made of the same YAML,
so that label and server cannot disagree.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from options import Options, read_options

from mrirecon import __version__
from mrirecon.errors import ConfigError, MriReconError
from mrirecon.serving.choosing import DEFAULT
from mrirecon.serving.parameters import Parameter, parameters_of, refuse_strangers

HERE = Path(__file__).parent
RULES = HERE / "rules.json"
BASE64, NAME = "--base64", "--name"
INJECTORS = {"int16": "image", "complex64": "compleximage"}
"""What a scanner takes, by the images that the server sends."""


def label_of(options: Options, version: str) -> dict[str, Any]:
    """Return the label.

    Args:
        options: Options that the server runs with.
        version: Version of the package.

    Raises:
        ConfigError: Naming what a console would not take.
    """
    serve, about = options.settings, options.about
    try:
        settings = parameters_of(serve["parameters"])
    except ValueError as error:
        raise ConfigError(str(error)) from error
    refuse_strangers(settings, (DEFAULT, *(serve["config"] or ())))
    injector = INJECTORS.get(serve["images"])
    if injector is None:
        raise ConfigError(f"images: expected {' or '.join(INJECTORS)} for a scanner, got "
                          f"{serve['images']}")  # fmt: skip
    held = serve["memory"] + serve["total"]
    if options.needs.memory <= held:
        raise ConfigError(f"needs.memory: expected more than {held} MB, which the readouts may "
                          f"take (memory + total), got {options.needs.memory}")  # fmt: skip
    label = {
        "general": {
            "id": about.id,
            "name": {"en": about.name},
            "version": version,
            "vendor": about.vendor,
            "information": {"en": about.information},
            "regulatory_information": _regulatory(options, version),
        },
        "reconstruction": {
            "transfer_protocol": {"protocol": "ISMRMRD", "version": "1.4.1"},
            "port": serve["port"],
            "emitter": "raw",
            "injector": injector,
            "can_process_adjustment_data": True,  # noise scans
            "can_use_gpu": False,
            "min_required_memory": options.needs.memory,
            "min_count_required_cpu_cores": options.needs.cores,
            "content_qualification_type": "RESEARCH",
            "require_readout_filter_off": True,  # methods expect the noise to be white
            "channel_compression": {"require_state": "off"},  # noise scans know coils by name
        },
        "parameters": [_parameter(name, one) for name, one in settings.items()],
    }
    _check(label)
    return label


def text_of(label: dict[str, Any]) -> str:
    """Return a label as its file has it."""
    return json.dumps(label, indent=2, ensure_ascii=False) + "\n"


def _regulatory(options: Options, version: str) -> dict[str, str]:
    names = (
        "device_trade_name", "production_identifier", "manufacturer_address", "made_in",
        "manufacture_date", "material_number", "gtin", "udi", "safety_advices",
        "special_operating_instructions", "additional_relevant_information",
    )  # fmt: skip
    about = options.about
    return dict.fromkeys(names, "") | {
        "device_trade_name": about.name,
        "production_identifier": version,
        "material_number": f"{about.id}_{version}",
        "safety_advices": about.safety,
        "special_operating_instructions": about.instructions,
    }


def _parameter(name: str, one: Parameter) -> dict[str, Any]:
    """Return a setting as a console reads it; bounds and default are the console's own units."""
    found: dict[str, Any] = {"id": name, "type": one.type, "label": {"en": one.label or name}}
    number = {"int": int, "double": float}.get(one.type)
    if number and one.minimum is not None and one.maximum is not None:
        found |= {"minimum": number(one.minimum), "maximum": number(one.maximum)}
        if one.unit:
            found["unit"] = {"en": one.unit}
    if one.type == "choice":
        found["values"] = [{"id": value, "name": {"en": value}} for value in one.values]
    found["default"] = one.checked(one.default)
    return found | ({"information": {"en": one.information}} if one.information else {})


def _check(label: dict[str, Any]) -> None:
    rules = json.loads(RULES.read_text(encoding="utf-8"))
    for error in Draft202012Validator(rules).iter_errors(label):
        path = [str(one) for one in error.absolute_path if one != "en"]
        if path[:1] == ["parameters"] and len(path) > 1:
            path[1] = label["parameters"][int(path[1])]["id"]
        told = error.message
        if path == ["parameters"]:
            told = f"{len(label['parameters'])} settings, expected at most {error.validator_value}"
        raise ConfigError(f"{'.'.join(path)}: {told}; a console would not take it")


def main() -> None:
    """Print the label."""
    try:
        text = text_of(label_of(read_options(), __version__))
    except MriReconError as error:
        sys.exit(f"label.py: {error}")
    if NAME in sys.argv:
        text = "OpenRecon_{vendor}_{id}_V{version}".format(**json.loads(text)["general"])
    sys.stdout.write(base64.b64encode(text.encode()).decode() if BASE64 in sys.argv else text)


if __name__ == "__main__":
    main()
