"""The benchmark of a GPU, on a machine without one: toy sizes, and what it does about failures."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from mrirecon.reconstructors.base import Reconstructor
from tests.accelerator import DEVICE, Accelerator

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import gpu  # noqa: E402
import gpu_parity as parity  # noqa: E402
import gpu_speed as speed  # noqa: E402
import gpu_training as training  # noqa: E402


def test_one_item_from_end_to_end(tmp_path, monkeypatch, capsys):
    output = tmp_path / "gpu.json"
    words = ["--device", "cpu", "--quick", "--output", str(output), "--sections", "classical"]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *words, "--items", "cg_sense small"])
    with pytest.raises(SystemExit) as end:
        gpu.main()
    assert end.value.code == 0 and "0 failed" in capsys.readouterr().out
    (section,) = json.loads(output.read_text())["sections"]
    (row,) = section["rows"]
    assert row["case"] == "cg_sense small" and row["single_per_s"] > 0


class Wrong(Reconstructor):
    """Computes something else where there is no oneDNN, as a broken device would."""

    def __init__(self, image=0.0, gradient=0.0):
        super().__init__()
        self.image, self.gradient = image, gradient
        self.weight = torch.nn.Parameter(torch.ones(1000))

    def forward(self, sample):
        broken = not torch._C._get_mkldnn_enabled()
        image = sample.kspace[:, 0] * self.weight.mean() * (1 + broken * self.image)
        other = (self.weight - self.weight.detach()).sum()  # zero, with a gradient
        return image + broken * self.gradient * other * sample.kspace[:, 0]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({}, ""), ({"image": 1e-3}, "image differs"), ({"gradient": 1e-3}, "gradient differs"),
     ({"image": float("nan")}, "image differs")],
)  # fmt: skip
def test_what_a_device_computes_wrongly_is_told(wrong, told):
    row = parity.compared("wrong", Wrong(**wrong), parity.scene((48, 40), 0), "cpu")
    assert row.failure.startswith(told) and bool(row.failure) is bool(told)
    assert json.loads(json.dumps(asdict(row)))["case"] == "wrong" and row.line()


@pytest.mark.parametrize("case", ["modl", "cg_sense", "sensitivity=espirit"])
def test_on_another_device(case, monkeypatch):
    # with fewer coils on a CPU, it stops elsewhere by rounding
    steps = ["++model.iterations=6", "++model.tolerance=0"]
    monkeypatch.setitem(parity.GIVEN, "cg_sense", steps)
    with Accelerator():
        (row,) = parity.measured(case, str(DEVICE), (48, 40), 1)
    assert not row.failure and row.error < 1e-5
    assert (row.tf32 is not None) is (case == "modl")


def test_along_spokes():
    (row,) = parity.measured("radial modl", "cpu", (48, 40), 1)
    assert row.case in parity.cases() and not row.failure and row.gradient_error is not None
    (row,) = speed.classical_rows("radial small", "cpu", 1, 2)
    assert row.batch == 2 and row.batch_per_s > 0


def test_learned_models_are_shortened_and_all_are_looked_at():
    assert {"varnet", "promptmr", "cg_sense", "sensitivity=espirit"} <= set(parity.cases())
    with torch.device("meta"):
        assert len(parity.short("varnet", 2).cascades) == 2
        assert len(parity.short("adaptive_cs_net", 1).blocks) == 1
    assert speed.methods()[:2] == ["l1_wavelet", "total_variation"]


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
@pytest.mark.parametrize("item", ["step", "data on device", "fit bf16"])
def test_training_is_timed(item, monkeypatch):
    few = training.varnet.VarNet
    for where in (training, training.varnet):
        monkeypatch.setattr(where, "VarNet", lambda: few(cascades=1, channels=4, pools=2))
    (row,) = training.rows(item, "cpu", "small", 1)
    assert row.case == item and not row.failure and row.line()
    assert 0 < row.first_s < 60 and row.peak_gb is None
    assert training.rows("step graph", "cpu", "small", 1) == []


def test_all_parts_together_take_eight_minutes_at_most():
    assert sum(section.budget_s for section in gpu.SECTIONS.values()) <= 480


def options(**changed):
    arguments = {"budget": None, "device": "cpu", "quick": True}
    return type("Options", (), arguments | changed)


def test_an_item_that_brings_its_process_down_does_not_hide_the_others(monkeypatch, capsys):
    script = (
        "import json, os, sys\n"
        "for item in sys.argv[1:]:\n"
        "    if item == 'kills': os.kill(os.getpid(), 9)\n"
        "    if item == 'hangs': import time; time.sleep(60)\n"
        "    fails = item == 'sticks' and 'CUDA error: sticky' or ''\n"
        "    print(json.dumps({'item': item, 'rows': [{'case': item}], 'lines': [item],"
        " 'failure': fails}), flush=True)\n"
        "    if fails: sys.exit(3)\n"
    )
    start = subprocess.Popen

    def child(command, **given):
        items = command[command.index("--items") + 1 : command.index("--quick")]
        return start([sys.executable, "-c", script, *items], **given)

    monkeypatch.setattr(subprocess, "Popen", child)
    items = ["a", "sticks", "b", "kills", "c", "hangs", "d"]
    found = gpu.run("methods", items, options(budget=2.0))
    assert [row["case"] for row in found.rows] == ["a", "sticks", "b", "c"]
    assert list(found.failures) == ["sticks", "kills", "hangs", "d"]
    assert found.failures["kills"] == "status -9"
    assert found.failures["hangs"].startswith("took longer")
    assert found.failures["d"].startswith("not run")
    assert "FAILED: took longer" in capsys.readouterr().out


def test_what_raises_is_a_failure_with_its_reason(monkeypatch, capsys):
    def broken(item, *_):
        if item == "bad":
            raise NotImplementedError("no such\nkernel")
        return []

    broken_section = gpu.Section("", 1, "", lambda _: [], broken)
    monkeypatch.setitem(gpu.SECTIONS, "broken", broken_section)
    gpu.report("broken", options(items=["bad", "good"]))
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["failure"] == "NotImplementedError: no such kernel" and second["failure"] == ""


def test_without_fastmri_ours_is_measured_and_what_is_missing_is_told(monkeypatch):
    monkeypatch.setattr(speed.varnet, "installed", lambda: False)
    monkeypatch.setattr(speed.varnet, "own_times", lambda *_: {"": 3.0, " bf16": 2.0})
    rows = speed.varnet_rows("small step", "cpu", 1)
    assert [row.ours for row in rows] == [3.0, 2.0] and "pip install" in rows[0].failure
