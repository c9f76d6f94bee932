"""What the page of a ranking benchmark shows, taken out of its JSON. All pure; keys that are absent are left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray_tasks.benchmark.report.words import finite, percent, signed, within

Result = Mapping[str, Any]
NIGHTREC, DOCUMENTS, NO_TEXT, EXPLORE = "nightrec", "nightrec_documents", "nightrec_no_text", "explore"
METRIC = "ndcg@10"
FEWER_IS_BETTER = ("popularity_percentile@10",)
SHOWN_FEATURES = 15


@dataclass(frozen=True)
class Catalogue:
    """The items that are ranked; `prefix` is what its keys begin with in a result."""

    name: str
    prefix: str

    def of(self, found: Mapping[str, Any], key: str) -> Any:
        """The catalogue's own value of a key, an empty mapping where there is none."""
        return found.get(self.prefix + key) or {}


ALL, CLEAN = Catalogue("all items", ""), Catalogue("clean catalogue", "clean_")


@dataclass(frozen=True)
class Effect:
    """A difference with its 95% interval, where one is known, and its p-value after Holm, where there is one."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    catalogue: str = ""

    @classmethod
    def of(cls, name: str, value: Any, ends: Any, p: Any = None) -> "Effect | None":
        """None where there is no value."""
        low, high = (finite(end) for end in ends) if isinstance(ends, list | tuple) and len(ends) == 2 else (None, None)
        found = finite(value)
        return None if found is None else cls(name, found, low, high, finite(p))

    @property
    def side(self) -> str:
        """`better` or `worse` where the interval leaves out zero, `open` where it holds it or is not known."""
        if self.low is None or self.high is None:
            return "open"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "open"

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return self.low is not None and self.high is not None

    @property
    def reach(self) -> str:
        """The interval in words."""
        return f"{signed(self.low)} to {signed(self.high)}" if self.known else "interval not recorded"


def catalogues(result: Result) -> list[Catalogue]:
    """The catalogues that a result has, the headline's first."""
    clean = "clean_lift" in result or any("clean_metrics" in row for row in result.get("models", {}).values())
    return [CLEAN, ALL] if clean else [ALL]


def gains(result: Result, catalogue: Catalogue) -> dict[str, float]:
    """NDCG@10 of each model, best first; of equal ones Nightrec, then by name."""
    models = result.get("models", {})
    found = {name: finite(catalogue.of(row, "metrics").get(METRIC)) for name, row in models.items()}
    return dict(sorted(((n, v) for n, v in found.items() if v is not None), key=lambda pair: _place(*pair)))


def baselines(result: Result, catalogue: Catalogue) -> list[str]:
    """Models that Nightrec is held against: those with a p-value, and the best."""
    best = catalogue.of(result, "best_baseline")
    return list(dict.fromkeys([*catalogue.of(result, "p_values"), *([best] if best else [])]))


def kind(model: str, rivals: Sequence[str]) -> str:
    """A model's class of colour: Nightrec itself, a baseline, or a part or variant of Nightrec."""
    return "ranker" if model == NIGHTREC else "plain" if model in rivals else "third"


def over_best(result: Result, catalogue: Catalogue) -> Effect | None:
    """Nightrec over the best baseline."""
    best = catalogue.of(result, "best_baseline") or "best baseline"
    return Effect.of(best, result.get(f"{catalogue.prefix}lift"), result.get(f"{catalogue.prefix}lift_ci"))


def by_text(result: Result, catalogue: Catalogue) -> Effect | None:
    """Nightrec over the same blend without any text."""
    return _over(result, catalogue, NO_TEXT, "text_lift")


def by_profiles(result: Result, catalogue: Catalogue) -> Effect | None:
    """Nightrec over the same blend without what the language model wrote."""
    return _over(result, catalogue, DOCUMENTS, "profile_lift")


def over_exploring(result: Result, catalogue: Catalogue) -> Effect | None:
    """Nightrec over the same lists with their last places given to new items: what exploration costs."""
    return _over(result, catalogue, EXPLORE, "explore_cost")


def _over(result: Result, catalogue: Catalogue, rival: str, key: str) -> Effect | None:
    key = catalogue.prefix + key
    return Effect.of(rival, result.get(key), result.get(f"{key}_ci"))


def lifts(result: Result, catalogue: Catalogue) -> list[Effect]:
    """Nightrec over each baseline, the hardest first.

    A lift is a ratio of means, so where a result has no `lifts` the value follows from the metrics; its interval does
    not.
    """
    scores, told = gains(result, catalogue), catalogue.of(result, "lifts")
    best, own = over_best(result, catalogue), scores.get(NIGHTREC)
    headline_lift = {best.name: {"lift": best.value, "ci": [best.low, best.high]}} if best else {}
    rivals = dict.fromkeys([*baselines(result, catalogue), *(m for m in told if not m.startswith(NIGHTREC))])
    found = []
    for model in rivals:
        one = told.get(model) or headline_lift.get(model, {})
        ratio = own / scores[model] - 1 if own is not None and scores.get(model) else None
        # Only `p_values` are corrected for their number; a lift's own p is not.
        p = catalogue.of(result, "p_values").get(model)
        found.append(Effect.of(model, one.get("lift", ratio), one.get("ci"), p))
    return sorted((effect for effect in found if effect), key=lambda effect: (effect.value, effect.name))


def ablations(result: Result, catalogue: Catalogue) -> list[Effect]:
    """Nightrec over itself with a part left out: texts, LLM profiles, and `ablations`."""
    told = catalogue.of(result, "ablations")
    found = [Effect.of(name, one.get("lift"), one.get("ci")) for name, one in told.items() if one]
    usual = [by_text(result, catalogue), by_profiles(result, catalogue)]
    named = {f"{NIGHTREC}_{name.removeprefix(f'{NIGHTREC}_')}" for name in told}
    return [*(one for one in usual if one and one.name not in named), *(one for one in found if one)]


def headline(result: Result) -> tuple[str, str]:
    """The outcome as a title and as one sentence, good or bad."""
    catalogue = catalogues(result)[0]
    lift, text = over_best(result, catalogue), by_text(result, catalogue)
    where = ", ".join([str(result.get("protocol", "")).upper(), *([CLEAN.name] if catalogue is CLEAN else [])])
    place = f"On {result.get('data', 'this data set')} ({where.strip(', ') or ALL.name}), "
    if not lift:
        return "No lift was recorded", f"{place}no comparison of Nightrec with a best baseline was recorded."
    best = "the best baseline" + (f", {within(lift.name)}," if lift.name != "best baseline" else "")
    size = percent(lift.value)
    title, told = {
        "better": (f"{size} better than the best baseline", f"Nightrec beats {best} by {size} in NDCG@10"),
        "worse": (f"{size} worse than the best baseline", f"Nightrec loses to {best} by {size} in NDCG@10"),
        "open": (
            "Not told apart from the best baseline",
            f"Nightrec is neither better nor worse than {best} beyond noise: {signed(lift.value)} in NDCG@10",
        ),
    }[lift.side]
    return title, f"{place}{told} (95% interval {lift.reach}){_text_said(text)}."


def _text_said(text: Effect | None) -> str:
    if not text:
        return ""
    told = {
        "better": f"its texts add {percent(text.value)} to the same blend without them",
        "worse": f"its texts cost {percent(text.value)} against the same blend without them",
        "open": f"what its texts add to the same blend without them is within noise: {signed(text.value)}",
    }[text.side]
    return f"; {told} ({text.reach})"


def metric_table(result: Result, catalogue: Catalogue) -> dict[str, Any]:
    """All metrics by model, best NDCG@10 first: `columns`, and `rows` of model, class, cells, lift of Nightrec, p."""
    models, rivals = result.get("models", {}), baselines(result, catalogue)
    columns = list(dict.fromkeys(c for row in models.values() for c in catalogue.of(row, "metrics")))
    values = {m: {c: finite(catalogue.of(row, "metrics").get(c)) for c in columns} for m, row in models.items()}
    best = {c: _best(c, [known for v in values.values() if (known := v[c]) is not None]) for c in columns}
    over = {effect.name: effect for effect in lifts(result, catalogue)}
    rows = [
        {
            "model": model,
            "kind": kind(model, rivals),
            "cells": [{"value": v, "best": v is not None and v == best[c]} for c, v in values[model].items()],
            "lift": over.get(model),
        }
        for model in sorted(models, key=lambda m: _place(m, values[m].get(METRIC) or 0.0))
        if any(v is not None for v in values[model].values())
    ]
    return {"columns": columns, "rows": rows, "compared": bool(over)}


def slices(result: Result) -> list[dict[str, Any]]:
    """Parts of users and items, the headline's catalogue first; what only all items have comes after.

    Groups of users by an attribute are not among them (see `groups`).
    Each is a name, catalogue, metric, users, and rows of (model, value, class) of all models, best first.
    """
    panels: list[dict[str, Any]] = []
    for catalogue in catalogues(result):
        by_model = {m: catalogue.of(row, "slices") for m, row in result.get("models", {}).items()}
        rivals = baselines(result, catalogue)
        for name in dict.fromkeys(s for found in by_model.values() for s in found):
            if "=" in name or name in {panel["name"] for panel in panels}:
                continue
            parts = {m: found[name] for m, found in by_model.items() if name in found}
            measure = next((k for part in parts.values() for k in part if k != "users"), METRIC)
            rows = [(m, v, kind(m, rivals)) for m, p in parts.items() if (v := finite(p.get(measure))) is not None]
            users = max((finite(p.get("users")) or 0 for p in parts.values()), default=0)
            overall = list(gains(result, catalogue))
            rows.sort(key=lambda row: (-row[1], overall.index(row[0]) if row[0] in overall else len(overall)))
            panels.append({"name": name, "catalogue": catalogue.name, "metric": measure, "users": users, "rows": rows})
    return panels


def told_apart(panel: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    """Of a slice's models those that answer most: Nightrec, without text, and its two best baselines."""
    rivals = [row for row in panel["rows"] if row[2] == "plain"][:2]
    return [row for row in panel["rows"] if row[0] in (NIGHTREC, NO_TEXT) or row in rivals]


def importance(found: Mapping[str, Any]) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """The ranker's features by share of the trees' gain, largest first: those to show, and the rest."""
    shares = sorted((found.get("feature_importance") or {}).items(), key=lambda pair: (-pair[1], pair[0]))
    return shares[:SHOWN_FEATURES], shares[SHOWN_FEATURES:]


def _place(model: str, value: float) -> tuple[float, bool, str]:
    return -value, model != NIGHTREC, model


def _best(metric: str, values: Sequence[float]) -> float | None:
    return (min if metric in FEWER_IS_BETTER else max)(values, default=None)
