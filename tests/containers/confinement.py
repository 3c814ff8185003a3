"""A control group that holds several containers at once, and what its processes needed at most.

In: limits of memory and cores. Out: a group for Compose's `cgroup_parent`; the peak of the group
(page cache included) and of each process. Needs root, and Docker with the driver cgroupfs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_MOUNT = Path("/sys/fs/cgroup")
_PERIOD_MICROSECONDS = 100_000


@dataclass(frozen=True, slots=True)
class Peak:
    """One process: `resident_mib` is its largest resident set (VmHWM of proc(5))."""

    container: str
    command: str
    resident_mib: float


@dataclass(frozen=True, slots=True)
class Group:
    """Below the root of every hierarchy."""

    name: str

    @property
    def memory(self) -> Path:
        """Its folder for memory; version 1 has hierarchies of their own."""
        return (_MOUNT / "memory" if _is_version_1() else _MOUNT) / self.name

    def peak_mib(self) -> float:
        """Most that was charged to the group at one time."""
        name = "memory.max_usage_in_bytes" if _is_version_1() else "memory.peak"
        return int((self.memory / name).read_text()) / 2**20

    def killed(self) -> int:
        """Processes that were ended for want of memory."""
        name = "memory.oom_control" if _is_version_1() else "memory.events"
        groups = [self.memory, *(path.parent for path in self.memory.rglob(name))]
        facts = [dict(_pairs((group / name).read_text())) for group in set(groups)]
        return sum(int(fact.get("oom_kill", 0)) for fact in facts)

    def peaks(self, names: dict[str, str]) -> list[Peak]:
        """Every living process, largest first. `names`: container id -> service."""
        found = []
        for folder in self.memory.iterdir():
            if folder.is_dir():
                for line in (folder / "cgroup.procs").read_text().split():
                    found.append(_peak(names.get(folder.name, folder.name[:12]), int(line)))
        return sorted((peak for peak in found if peak), key=lambda peak: -peak.resident_mib)


@contextmanager
def confined(name: str, memory_bytes: int, cores: float) -> Iterator[Group]:
    """The group, until the block ends; it stays where containers do that are kept."""
    group = Group(name)
    quota = int(cores * _PERIOD_MICROSECONDS)
    folders = [group.memory]
    group.memory.mkdir(exist_ok=True)
    if _is_version_1():
        folders.append(_MOUNT / "cpu" / name)
        folders[1].mkdir(exist_ok=True)
        (group.memory / "memory.limit_in_bytes").write_text(str(memory_bytes))
        (folders[1] / "cpu.cfs_quota_us").write_text(str(quota))
    else:
        (group.memory / "memory.max").write_text(str(memory_bytes))
        (group.memory / "cpu.max").write_text(f"{quota} {_PERIOD_MICROSECONDS}")
    try:
        yield group
    finally:
        for folder in folders:
            with suppress(OSError):
                folder.rmdir()


def _is_version_1() -> bool:
    return (_MOUNT / "memory").is_dir()


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, value = line.split()
        yield name, value


def _peak(container: str, process_id: int) -> Peak | None:
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
        words = Path(f"/proc/{process_id}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    resident = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
    command = " ".join(word.decode(errors="replace") for word in words[:6]).strip()
    return Peak(container, command[:80], resident[0] / 1024) if resident else None
