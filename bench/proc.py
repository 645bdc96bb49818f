"""CPU time and memory of a process and everything below it, read from /proc.

Promises: the CPU seconds of a tree never go down while its root lives: a child that ends is counted on in the
`cutime` and `cstime` of the parent that reaped it.

Doesn't promise: to see a daemon that left the tree, or finer than one kernel tick (10 ms); measure long enough.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ForeignLoad", "ProcessStat", "cpu_seconds", "descendants", "parse_busy_ticks", "parse_stat", "resident_mb"]

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """The fields of /proc/PID/stat that we need; times are in kernel ticks, `rss_pages` in pages. See proc(5)."""

    pid: int
    parent: int
    ticks: int
    rss_pages: int


def parse_stat(text: str) -> ProcessStat:
    """Read one line of /proc/PID/stat. The command's name may hold spaces and brackets, so cut at the last `)`."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    # proc(5) counts from 1 and `tail` starts at field 3 (state): field N is fields[N - 3].
    return ProcessStat(
        pid=int(head.split("(", 1)[0]),
        parent=int(fields[1]),
        ticks=sum(int(value) for value in fields[11:15]),  # 14 utime, 15 stime, 16 cutime, 17 cstime
        rss_pages=int(fields[21]),
    )


def _all_processes() -> Iterable[ProcessStat]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield parse_stat((entry / "stat").read_text(encoding="utf-8", errors="replace"))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended between the listing and the reading


def descendants(root: int, processes: Iterable[ProcessStat]) -> list[ProcessStat]:
    """`root` and everything below it, in no promised order."""
    children: dict[int, list[ProcessStat]] = {}
    found: list[ProcessStat] = []
    for process in processes:
        children.setdefault(process.parent, []).append(process)
        if process.pid == root:
            found.append(process)
    for process in found:  # grows while we walk it
        found.extend(children.get(process.pid, ()))
    return found


def cpu_seconds(root: int) -> float:
    """User plus system time that the tree under `root` has used so far."""
    return sum(process.ticks for process in descendants(root, _all_processes())) * _TICK


def resident_mb(root: int) -> float:
    """Resident memory of the tree in MiB; pages that its processes share are counted once for each."""
    return sum(process.rss_pages for process in descendants(root, _all_processes())) * _PAGE_MB


def parse_busy_ticks(text: str) -> int:
    """Ticks in which some process or interrupt had a core, or the host took it away, from /proc/stat."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(value) for value in text.split()[1:9])
    return user + nice + system + irq + softirq + steal


class ForeignLoad:
    """How much of this machine's cores others used since it was made: the first thing to know about noise."""

    def __init__(self) -> None:
        self._before, self._started = self._others(), time.monotonic()

    @staticmethod
    def _others() -> float:
        machine = parse_busy_ticks(Path("/proc/stat").read_text(encoding="utf-8")) * _TICK
        return machine - cpu_seconds(os.getpid())

    def share(self) -> float:
        """0 when this process and its children had the machine to themselves, 1 when others had all of it."""
        seconds = (time.monotonic() - self._started) * (os.cpu_count() or 1)
        return max(0.0, (self._others() - self._before) / seconds)
