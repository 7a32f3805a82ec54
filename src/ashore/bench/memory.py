"""Peak memory of this process and of all that it starts."""

from __future__ import annotations

import os
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_every_seconds: Final = 0.1
_proc: Final = Path("/proc")


@dataclass(slots=True)
class PeakMemory:
    """The greatest resident size that each process had, by its id. Complete once the context has ended."""

    peaks_kb: dict[int, int] = field(default_factory=dict)

    @property
    def sum_mb(self) -> float:
        """The sum over the processes, each at its own peak: no less than what they held at any one time."""
        return sum(self.peaks_kb.values()) / 1024


@contextmanager
def peak_memory() -> Iterator[PeakMemory]:
    """Watch this process and its descendants while the context lasts.

    Linux keeps each process's peak (VmHWM) itself; it is read ten times a second, so only what a process grows by in
    its last tenth of a second is missed. Elsewhere: the peak of this process, and that of its largest ended child.
    Source: https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
    """
    memory = PeakMemory()
    if sys.platform != "linux":
        yield memory
        a_kb = 1024 if sys.platform == "darwin" else 1
        for number, who in enumerate((resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)):
            memory.peaks_kb[number] = resource.getrusage(who).ru_maxrss // a_kb
        return
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_every_seconds):
            _look(memory)

    watcher = threading.Thread(target=watch, name="peak memory", daemon=True)
    watcher.start()
    try:
        yield memory
    finally:
        done.set()
        watcher.join()
        _look(memory)


def _look(memory: PeakMemory) -> None:
    for pid in (os.getpid(), *_descendants(os.getpid())):
        peak = int(_status(pid).get("VmHWM", "0 kB").split()[0])
        memory.peaks_kb[pid] = max(peak, memory.peaks_kb.get(pid, 0))


def _descendants(root: int) -> set[int]:
    parents = {pid: int(_status(pid).get("PPid", "0")) for pid in _running()}
    found: set[int] = set()
    waiting = [root]
    while waiting:
        parent = waiting.pop()
        children = {pid for pid, of in parents.items() if of == parent} - found
        found |= children
        waiting += children
    return found


def _running() -> list[int]:
    return [int(folder.name) for folder in _proc.iterdir() if folder.name.isdigit()]


def _status(pid: int) -> dict[str, str]:
    try:
        lines = (_proc / str(pid) / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
