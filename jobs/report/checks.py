"""What an engineer wants to know first: is anything wrong with this night?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jobs.report.history import Summary, dig
from jobs.report.task_times import task_times
from jobs.report.words import label, seconds

Level = Literal["ok", "warn", "bad"]

# A night may lose so much before the report calls it to attention.
QUARANTINE_SHARE = 0.05
METRIC_DROP = 0.05


@dataclass(frozen=True)
class Check:
    """One question answered: `level` is ok, warn or bad; `detail` gives the figures."""

    level: Level
    title: str
    detail: str


def night_checks(summary: Summary, earlier: Sequence[Summary]) -> list[Check]:
    """Every check that the night's figures allow, the worst first."""
    found = [
        _tasks(summary),
        _slow(summary, earlier),
        _manifest(summary),
        _balance(summary),
        _quarantine(summary),
        _ranker(summary),
        _trend(summary, earlier),
        _budget(summary),
    ]
    severity = {"bad": 0, "warn": 1, "ok": 2}
    return sorted((check for check in found if check), key=lambda check: severity[check.level])


def _tasks(summary: Summary) -> Check:
    failed = [failure["task"] for failure in summary["failures"]]
    if failed:
        return Check("bad", "Tasks failed", ", ".join(failed))
    if summary["missing"]["tasks"]:
        return Check("bad", "Tasks did not run", ", ".join(summary["missing"]["tasks"]))
    again = [f"{t['name']} at attempt {t['attempt']}" for t in summary["tasks"] if t["attempt"] > 1]
    detail = f"{len(summary['tasks'])} tasks" + (f"; {', '.join(again[:3])}" if 0 < len(again) <= 3 else "")
    return Check("ok", "All tasks succeeded", detail)


def _slow(summary: Summary, earlier: Sequence[Summary]) -> Check | None:
    slow = [time for time in task_times(summary, earlier) if time.is_slow]
    told = [f"{time.task['name']} {seconds(time.task['seconds'])}, usually {seconds(time.usual)}" for time in slow]
    return Check("warn", "Slower than usual", "; ".join(told)) if told else None


def _manifest(summary: Summary) -> Check:
    if not summary["published"]:
        return Check("bad", "Not published", "runs has no row with this content: consumers do not see it")
    count = summary["published"]["tables"]
    detail = f"row {summary['published']['sequence']} of runs names {count} table{'' if count == 1 else 's'}"
    if summary["same_content"]:
        detail += "; same content as before"
    return Check("ok", "Published", detail)


def _balance(summary: Summary) -> Check | None:
    wrong = [entity for entity, holds in summary["rows_balanced"].items() if holds is False]
    if wrong:
        return Check("bad", "Rows were lost", f"in is not out + quarantined for {', '.join(wrong)}")
    known = [entity for entity, holds in summary["rows_balanced"].items() if holds]
    return Check("ok", "No row lost", f"in = out + quarantined for {', '.join(known)}") if known else None


def _quarantine(summary: Summary) -> Check | None:
    rows = sum(summary["rows_in"].values())
    if not rows:
        return None
    dropped = summary["quarantined_rows"]
    share = dropped / rows
    level: Level = "warn" if share > QUARANTINE_SHARE else "ok"
    return Check(level, "Quarantine", f"{dropped:,} of {rows:,} source rows ({share:.2%})")


def _ranker(summary: Summary) -> Check | None:
    versus = summary["ranker_vs_best"]
    if not versus or not versus["ratio"]:
        return None
    detail = f"NDCG@10 {versus['ranker']:.4f}, {label(summary['best_single_source'])} alone {versus['best']:.4f}"
    if versus["ratio"] < 1:
        return Check("warn", "Ranker below a single source", detail)
    return Check("ok", "Ranker at or above every source", detail)


def _trend(summary: Summary, earlier: Sequence[Summary]) -> Check | None:
    path = ("metrics", "ranker", "all", "ndcg@10")
    now, before = dig(summary, *path), dig(earlier[-1], *path) if earlier else None
    if now is None or not before:
        return None
    change = now / before - 1
    level: Level = "warn" if change < -METRIC_DROP else "ok"
    return Check(level, "Ranker against the night before", f"NDCG@10 {change:+.1%} since {earlier[-1]['run_date']}")


def _budget(summary: Summary) -> Check | None:
    tokens = summary["tokens"]
    if not summary["profiles"]:
        return None
    over = tokens["spent"] > tokens["budget"]
    detail = f"{tokens['spent']:,} of {tokens['budget']:,} tokens"
    return Check("warn" if over else "ok", "Over the token budget" if over else "Within the token budget", detail)
