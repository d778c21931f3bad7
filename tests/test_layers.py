"""Imports point downwards only, and heavy packages stay where they belong."""

import ast
import builtins
import re
import subprocess
import symtable
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "mrirecon"
PAGE = ROOT.parent / "docs" / "explanations" / "architecture.md"
LAYERS = [
    {
        "errors",
        "epoch",
        "geometry",
        "memory_pool",
        "pseudonyms",
        "counting",
        "interruption",
        "missing",
        "names",
        "terminal",
        "versions",
        "arguments",
        "container",
    },
    {"buffers", "leaks", "users_code", "threads"},
    {"sharing"},
    {"types", "fourier", "files", "building", "records", "standard_streams", "plain_yaml"},
    {
        "choices",
        "defaults",
        "half_precision",
        "image",
        "quality",
        "recipes",
        "selection",
        "hdf5_output",
        "weights",
        "grammar",
    },
    {
        "completion",
        "operators",
        "solvers",
        "sampling",
        "metrics",
        "networks",
        "figures",
        "read_options",
        "added_noise",
    },
    {"scan"},
    {
        "pages",
        "sensitivity",
        "memory_scan",
        "header_json",
        "raw",
        "reconstruction",
        "sampled",
        "downstream",
    },
    {"readers", "reconstructors", "privacy"},
    {"data", "simulation", "toolkits"},
    {"audit", "training", "inference", "inspection", "evaluation", "writers"},
    {
        "uncertainty",
        "config",
        "assessment",
        "adaptation",
        "image_series",
        "loading",
        "footprint",
    },
    {"pipeline"},
    {"api", "kits", "robustness", "serving"},
    {"commands"},
    {"cli"},
]
ROOMS = {
    "metrics": [
        {"base", "ring_correlation", "windows"},
        {"*"},
        {"fastmri", "ms_ssim"},
        {"registry"},
    ],
    "networks": [{"parts"}, {"*"}],
    "reconstructors": [{"base"}, {"parts"}, {"classical", "learned"}],
    "readers": [
        {"damage", "expansion", "naming", "no_raw_data", "packed_samples", "stamp"},
        {"base", "hdf5"},
        {"acquisitions", "arrays", "packed"},
        {"fastmri", "ge", "mrd", "siemens"},
        {"installed", "unsupported_vendors", "variables"},
        {"registry"},
    ],
    "evaluation": [
        {"noise_maps", "regions", "statistics"},
        {"scores"},
        {"origins"},
        {"tables"},
        {"page", "stored"},
        {"*"},
    ],
    "uncertainty": [
        {"moments", "noisy_scan", "ensemble", "conformal", "scales", "conditions"},
        {"spread", "voxel_errors"},
        {"imaging", "calibration", "readouts"},
        {"calibration_file", "calibrating", "cross_check"},
        {"*"},
    ],
    "serving": [
        {"arenas", "limits", "noise", "outgoing", "parameters", "collector", "images", "probe"},
        {"budget", "wire", "choosing", "regular", "received"},
        {"imaging", "recording", "shared", "client"},
        {"session"},
        {"server"},
    ],
    "robustness": [
        {"ascent", "case", "rigid"},
        {"shift"},
        {"shifts", "worst_case"},
        {"result"},
        {"findings", "study"},
        {"tables"},
        {"pictures"},
        {"page"},
    ],
    "footprint": [
        {"need", "heap", "small_sample", "workspace"},
        {"accounting", "extrapolation", "room"},
        {"predicted"},
        {"duration"},
    ],
    "training": [{"*"}, {"objectives"}, {"module"}, {"callbacks"}, {"sharding"}],
}
"""Layers inside a package; ``*`` stands for all that is not named."""
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
# Who may know the framework; everything else must be usable in a notebook with torch alone.
FRAMEWORKS = {
    "pytorch_lightning": {"training", "commands", "data"},
    "hydra": {"config", "commands"},
    "omegaconf": {"config", "commands"},
}


def _imports(file):
    """Every name that a file imports, in full; ``from mrirecon import readers`` included."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: write absolute imports"
            yield node.module
            if node.module == "mrirecon":
                yield from (f"mrirecon.{a.name}" for a in node.names if a.name in RANK)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _modules():
    for file in sorted(ROOT.rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        if parts != ("__init__",):
            yield file, parts


def test_every_module_has_a_layer():
    assert {parts[0] for _, parts in _modules()} == RANK.keys()


def architecture():
    """The list of layers for people: each unit with the first line of what it says of itself."""
    lines = []
    for number, layer in enumerate(LAYERS, start=1):
        lines += [f"### Layer {number}", ""]
        for name in sorted(layer):
            package = ROOT / name
            file = package / "__init__.py" if package.is_dir() else package.with_suffix(".py")
            about = (ast.get_docstring(ast.parse(file.read_text())) or "").splitlines()[0]
            about = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", about).replace("``", "`")
            lines.append(f"- `{name}{'/' if package.is_dir() else ''}`: {about}")
            for room in ROOMS.get(name, []):
                names = ", ".join(f"`{one}`" if one != "*" else "the rest" for one in sorted(room))
                lines.append(f"    - {names}")
        lines.append("")
    return "\n".join(lines)


def test_the_page_on_the_architecture_shows_the_layers():
    """``python -m tests.test_layers`` writes them anew."""
    assert PAGE.read_text(encoding="utf-8").endswith("\n\n" + architecture())


def test_imports_point_downwards():
    wrong = [
        f"{'/'.join(parts)} (layer {RANK[parts[0]]}) imports {name} (layer {RANK[other]})"
        for file, parts in _modules()
        for name in _imports(file)
        if name.startswith("mrirecon.")
        and (other := name.split(".")[1]) != parts[0]
        and RANK[other] >= RANK[parts[0]]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_of_a_package_have_an_order(package):
    ranks = {name: rank for rank, layer in enumerate(ROOMS[package]) for name in layer}

    def rank(name):
        return ranks[name if name in ranks else "*"]

    wrong = [
        f"{'/'.join(parts)} imports {name}"
        for file, parts in _modules()
        if parts[0] == package and parts[1] != "__init__"
        for name in _imports(file)
        if name.startswith(f"mrirecon.{package}.")
        and (other := name.split(".")[2]) != parts[1]
        and (rank(other) >= rank(parts[1]) if {other, parts[1]} & ranks.keys() else False)
    ]
    assert not wrong, "\n".join(wrong)


def test_frameworks_stay_outside():
    wrong = [
        f"{'/'.join(parts)} imports {name}"
        for file, parts in _modules()
        for name in _imports(file)
        if parts[0] not in FRAMEWORKS.get(name.split(".")[0], RANK)
    ]
    assert not wrong, "\n".join(wrong)


def undefined(file):
    """Names that a file uses and never defines; linters that read shapes as names cannot tell."""
    top = symtable.symtable(file.read_text(encoding="utf-8"), str(file), "exec")
    known = {one.get_name() for one in top.get_symbols() if one.is_assigned() or one.is_imported()}
    known |= {child.get_name() for child in top.get_children()}
    known |= {*dir(builtins), "__file__", "__name__", "__path__"}

    def wanted(table):
        for one in table.get_symbols():
            local = table is not top and not one.is_global()
            if one.is_referenced() and not local and one.get_name() not in known:
                yield one.get_name()
        for child in table.get_children():
            yield from wanted(child)

    return sorted(set(wanted(top)))


def test_every_name_is_defined():
    files = [file for folder in ("mrirecon", "tests", "benchmarks", "data_scripts")
             for file in sorted((ROOT.parent / folder).rglob("*.py"))]  # fmt: skip
    assert len(files) > 400
    assert {str(file): names for file in files if (names := undefined(file))} == {}


def test_only_one_module_calls_the_fft_of_torch():
    users = ["/".join(parts) for file, parts in _modules() if "torch.fft" in file.read_text()]
    assert users == ["fourier"]


IMPORTS = {  # each also after those before, so that one process tells of all
    "mrirecon": {"torch", "numpy", "hydra", "pytorch_lightning"},
    "mrirecon.cli": {"torch", "numpy", "hydra", "pytorch_lightning"},
    "mrirecon.readers": {"torch", "scipy", "hydra", "pytorch_lightning", "matplotlib"},
    "mrirecon.commands.inspect": {
        "torch", "scipy", "hydra", "pytorch_lightning", "matplotlib",
    },
    "mrirecon.reconstructors.classical.cg_sense": {
        "hydra", "pytorch_lightning", "matplotlib",
    },
    "mrirecon.loading": {"hydra", "omegaconf", "pytorch_lightning", "matplotlib"},
    "mrirecon.commands.reconstruct": {
        "pytorch_lightning", "matplotlib", "scipy.stats", "sigpy", "nibabel", "pydicom",
    },
    "mrirecon.commands.serve": {"pytorch_lightning", "matplotlib"},
    "mrirecon.commands.evaluate": {"pytorch_lightning", "sigpy"},
}  # fmt: skip
"""What an import may not pull in."""


def test_an_import_pulls_in_no_more_than_it_needs():
    code = f"""
import sys, importlib
for module, unwanted in {IMPORTS}.items():
    importlib.import_module(module)
    if found := unwanted & set(sys.modules):
        sys.exit(f"{{module}}: {{found}}")
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")


if __name__ == "__main__":
    before = PAGE.read_text(encoding="utf-8").partition("### Layer 1")[0]
    PAGE.write_text(before + architecture(), encoding="utf-8")
