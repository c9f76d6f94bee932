"""What a comparison took, and the second opinion on its metrics, taken out of a result. All pure."""

from collections.abc import Mapping
from typing import Any

from ray_tasks.benchmark.report.figures import Result, catalogues
from ray_tasks.benchmark.report.words import duration, finite, number

STAGES = {
    "tune": "Tuning all models",
    "fit": "Fitting again",
    "learn": "Training the rankers",
    "rank": "Ranking the test users",
    "rerank": "Re-ranking by the language model",
}
"""Stages in words, in the order in which they run."""
LLM_PROFILES, REST = "Item profiles by the language model", "All else"


def stages(result: Result) -> list[tuple[str, float]]:
    """Stages and their seconds, the longest first; what no stage accounts for comes last."""
    told = {name: finite(value) or 0.0 for name, value in (result.get("stage_seconds") or {}).items()}
    if not told:
        return []
    found = {STAGES.get(name, name.replace("_", " ").capitalize()): value for name, value in told.items() if value}
    if profiles := finite((result.get("profiles") or {}).get("seconds")):
        found[LLM_PROFILES] = profiles
    rows = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    rest = (finite(result.get("seconds")) or 0.0) - sum(found.values())
    return [*rows, (REST, rest)] if rest >= 1 else rows


def peers(result: Result) -> list[tuple[str, float | None, float | None, float | None]]:
    """Models of other libraries: seconds, seconds of CPU, and the most memory, MB; the longest first."""
    told = {name: one for name, one in (result.get("peer_costs") or {}).items() if isinstance(one, Mapping)}
    rows = [
        (name, finite(one.get("seconds")), finite(one.get("cpu_seconds")), finite(one.get("peak_rss_mb")))
        for name, one in told.items()
    ]
    return sorted(rows, key=lambda row: (-(row[1] or 0.0), row[0]))


def metric_check(result: Result) -> str:
    """One sentence on the second implementation of the metrics, over all catalogues; "" where there was none."""
    checks = [one for catalogue in catalogues(result) if (one := catalogue.of(result, "metric_check"))]
    worst = max((finite(one.get("max_abs_difference")) or 0.0 for one in checks), default=0.0)
    if not checks:
        return ""
    first = checks[0]
    library = " ".join(str(first[key]) for key in ("library", "version") if first.get(key)) or "a second implementation"
    of_whom = f"{number(finite(first.get('users')))} users and {len(first.get('models') or ())} models"
    size = "none at all" if not worst else f"{worst:.0e}"
    return f"{library} computes them too, for each of {of_whom}: the largest difference is {size}"


def profiles(result: Result) -> str:
    """One sentence on who described the items; "" where nobody did."""
    told: Mapping[str, Any] = result.get("profiles") or {}
    by_llm, by_template = (finite(told.get(key)) or 0.0 for key in ("by_llm", "by_template"))
    items = by_llm + by_template
    if not items:
        return ""
    if not by_llm:
        return f"A template described all {number(items)} items, the language model none."
    # A second run finds the first one's answers, and takes no time.
    seconds = finite(told.get("seconds"))
    spent = f"{number(finite(told.get('tokens')))} tokens, {duration(seconds) if seconds else 'in an earlier run'}"
    return f"The language model described {number(by_llm)} of {number(items)} items ({spent}), a template the others."
