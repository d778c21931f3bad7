"""How many threads compute: affinity, quotas of containers, and what the user has chosen."""

import importlib
import os
import re
import sys

import pytest

import mrirecon
from mrirecon import threads
from mrirecon.container import cpu_quota, memory_limit
from mrirecon.evaluation.scores import scoring
from mrirecon.raw import memory
from mrirecon.threads import (
    BRIEF,
    SHORT,
    Processors,
    prepare,
    prepare_unless_late,
    processors as found_processors,
    running_others,
    workers_beside,
)
from tests import commands
from tests.training import runs

V2 = "30 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw"
V1 = "32 31 0:29 {} /sys/fs/cgroup/{} rw shared:9 - cgroup cgroup rw,{}"


def container(root, own, mounts, **files):
    """Write what Linux tells of control groups; names of ``files`` are paths below the mounts."""
    files = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    files |= {"proc/self/cgroup": "\n".join(own), "proc/self/mountinfo": "\n".join(mounts)}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


HYBRID = ["5:cpu,cpuacct:/docker/abc/job", "4:memory:/docker/abc/job", "0::/docker/abc"]
JOINT = [V1.format("/docker/abc", "cpu,cpuacct", "cpu,cpuacct"), V2.replace("cgroup ", "cgroup/u ")]
CASES = {
    "no limit": (["0::/"], [V2], {"cpu.max": "max 100000"}, None),
    "own": (["0::/"], [V2], {"cpu.max": "250000 100000"}, 2.5),
    "outer is stricter": (
        ["0::/slurm/job/step"], [V2],
        {"slurm/job/step/cpu.max": "max 100000", "slurm/job/cpu.max": "300000 100000",
         "slurm/cpu.max": "6400000 100000", "other/cpu.max": "1000 100000"},
        3.0,
    ),
    "inner is stricter": (
        ["0::/a/b"], [V2], {"a/b/cpu.max": "50000 100000", "a/cpu.max": "400000 100000"}, 0.5,
    ),
    "mounted from its own group on": (
        ["0::/kubepods/pod1/c"], [V2.replace(" / ", " /kubepods/pod1 ", 1)],
        {"c/cpu.max": "200000 100000", "cpu.max": "400000 100000"}, 2.0,
    ),
    "outside of the view": (["0::/../.."], [V2], {"cpu.max": "100000 50000"}, 2.0),
    "of another tree": (["0::/x"], [V2.replace(" / ", " /y ", 1)], {"cpu.max": "70000 10000"}, 7.0),
    "version 1": (
        HYBRID, JOINT,
        {"cpu,cpuacct/job/cpu.cfs_quota_us": "150000", "cpu,cpuacct/job/cpu.cfs_period_us":
         "100000", "cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
        1.5,
    ),
    "version 1 without limit": (
        HYBRID, JOINT,
        {"cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, None,
    ),
    "unreadable": (["0::/"], [V2, "", "nonsense"], {"cpu.max": "many"}, None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_strictest_quota_around_a_process_counts(tmp_path, case):
    own, mounts, files, expected = CASES[case]
    root = container(tmp_path, own, mounts, **files)
    assert cpu_quota(root) == expected
    assert found_processors(root).quota == expected
    assert found_processors(root).affinity == len(os.sched_getaffinity(0))


def test_no_control_groups_are_no_limit(tmp_path):
    assert cpu_quota(tmp_path) is None and memory_limit(tmp_path) is None


def test_memory_of_nested_groups(tmp_path, monkeypatch):
    own = ["0::/a/b"]
    files = {"a/memory.max": "3000000000", "a/b/memory.max": "max", "memory.max": "9000000000"}
    root = container(tmp_path / "two", own, [V2], **files)
    assert memory_limit(root) == 3_000_000_000
    old = [V1.format("/", "memory", "memory")]
    root = container(tmp_path / "one", HYBRID, old, **{
        "memory/docker/abc/memory.limit_in_bytes": "2000000000",
        "memory/memory.limit_in_bytes": "9223372036854771712",
    })  # fmt: skip
    assert memory_limit(root) == 2_000_000_000
    monkeypatch.setattr(memory, "memory_limit", lambda: 2_000_000)
    memory.memory.cache_clear()
    assert memory.memory() == 2_000_000
    memory.memory.cache_clear()


@pytest.mark.parametrize(
    ("found", "usable", "limit"),
    [
        (Processors(64, 64), 64, None),
        (Processors(64, 64, 2.0), 2, "a quota of 2 of 64 CPUs"),
        (Processors(64, 64, 0.25), 1, "a quota of 0.25 of 64 CPUs"),
        (Processors(64, 64, 1.5), 2, "a quota of 1.5 of 64 CPUs"),
        (Processors(64, 4, 8.0), 4, "this process may run on 4 of 64 CPUs"),
        (Processors(8, 8, 8.0), 8, None),
        (Processors(8, 8, 100.0), 8, None),
    ],
)
def test_usable_processors(found, usable, limit):
    assert found.usable == usable and found.limit == limit


def test_who_else_is_running(tmp_path):
    assert running_others(tmp_path) == 0
    (tmp_path / "proc").mkdir()
    for text, expected in (("3.1 2.0 1.0 5/900 77", 4), ("0 0 0 1/90 7", 0), ("x", 0)):
        (tmp_path / "proc" / "loadavg").write_text(text)
        assert running_others(tmp_path) == expected


FEW, ALL = Processors(64, 64, 2.0), Processors(64, 8)


@pytest.mark.parametrize(
    ("found", "before", "after"),
    [
        (ALL, {}, SHORT),
        (Processors(64, 64, None, others=7), {}, SHORT),
        (Processors(64, 64, None, others=8), {}, BRIEF),
        (Processors(64, 8, None, others=50), {}, SHORT),
        (Processors(2, 2, None, others=1), {}, BRIEF),
        (FEW, {}, {**BRIEF, "OMP_NUM_THREADS": "2"}),
        (FEW, {"OMP_NUM_THREADS": "1"}, {**BRIEF, "OMP_NUM_THREADS": "1"}),
        (FEW, {"OMP_WAIT_POLICY": "ACTIVE"},
         {"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": "2"}),
        (ALL, {"GOMP_SPINCOUNT": "1000"}, {"GOMP_SPINCOUNT": "1000"}),
        (ALL, {"KMP_BLOCKTIME": "200"}, {"KMP_BLOCKTIME": "200"}),
        (ALL, {"KMP_LIBRARY": "turnaround"}, {"KMP_LIBRARY": "turnaround"}),
    ],
)  # fmt: skip
def test_what_the_user_has_set_stays(found, before, after):
    environment = dict(before)
    prepare(found, environment)
    assert environment == after


@pytest.mark.parametrize(
    ("asked", "processes", "usable", "expected"),
    [(0, 1, 1, 0), (4, 1, 1, 1), (4, 1, 2, 1), (4, 1, 3, 2), (4, 1, 64, 4), (4, 8, 16, 1),
     (4, 2, 10, 4), (14, 1, 8, 7)],
)  # fmt: skip
def test_workers_share_the_processors(asked, processes, usable, expected):
    assert workers_beside(asked, processes, usable) == expected


@pytest.mark.parametrize("late", [False, True])
def test_nothing_is_changed_when_torch_is_loaded_already(monkeypatch, late):
    environment = {}
    monkeypatch.setattr(os, "environ", environment)
    if not late:
        monkeypatch.delitem(sys.modules, "torch")
    prepare_unless_late()
    assert set(SHORT) <= set(environment) if not late else environment == {}


def test_importing_the_package_prepares(monkeypatch):
    seen = []
    monkeypatch.setattr(threads, "prepare_unless_late", lambda: seen.append("torch" in sys.modules))
    importlib.reload(mrirecon)
    assert len(seen) == 1


def test_loaders_and_scores_keep_to_the_processors(monkeypatch):
    monkeypatch.setattr(threads, "processors", lambda: FEW)
    monkeypatch.setattr(scoring, "processors", lambda: FEW)
    assert scoring.workers_for(1000, None) == 2 and scoring.workers_for(1000, 5) == 5
    slices = runs.data(workers=6)
    assert slices.workers == 6 and slices.train_dataloader().num_workers == 1
    assert slices.val_dataloader().persistent_workers


SCRIPT = """
import os, sys
os.cpu_count = lambda: 64
from mrirecon import cli, threads
threads.processors.cache_clear()
small = "simulation.prescription={matrix: [32, 32], slices: 1}"
sys.argv = ["mrirecon", "simulate", "output=scans", "subjects=1", small]
cli.main()
"""


def test_a_command_says_what_was_chosen(tmp_path):
    (tmp_path / "limited.py").write_text(SCRIPT)
    done = commands.run(str(tmp_path / "limited.py"), folder=tmp_path)
    cpus = len(os.sched_getaffinity(0))
    assert done.returncode == 0, done.stderr
    assert re.search(
        rf"^note: \d+ threads?: this process may run on {cpus} of 64 CPUs$", done.stderr, re.M
    )
