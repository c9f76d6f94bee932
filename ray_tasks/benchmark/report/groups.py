"""Groups of users, and new items, taken out of a result. All pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray_tasks.benchmark.report.figures import (
    EXPLORE,
    METRIC,
    NIGHTREC,
    NO_TEXT,
    Catalogue,
    Effect,
    Result,
    baselines,
    catalogues,
    gains,
    kind,
    over_exploring,
)
from ray_tasks.benchmark.report.words import finite, label

NEW, KNOWN, RECALL = "new items", "warm items", "recall@20"


@dataclass(frozen=True)
class Gap:
    """The groups of an attribute that are served best and worst, with NDCG@10, and the difference (not relative)."""

    attribute: str
    groups: float | None
    best: tuple[str, float | None]
    worst: tuple[str, float | None]
    difference: Effect


def gaps(result: Result, catalogue: Catalogue) -> list[Gap]:
    """One for each attribute of users that has groups to compare."""
    found = []
    for name, told in catalogue.of(result, "fairness").items():
        gap = told.get("difference") if isinstance(told, Mapping) else None
        effect = Effect.of(name, gap.get("value"), [gap.get("low"), gap.get("high")]) if gap else None
        if effect:
            best, worst = ((str(told.get(end, "")), finite(told.get(f"{end}_ndcg@10"))) for end in ("best", "worst"))
            found.append(Gap(name, finite(told.get("groups")), best, worst, effect))
    return found


def group_table(result: Result, catalogue: Catalogue) -> dict[str, Any]:
    """NDCG@10 of each group: `models` to compare, and `rows` of attribute, group, users, values by model.

    The models are Nightrec, the same without texts, and the best baseline.
    """
    wanted = [NIGHTREC, NO_TEXT, catalogue.of(result, "best_baseline") or ""]
    parts = {name: catalogue.of(row, "slices") for name, row in result.get("models", {}).items() if name in wanted}
    models = [name for name in wanted if any("=" in part for part in parts.get(name, ()))]
    rows = []
    for name in dict.fromkeys(part for model in models for part in parts[model] if "=" in part):
        of_group = [parts[model].get(name, {}) for model in models]
        users = max((finite(one.get("users")) or 0 for one in of_group), default=0)
        attribute, group = name.split("=", 1)
        rows.append((attribute, group, users, [finite(one.get(METRIC)) for one in of_group]))
    return {"models": models, "rows": rows}


def new_items(result: Result) -> dict[str, Any] | None:
    """What becomes of items without any interaction; None where no catalogue has such.

    The models: Nightrec, the same with exploration and without texts, and of the baselines the one that finds most new
    items. `bars` hold Recall@20 of new items, `rows` Recall@20 of known items and NDCG@10 of everything, `costs` what
    exploration takes off NDCG@10, by catalogue.
    """
    for catalogue in catalogues(result):
        parts = {name: catalogue.of(row, "slices") for name, row in result.get("models", {}).items()}
        found = {name: value for name, part in parts.items() if (value := _recall(part, NEW)) is not None}
        if not found:
            continue
        scores, rivals = gains(result, catalogue), baselines(result, catalogue)
        best = _best((name for name in rivals if name in found), found, scores)
        shown = [name for name in (EXPLORE, NIGHTREC, NO_TEXT, *best) if name in found]
        most = max((found[name] for name in shown), default=0.0) or 1
        return {
            "catalogue": catalogue.name,
            "users": max(finite(part.get(NEW, {}).get("users")) or 0 for part in parts.values()),
            "bars": [(label(name), found[name], found[name] / most, kind(name, rivals)) for name in shown],
            "rows": [(name, _recall(parts[name], KNOWN), scores.get(name)) for name in shown],
            "costs": [(one.name, cost) for one in catalogues(result)[::-1] if (cost := over_exploring(result, one))],
        }
    return None


def _recall(part: Mapping[str, Any], name: str) -> float | None:
    return finite(part.get(name, {}).get(RECALL))


def _best(models: Iterable[str], found: Mapping[str, float], scores: Mapping[str, float]) -> Sequence[str]:
    """The model that finds most, ties to the better NDCG@10 and then by name; none of none."""
    return sorted(models, key=lambda name: (-found[name], -scores.get(name, 0.0), name))[:1]
