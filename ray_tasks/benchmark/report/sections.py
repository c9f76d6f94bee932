"""Sections of the page, as its templates take them: what texts and the language model add, groups, new items, costs."""

from dataclasses import replace
from typing import Any

from ray_tasks.benchmark.report import charts, costs, figures, groups, reranked, words
from ray_tasks.benchmark.report.figures import Catalogue, Result
from ray_tasks.benchmark.report.forests import forest

PARTS = {figures.NO_TEXT: "All texts", figures.DOCUMENTS: "LLM profiles"}
"""What a variant of Nightrec lacks, which is what Nightrec has over it."""
KNOWS = {
    figures.NIGHTREC: "interactions, item texts, LLM profiles",
    figures.DOCUMENTS: "interactions, item texts",
    figures.NO_TEXT: "interactions",
}


def added(result: Result) -> list[dict[str, Any]]:
    """What texts and the language model add, by catalogue, the headline's first and with the re-ranking."""
    shown = figures.catalogues(result)
    found = [_added(result, catalogue, catalogue is shown[0]) for catalogue in shown]
    return [one for one in found if one["forest"] or len(one["variants"]) > 1]


def _added(result: Result, catalogue: Catalogue, is_headline: bool) -> dict[str, Any]:
    effects = figures.ablations(result, catalogue)
    arms = reranked.arms(result) if is_headline else []
    marks = {reranked.chosen(result): "chosen on validation"}
    changes = [
        replace(change, catalogue=marks.get(change.name, ""))
        for arm in arms
        if arm.best and (change := arm.best.change)
    ]
    names = PARTS | {one.name: f"Re-ranked: {words.arm(one.name.removesuffix(reranked.BLENDED))}" for one in changes}
    return {
        "name": catalogue.name,
        "forest": forest([*effects, *changes], lambda name: names.get(name) or words.label(name)),
        "reranked": bool(arms),
        "variants": _variants(result, catalogue) + (_orders(result) if arms else []),
    }


def _variants(result: Result, catalogue: Catalogue) -> list[dict[str, Any]]:
    """Rows of the blend and of itself with less to know."""
    scores, users = figures.gains(result, catalogue), words.finite(result.get(f"{catalogue.prefix}users"))
    without = KNOWS if figures.DOCUMENTS in scores else {**KNOWS, figures.NIGHTREC: KNOWS[figures.DOCUMENTS]}
    return [
        {"name": words.label(name), "knows": knows, "users": users, "ndcg": scores[name]}
        for name, knows in without.items()
        if name in scores
    ]


def _orders(result: Result) -> list[dict[str, Any]]:
    """Rows of the ranker's order and of the best one of the language model, for the users that were compared."""
    users, name = reranked.counts(result)[0], reranked.first_on_validation(result)
    order = reranked.order_of(result, name) if name else None
    rows = [{"name": "Nightrec, users of the re-ranking", "knows": "as above", "ndcg": reranked.ranker_ndcg(result)}]
    if name and order:
        told = "chosen" if name == reranked.chosen(result) else "first, not chosen,"
        knows = f"{words.opening(words.arm(name))}: {told} on validation"
        rows.append({"name": "Re-ranked", "knows": knows, "ndcg": order.ndcg})
    return [{**row, "users": users} for row in rows]


def rerank(result: Result) -> dict[str, Any] | None:
    """The arms of re-ranking as rows, and what there is to say of them; None where nothing was asked."""
    arms = reranked.arms(result)
    if not arms:
        return None
    most = max((abs(one) for arm in arms for one in arm.bias), default=0.0)
    alone = [arm.alone.change for arm in arms if arm.alone and arm.alone.change and arm.blended]
    return {
        "said": _outcome(result),
        "spent": _spent(result),
        "rows": [
            {
                "arm": arm,
                "name": words.opening(words.arm(arm.name)),
                "helps": bool(arm.best and arm.best.helps),
                "bias": words.bias(arm.bias),
                "places": charts.places(arm.bias, most) if arm.bias else "",
            }
            for arm in arms
        ],
        "alone": forest(alone, lambda name: words.opening(words.arm(name))),
    }


def _outcome(result: Result) -> str:
    name = reranked.chosen(result)
    order = reranked.order_of(result, name) if name else None
    users, asked = map(words.number, reranked.counts(result))
    whom = f"Of {users} test users compared the model was asked about {asked}; no order changes the others' NDCG@10."
    if not name:
        return f"On validation no order helped beyond noise, so the ranker's stays. {whom}"
    change = order.change if order else None
    told = {
        "better": "on the test users it helps",
        "worse": "on the test users it harms",
        "open": "on the test users it changes nothing beyond noise",
    }[change.side if change else "open"]
    size = f": {words.signed(change.value)} ({change.reach})" if change else ""
    return f"Validation chose this order: {words.arm(name)}; {told}{size}. {whom}"


def _spent(result: Result) -> str:
    """Model, budget and training in one line."""
    told = result["rerank"]
    tuning = told.get("tuning") or {}
    parts = [
        f"Model {told['model']}" if told.get("model") else "",
        f"at most {words.number(budget)} tokens" if (budget := words.finite(told.get("tokens_budget"))) else "",
        f"{words.duration(seconds)} in all" if (seconds := words.finite(told.get("seconds"))) else "",
    ]
    spent = ", ".join(part for part in parts if part)
    if pairs := words.finite(tuning.get("pairs")):
        seconds, ended = words.finite(tuning.get("seconds")), tuning.get("ended_by", "")
        spent += f". Tuning: {words.number(pairs)} next-item pairs, {words.duration(seconds)}"
        spent += f", ended by {ended}" if ended else ""
    return f"{spent}." if spent else ""


def users_by_group(result: Result) -> list[dict[str, Any]]:
    """Groups of users, by catalogue, the headline's first."""
    found: list[dict[str, Any]] = [
        {"name": one.name, "gaps": groups.gaps(result, one), "table": groups.group_table(result, one)}
        for one in figures.catalogues(result)
    ]
    return [one for one in found if one["gaps"] or one["table"]["rows"]]


def spent(result: Result) -> dict[str, Any]:
    """Time by stage as bars, and what models of other libraries took."""
    stages = costs.stages(result)
    most = max((seconds for _, seconds in stages), default=0.0) or 1
    return {
        "stages": [
            (name, seconds, seconds / most, "plain" if name == costs.REST else "third") for name, seconds in stages
        ],
        "peers": costs.peers(result),
        "check": costs.metric_check(result),
        "profiles": costs.profiles(result),
    }
