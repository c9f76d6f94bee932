"""Figures of a night, each group from what its tasks left: rows, profiles, the funnel, metrics. All pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from schemas.candidates_config import SOURCES
from schemas.config import RunConfig
from schemas.source_config import ENTITIES

Record = Mapping[str, Any]

METRICS = ("ndcg@10", "recall@20", "coverage@10")
RANKER = "ranker"


def metric_tree(rows: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, int]]:
    """Rows of `evaluations` (time split) as {model: {slice: {metric: value}}}, and users per slice."""
    tree: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    for row in rows:
        if row["protocol"] != "time_split":
            continue
        tree.setdefault(row["model"], {}).setdefault(row["slice"], {})[row["metric"]] = row["value"]
        if not row["metric"].startswith("coverage"):
            sizes[row["slice"]] = max(sizes.get(row["slice"], 0), int(row["n_users"]))
    return tree, sizes


def funnel(rows_in: Mapping[str, int], tables: Mapping[str, Any], counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """From source rows to explanations: steps with `rows`, those that are unknown left out."""

    def rows(table: str) -> int | None:
        return tables[table]["rows"] if table in tables else None

    source, events, users = (
        rows_in.get("interactions"),
        rows("interactions"),
        counts.get("users", rows("user_histories")),
    )
    proposed, lists = counts.get("serving_candidates"), rows("recommendations")
    steps = (
        ("source rows", source, "interactions of the source"),
        ("interactions", events, _relation(events, source, "{:.2%} of the source rows")),
        ("users", users, _relation(events, users, "{:,.1f} interactions each")),
        ("candidates", proposed, _relation(proposed, users, "{:,.0f} for each user")),
        ("recommendations", lists, _relation(lists, counts.get("users_served"), "{:,.1f} for each user served")),
        (
            "explanations",
            rows("explanations"),
            _relation(rows("explanations"), lists, "for {:.0%} of the recommendations"),
        ),
    )
    return [{"step": step, "rows": n, "note": note} for step, n, note in steps if n is not None]


def _relation(part: int | None, whole: int | None, words: str) -> str:
    return words.format(part / whole) if whole and part is not None else ""


def rows(records: Mapping[str, Record], tables: Mapping[str, Any]) -> dict[str, Any]:
    """Rows in, out and quarantined by entity, and whether in = out + quarantined (None: ingest did not say)."""
    counters = counters_of(records, "ingest")
    rows_in, quarantined = counters.get("rows_in", {}), counters.get("quarantined", {})
    # Entities without a source are published as empty tables: there is nothing to say about them.
    rows_out = {e: tables[e]["rows"] for e in ENTITIES if e in tables and (e in rows_in or tables[e]["rows"])}
    rows_out |= counters.get("rows_out", {})
    balanced = {
        e: rows_in[e] == rows_out.get(e, 0) + sum(quarantined.get(e, {}).values()) if e in rows_in else None
        for e in ENTITIES
        if e in rows_in or e in rows_out
    }
    return {
        "rows_in": rows_in,
        "rows_out": rows_out,
        "quarantined": {e: dict(sorted(r.items())) for e, r in quarantined.items() if r},
        "quarantined_rows": sum(n for reasons in quarantined.values() for n in reasons.values()) if rows_in else None,
        "rows_balanced": balanced,
    }


def profiles(config: RunConfig, records: Mapping[str, Record]) -> dict[str, Any]:
    """What became of the profiles this run, the tokens it spent of its budget, and the seconds of generation.

    `prompts` are the texts of the prompts that were used, by version.
    """
    tasks = {kind: counters_of(records, f"{kind[:-1]}_profiles") for kind in ("items", "users")}
    found = {
        kind: {
            "written": counters.get("written", 0),
            "reused": counters.get("reused", 0),
            "fallback": counters.get("fallback", {}),
            "rejected": counters.get("rejected", {}),
            "retried": counters.get("retried", 0),
        }
        for kind, counters in tasks.items()
        if counters
    }
    prompt, output = (sum(c.get(f"{k}_tokens", 0) for c in tasks.values()) for k in ("prompt", "output"))
    tokens = {
        "spent": prompt + output,
        "prompt": prompt,
        "output": output,
        "budget": config.generator.nightly_token_budget,
    }
    seconds = round(sum(c.get("generation_seconds", 0.0) for c in tasks.values()), 1)
    writing = [*tasks.values(), counters_of(records, "explanations")]
    prompts = {version: text for c in writing for version, text in c.get("prompts", {}).items()}
    return {"profiles": found, "tokens": tokens, "generation_seconds": seconds, "prompts": prompts}


def comparison(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The best single source by NDCG@10 over all users, and the ranker beside it."""
    scores = {m: s["all"]["ndcg@10"] for m, s in metrics.items() if "ndcg@10" in s.get("all", {})}
    singles = {m: v for m, v in scores.items() if m.startswith(SOURCES)}
    if not singles:
        return {"best_single_source": None, "ranker_vs_best": None}
    best = min(singles, key=lambda m: (-singles[m], m))
    comparison = None
    if RANKER in scores:
        ratio = scores[RANKER] / singles[best] if singles[best] else None
        comparison = {"ranker": scores[RANKER], "best": singles[best], "ratio": ratio}
    return {"best_single_source": best, "ranker_vs_best": comparison}


def counters_of(records: Mapping[str, Record], task: str) -> dict[str, Any]:
    """What a task left for the report; empty where it did not run."""
    return dict(records.get(task, {}).get("counters", {}))
