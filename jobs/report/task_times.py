"""How long each task took, beside what it took on earlier nights."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from jobs.report.history import Summary

SLOW, SLOW_SECONDS = 1.5, 20.0
"""A task is slow that took so many times its usual time, and so many seconds more: small ones vary for no reason."""


@dataclass(frozen=True)
class TaskTime:
    """One task of the night; `usual` is its median wall time in seconds, None where no earlier night can tell."""

    task: dict[str, Any]
    usual: float | None

    @property
    def is_slow(self) -> bool:
        """True if it took far longer than usual."""
        if self.usual is None:
            return False
        return bool(self.task["seconds"] > max(SLOW * self.usual, self.usual + SLOW_SECONDS))


def task_times(summary: Summary, earlier: Sequence[Summary]) -> list[TaskTime]:
    """The tasks, each beside earlier nights on which it did what it does tonight: compute, or repeat a night."""
    known: dict[tuple[str, bool], list[float]] = {}
    for night in earlier:
        for task in night.get("tasks", []):
            if task["status"] == "success":
                known.setdefault(_work(task), []).append(task["seconds"])
    return [TaskTime(task, median(known[_work(task)]) if _work(task) in known else None) for task in summary["tasks"]]


def _work(task: dict[str, Any]) -> tuple[str, bool]:
    return task["name"], bool(task.get("repeats"))
