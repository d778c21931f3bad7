"""Limits of the container that this process runs in, as Linux tells them in its control groups.

A process belongs to groups that lie in one another, and the strictest of them counts. Version 2 of
control groups has one tree; version 1 has one for processors, one for memory, and so on.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def cpu_quota(root: Path = ROOT) -> float | None:
    """Return how many processors' time the container may use; None when there is no limit.

    Args:
        root: Folder in which ``proc`` and the mounts of the control groups lie.
    """
    quotas: list[float] = []
    for group in _groups(root, "cpu"):
        with suppress(OSError, ValueError):  # not there, or "max": no limit
            quota, period = (group / "cpu.max").read_text().split()
            quotas.append(int(quota) / int(period))
        with suppress(OSError, ValueError):
            used = int((group / "cpu.cfs_quota_us").read_text())
            quotas.append(used / int((group / "cpu.cfs_period_us").read_text()))
    return min((quota for quota in quotas if quota > 0), default=None)  # -1 is no limit


def memory_limit(root: Path = ROOT) -> int | None:
    """Return how many bytes the container may use; None when there is no limit.

    Args:
        root: Folder in which ``proc`` and the mounts of the control groups lie.
    """
    limits: list[int] = []
    for group in _groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(OSError, ValueError):
                limits.append(int((group / name).read_text()))
    return min(limits, default=None)


def memory_left(root: Path = ROOT) -> int | None:
    """Return how many bytes the container may still take; None when there is no limit.

    What the kernel keeps of files that were read counts as free: it is given up when need be.

    Args:
        root: Folder in which ``proc`` and the mounts of the control groups lie.
    """
    left: list[int] = []
    for group in _groups(root, "memory"):
        for limit, used, kept in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            with suppress(OSError, ValueError):
                free = int((group / limit).read_text()) - int((group / used).read_text())
                left.append(max(0, free + _statistic(group / "memory.stat", kept)))
    return min(left, default=None)


def _statistic(path: Path, name: str) -> int:
    with suppress(OSError):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the groups of this process, in both versions, each with all those around it."""
    own = _own_groups(root)
    for mounted, point, controllers in _mounts(root):
        names = controllers or {""}
        if controllers and controller not in controllers:
            continue
        place = next((own[name] for name in names if name in own), PurePosixPath("/"))
        top = root / point.relative_to("/")
        # A container may see the tree from its own group on, or groups outside of its view.
        inside = place.relative_to(mounted) if place.is_relative_to(mounted) else PurePosixPath()
        if ".." in inside.parts:
            inside = PurePosixPath()
        yield from (top / inside, *((top / inside).parents[: len(inside.parts)]))


def _own_groups(root: Path) -> dict[str, PurePosixPath]:
    """Return the groups of this process by controller; that of version 2 has no name."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return {}
    found: dict[str, PurePosixPath] = {}
    for line in lines:
        _, controllers, place = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), PurePosixPath(place))
    return found


def _mounts(root: Path) -> Iterator[tuple[PurePosixPath, PurePosixPath, set[str]]]:
    """Yield the part of a tree that is mounted, where, and its controllers (none in version 2)."""
    try:
        lines = (root / "proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        before, _, after = line.partition(" - ")
        kind, _, options = after.partition(" ")
        if kind not in ("cgroup", "cgroup2"):
            continue
        _, _, _, mounted, point, *_ = before.split(" ")
        controllers = set(options.split(" ")[-1].split(",")) if kind == "cgroup" else set[str]()
        yield PurePosixPath(mounted), PurePosixPath(point), controllers
