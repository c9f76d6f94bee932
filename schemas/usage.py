"""Wall time, CPU time and memory of a task, its child processes and (under spark-submit) its JVM."""

import os
import resource
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

LOOKING = 0.02
"""Share of a core that looking at memory may take: the kernel walks all pages of every process for it."""


class UsageMeter:
    """Samples the process tree once per interval (seconds) while the `with` body runs.

    Memory is the largest sum of resident set sizes seen. A page that n processes share counts as 1/n for each (the
    kernel's proportional set size), since Ray's workers all map one object store; where the kernel does not tell,
    it counts for each. A tree of gigabytes is looked at less often, see LOOKING. CPU seconds are summed over all
    processes seen, each at its last sample.
    """

    def __init__(self, interval: float = 0.5) -> None:
        self.interval = interval
        self._cpu: dict[int, float] = {}
        self._peak, self._due = 0, 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def read(self) -> dict[str, float]:
        """Figures so far: `seconds`, `cpu_seconds`, `peak_rss_mb`, and `driver_rss_mb` of this process alone."""
        self._sample(always=True)
        return {
            "seconds": round(time.monotonic() - self._started, 2),
            "cpu_seconds": round(sum(self._cpu.values()), 2),
            "peak_rss_mb": round(self._peak / 2**20),
            "driver_rss_mb": round(_own_peak() / 2**20),
        }

    def _run(self) -> None:
        while not self._stop.wait(self.interval):
            self._sample()

    def _sample(self, *, always: bool = False) -> None:
        rss, looks, started = 0, always or time.monotonic() >= self._due, time.monotonic()
        for process in _tree():
            try:
                times = process.cpu_times()
                self._cpu[process.pid] = times.user + times.system
                rss += _resident(process) if looks else 0
            except psutil.Error:
                continue  # it ended between the listing and the look
        if looks:
            self._peak = max(self._peak, rss)
            ended = time.monotonic()
            self._due = ended + (ended - started) / LOOKING


def _own_peak() -> int:
    """Most bytes that this process ever had in memory.

    Linux tells it as VmHWM; what getrusage says there is at least what the process that started this one had.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    lines = status.read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _resident(process: psutil.Process) -> int:
    """Bytes of a process in memory, of shared pages its share."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return int(process.memory_info().rss)
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _tree() -> list[psutil.Process]:
    me = psutil.Process(os.getpid())
    parent = me.parent()
    above = [parent] if parent is not None and parent.name() == "java" else []
    return [*above, me, *me.children(recursive=True)]
