"""A small, made-up night for tests of the report: tables published through the lake, records with round figures."""

import json
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.report.__main__ import report
from schemas.config import RunConfig, freeze
from schemas.lake import Lake
from schemas.manifest import publish_night
from schemas.night import night_task, run_folder, save_config
from schemas.storage import read_text, resolve, write_text
from schemas.tables import TABLES

NIGHT = date(1998, 4, 23)
AS_OF = datetime(1998, 4, 23, tzinfo=UTC)
USERS, ITEMS = 40, 60
REVIEW = "Slow at first, but the story and its quiet harbour stay with you."
EVIL = "<script>alert('x')</script> & Sons (1997)"
WORDS = ("Midnight Harbor", "Paper Lanterns", "The Quiet Orchard", "Northern Signal", "A Cold Winter", "Glass Rivers")
GENRES = ("Drama", "Comedy", "Thriller", "Sci-Fi", "Romance")
TASKS = {
    "ingest": (["interactions", "items", "users", "feedback", "requests", "quarantine"], 41.0, 1_480),
    "features": (
        ["user_histories", "splits", "item_factors", "item_documents", "item_statistics"],
        44.6,
        1_510,
    ),
    "vocabularies": (["vocabularies", "item_reviews"], 6.4, 390),
    "item_profiles": (["item_profiles", "item_profile_rejects"], 131.4, 2_350),
    "user_profiles": (["user_profiles", "user_profile_rejects", "generation_costs"], 88.3, 2_310),
    "embeddings": (["item_embeddings", "user_embeddings"], 47.9, 1_840),
    "candidates": (["candidates"], 33.0, 1_120),
    "ranking": (["recommendations", "offline_rankings"], 18.4, 940),
    "explanations": (["explanations", "taste_summaries", "explanation_rejects"], 7.7, 620),
    "request_recommendations": (["parsed_requests", "request_recommendations"], 6.1, 480),
    "evaluation": (["evaluations"], 29.5, 1_420),
    "experiment_readouts": (["experiment_readouts"], 4.2, 310),
    "publish_night": (["runs"], 2.1, 210),
}
QUALITY = {
    "ranker": 1.0,
    "ease": 0.94,
    "item_item": 0.83,
    "popularity": 0.61,
    "popularity_all_time": 0.42,
    "text": 0.28,
}


def make_config(folder, night: date = NIGHT, run_id: str = "first", **overrides) -> RunConfig:
    entity = {"format": "csv", "path": "unused.csv"}
    document = {
        "lake": str(folder / "lake"),
        "mlflow_tracking_uri": f"sqlite:///{folder}/tracking/mlflow.db",
        "generator": {"backend": "fake", "path": "unused"},
        "encoder": {"backend": "fake", "path": "unused"},
        "source": {
            "name": "made-up",
            "interactions": {**entity, "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}},
            "items": {**entity, "columns": {"item_id": "i", "title": "t"}},
        },
    }
    return freeze(document, run_date=night, run_id=run_id, **overrides)


def title(item: int) -> str:
    return EVIL if item == 7 else f"{WORDS[item % len(WORDS)]} {'I' * (item // len(WORDS) % 4) or 'IV'} ({1940 + item})"


def history(user: int) -> list[dict]:
    items = [(user * 7 + k * 3) % ITEMS for k in range(2 + user)]
    seen = dict.fromkeys(items)
    return [
        {"item_id": f"i{i:02d}", "timestamp": AS_OF - timedelta(days=k + 1), "rating": float(1 + i % 5), "weight": 1.0}
        for k, i in enumerate(seen)
    ]


def profile(source: str, reason: str | None, **columns) -> dict:
    llm = source == "llm"
    common = {"as_of": AS_OF, "source": source, "reason": reason, "generation_key": "k", "prompt_version": "p.v2"}
    pieces = [{"role": "facts", "item_id": "i01", "text": EVIL}, {"role": "review", "item_id": "i01", "text": REVIEW}]
    common |= {"recipe_key": "r", "reasoning": None, "evidence": pieces}
    cost = {"prompt_tokens": 150 if llm else 0, "output_tokens": 31 if llm else 0}
    made = {"model": "SmolLM2" if llm else None, "model_revision": "r" if llm else None, "generated_on": NIGHT}
    return {**common, **cost, **made, **columns}


def origin(index: int) -> tuple[str, str | None]:
    return ("llm", None) if index % 3 else ("template", "rejected" if index % 2 else "over_budget")


def reject(**columns) -> dict:
    common = {"generation_key": "k", "model": "SmolLM2", "prompt_version": "p.v2", "generated_on": NIGHT}
    common |= {"attempt": 0, "model_revision": "r"}
    return {**common, "reason": "copied_example", "output": "A film about <b>nothing</b>, about nothing.", **columns}


def vocabulary_rows() -> list[dict]:
    """Twelve labels: five genres, one label of the user's, three moods, three aspects."""
    labels = [("theme", genre.lower(), 60 - 9 * n, "category") for n, genre in enumerate(GENRES)]
    labels += [("theme", "<i>harbours</i>", 4, "user")]
    labels += [("mood", mood, 20 - n, "lexicon") for n, mood in enumerate(("moving", "dark", "funny"))]
    labels += [("aspect", aspect, 30 - n, "review") for n, aspect in enumerate(("story", "acting", "pace"))]
    return [
        {"kind": kind, "label": name, "terms": [name], "n_items": n, "origin": origin, "version": "0" * 64}
        for kind, name, n, origin in labels
    ]


def cost_rows(saved: int = 61_000, price: float = 0.0) -> list[dict]:
    """Rows of `generation_costs`: what `counters` says was spent, at `price` per token."""
    common = {"model": "SmolLM2", "model_revision": "5af57cd8" * 8, "prompt_tokens": 44_100, "output_tokens": 9_870}
    spent = 53_970
    common |= {"money": spent * price, "saved_money": saved * price, "saved_tokens": saved}

    def row(kind: str, profiles: int, asked: int, accepted: int, budget: int) -> dict:
        return {
            "kind": kind,
            "prompt_version": f"{kind}_profile.v2",
            "profiles": profiles,
            "asked": asked,
            "accepted": accepted,
            "failed_attempts": 2 * (asked - accepted) + 1,
            "reused": 13,
            "over_budget": 10,
            "budget_tokens": budget,
            "tokens_per_thousand": 1_000 * spent / accepted,
            "money_per_thousand": 1_000 * spent * price / accepted,
            **common,
        }

    return [row("item", ITEMS, 37, 27, 60_000), row("user", USERS, 33, 26, 60_000)]


def aspect(name: str, sentiment: float, positive: int, negative: int, reviews: int) -> dict:
    counts = {"n_positive": positive, "n_negative": negative, "n_reviews": reviews}
    return {"aspect": name, "sentiment": sentiment, **counts}


def claim(label: str, strength: float, *items: str) -> dict:
    return {"label": label, "strength": strength, "interactions": list(items)}


def item_rows() -> dict[str, list[dict]]:
    ids = [f"i{i:02d}" for i in range(ITEMS)]
    genre = [[GENRES[i % 5], GENRES[(i + 2) % 5]] for i in range(ITEMS)]
    summary = "A restrained story about two people who meet in a harbour town and keep a secret."
    return {
        "items": [
            {"item_id": i, "title": title(n), "description": None, "categories": genre[n], "texts": []}
            for n, i in enumerate(ids)
        ],
        "item_statistics": [
            {
                "item_id": i,
                "as_of": AS_OF,
                "n_interactions": 500 - 7 * n,
                "n_users": 300,
                "n_last_7_days": 3,
                "n_last_30_days": 9,
                "trend": 1.0,
                "mean_rating": 3.5,
                "first_timestamp": None,
                "last_timestamp": None,
            }
            for n, i in enumerate(ids)
        ],
        "item_profiles": [
            profile(
                *origin(n),
                item_id=i,
                summary=summary,
                audience="People who enjoy slow drama.",
                themes=genre[n],
                moods=["moving"],
                aspects=[aspect("story", 0.4, 3, 1, 5), aspect("pace", -0.6, 0, 2, 3)],
            )
            for n, i in enumerate(ids)
        ],
        "item_profile_rejects": [
            *(reject(item_id=i) for i in ids[5:10]),
            *(reject(item_id=i, attempt=n, reason="not_grounded") for i in ids[:3] for n in (0, 1)),
        ],
    }


def user_rows() -> dict[str, list[dict]]:
    ids = [f"u{u:02d}" for u in range(USERS)]
    lists = {u: [(n * 5 + rank * 11 + 3) % ITEMS for rank in range(12)] for n, u in enumerate(ids)}
    text = f"Because you watched {title(3)} and {title(9)}, which the same people watch."
    return {
        "user_histories": [
            {
                "user_id": u,
                "as_of": AS_OF,
                "items": history(n),
                "n_items": len(history(n)),
                "n_interactions": 2 + n,
                "first_timestamp": AS_OF - timedelta(days=90),
                "last_timestamp": AS_OF - timedelta(days=1),
            }
            for n, u in enumerate(ids)
        ],
        "user_profiles": [
            profile(
                *origin(n),
                user_id=u,
                long_term="Enjoys quiet dramas and clever thrillers.",
                recent_interest="Lately thrillers.",
                likes=[claim("thriller", 0.25, "i03", "i07"), claim("drama", 0.6, "i01", "i02")],
                dislikes=[claim("comedy", 0.5, "i04")],
                avoided=["horror"],
                confidence=0.5,
            )
            for n, u in enumerate(ids)
        ],
        "user_profile_rejects": [reject(user_id=ids[0], reason="invalid_json")],
        "recommendations": [
            {
                "user_id": u,
                "rank": r + 1,
                "item_id": f"i{i:02d}",
                "score": 1 - r / 20,
                "probability": None if u == "u00" else 0.3 - r / 50,
                "arm": "default",
                "sources": ["ease", "popularity"],
                "ranker_rank": r + 1,
                "propensity": 1.0,
            }
            for u, items in lists.items()
            for r, i in enumerate(items)
        ],
        "explanations": [
            {
                "user_id": u,
                "rank": r + 1,
                "item_id": f"i{i:02d}",
                "arm": "default",
                "text": text,
                "statements": [{"kind": "chosen", "text": text, "item_ids": ["i03"], "weight": 1.0}],
                "evidence": [{"item_id": "i03", "contribution": 0.7}],
                "cited_sources": ["ease"],
                "source": "llm" if r == 0 else "template",
                "reason": None if r == 0 else "later_place",
            }
            for u, items in lists.items()
            for r, i in enumerate(items)
        ],
        "explanation_rejects": [],
        "taste_summaries": [
            {"user_id": u, "text": f"You often choose what {u} chooses.", "statements": [], "source": "template"}
            for u in lists
        ],
        "candidates": [
            {
                "window": w,
                "user_id": u,
                "item_id": f"i{i:02d}",
                "item_count": 9,
                "item_recent_count": 1,
                "user_count": 5,
            }
            for w in ("serving", "test")
            for u in ids
            for i in range(30)
        ],
    }


def evaluation_rows(level: float) -> list[dict]:
    sizes = {"all": 140, "warm_users": 96, "new_users": 44, "warm_items": 140, "new_items": 31}
    weights = {"all": 1.0, "warm_users": 1.05, "new_users": 0.9, "warm_items": 1.02, "new_items": 0.12}
    base = {"ndcg@10": level, "recall@20": level * 1.4, "coverage@10": 0.31}
    drawn = {"protocol": "off_policy", "slice": "all", "n_users": 61, "low": 0.043, "high": 0.051}
    online = [
        {**drawn, "model": model, "metric": f"click_rate_{name}", "value": 0.047}
        for model in ("ranker", "challenger")
        for name in ("logged", "ips", "snips", "dr")
    ]
    return online + [
        {
            "model": m,
            "protocol": "time_split",
            "slice": s,
            "metric": k,
            "value": v * q * weights[s],
            "n_users": sizes[s],
        }
        for m, q in QUALITY.items()
        for s in sizes
        for k, v in base.items()
        if not (k.startswith("coverage") and s != "all")
    ]


def other_rows() -> dict[str, list[dict]]:
    events = [
        {"user_id": f"u{u:02d}", "item_id": e["item_id"], "timestamp": e["timestamp"], "rating": 3.0, "weight": 1.0}
        for u in range(USERS)
        for e in history(u)
    ]
    return {
        "interactions": [{**event, "event_type": None} for event in events],
        "splits": [{**event, "split": "train"} for event in events],
        "vocabularies": vocabulary_rows(),
        "quarantine": [
            {"entry": n, "entity": "interactions", "reason": "unknown_item", "rows": 1, "row": "{}"} for n in range(9)
        ],
        "requests": [
            {"user_id": "u00", "timestamp": AS_OF - timedelta(days=1), "text": "a <b>quiet</b> drama, no comedy"},
            {"user_id": "u01", "timestamp": AS_OF - timedelta(days=1), "text": "what is the weather"},
        ],
        "parsed_requests": [
            parsed_request("0" * 32, "u00", include=["drama"], exclude=["comedy"], like=["i03"], first_year=1990),
            parsed_request("1" * 32, "u01", outside="off_topic"),
        ],
        "request_recommendations": [
            {
                "request_id": number * 32,
                "user_id": f"u0{number}",
                "rank": rank,
                "item_id": f"i{rank:02d}",
                "score": 1 / rank,
                "source": "personal" if number == "1" else "request",
                "met": [],
                "missed": [],
                "text": "You asked for drama: it is that.",
            }
            for number in "01"
            for rank in range(1, 6)
        ],
        "experiment_readouts": [
            readout("plain", "ctr", "primary"),
            readout("plain", "dwell", "guardrail"),
            readout("varied", "ctr", "primary", 0.051, 0.012, 0.09, decision="better"),
            readout("varied", "dwell", "guardrail", -0.01, -0.04, 0.02),
        ],
    }


def parsed_request(request_id: str, user_id: str, **told) -> dict:
    """A row of `parsed_requests`."""
    lists: dict = {name: [] for name in ("include", "exclude", "like", "unlike", "unsupported")}
    about = {"request_id": request_id, "user_id": user_id, "timestamp": AS_OF - timedelta(days=1), "vector": [1.0]}
    return {**about, **lists, **told}


def readout(arm: str, metric: str, role: str, lift=None, low=None, high=None, decision: str = "none") -> dict:
    """A row of `experiment_readouts`."""
    verdict = "varied is better: CTR +5.1% (1.2 to 9.0)" if arm == "varied" else ""
    known = {"experiment": "diversity", "days": 6, "users": 1_204, "value": 0.0812, "p_value": 0.01, "p_adjusted": 0.02}
    told = {"arm": arm, "metric": metric, "role": role, "lift": lift, "low": low, "high": high, "verdict": verdict}
    return {**known, **told, "decision": decision}


def counters(config: RunConfig, rows: dict[str, list[dict]]) -> dict[str, dict]:
    n = len(rows["interactions"])
    features = ("ease_score", "item_item_score", "popularity_rank", "text_score", "item_age_days", "user_count")
    tokens = {"prompt_tokens": 44_100, "output_tokens": 9_870, "generation_seconds": 96.5}
    return {
        "ingest": {
            "rows_in": {"interactions": n + 14, "items": ITEMS + 1, "users": 0, "requests": 2},
            "rows_out": {"interactions": n, "items": ITEMS, "users": 0, "requests": 2},
            "quarantined": {
                "interactions": {"unknown_item": 9, "duplicate": 4, "bad_timestamp": 1},
                "items": {"missing_title": 1},
            },
        },
        "item_profiles": {
            "written": 27,
            "reused": 13,
            "fallback": {"over_budget": 10, "rejected": 10},
            "rejected": {"copied_example": 5, "repetition": 4, "not_grounded": 3},
            "retried": 10,
            "prompts": {"item_profile.v2": "Write a short profile of each item from its facts."},
            **tokens,
        },
        "user_profiles": {
            "written": 26,
            "reused": 0,
            "fallback": {"over_budget": 7, "rejected": 7},
            "rejected": {},
            "retried": 0,
            "prompts": {"user_profile.v2": "Describe what each person enjoys, from what they chose."},
            **tokens,
        },
        "vocabularies": {"labels": {"theme": 6, "mood": 3, "aspect": 3}, "added": 2, "removed": 1, "reviews": 40},
        "embeddings": {"encoded": 143, "reused": 17},
        "candidates": {
            "tuned": {"ease": {"l2": 300.0, "half_life": 10}, "popularity": {"days": 7}, "text": {"half_life": 3}},
            "validation_ndcg": {"ease": 0.081, "popularity": 0.052, "text": 0.031},
            "catalogue": {"items_taken": 30_000, "dense_items": 15_000, "factor_items": 30_000},
        },
        "ranking": {
            "trees": 84,
            "gate": {
                "serving": "ranker",
                "reason": "validation NDCG@10 above every single source",
                "version": "version 3, learnt from what happened before 1998-04-20",
                "version_reason": "not better by more than noise",
            },
            "examples": [
                {"example": n, "item_id": f"i{n:02d}", "reasons": {"fusion": 0.4 / n, "trend": -0.1}} for n in (1, 2)
            ],
            "feature_importance": {name: 400.0 / (k + 1) ** 1.3 for k, name in enumerate(features)},
        },
        "explanations": {
            "by_kind": {"item_item": 380, "popularity": 100},
            "written": 21,
            "reused": 7,
            "over_budget": 12,
            "rejected": {"misnamed_item": 2},
            "prompt_tokens": 2_100,
            "output_tokens": 1_150,
            "tokens_budget": 8_000,
            "generation_seconds": 8.1,
            "prompts": {},
        },
    }


def publish(task, table: str, rows: list[dict]) -> None:
    stage = task.stage(table)
    filesystem, path = resolve(stage.uri)
    filesystem.create_dir(path, recursive=True)
    # Columns that the report does not read may stay null here.
    schema = pa.schema([column.with_nullable(True) for column in TABLES[table].schema])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), f"{path}/part-0.parquet")
    lake = Lake(task.config.lake)
    published = lake.publish(stage, lambda table, files: [], {"run_id": task.config.run_id, "inputs": {}})
    task.outputs[table] = {key: value for key, value in vars(published).items() if key != "table"}


def make_night(config: RunConfig, tasks=tuple(TASKS), level: float = 0.09, costs: Any = None) -> str:
    """Publish a night's tables through the lake and leave the tasks' records with round figures."""
    uri = save_config(config)
    rows = {**item_rows(), **user_rows(), **other_rows(), "evaluations": evaluation_rows(level)}
    rows["generation_costs"] = costs or cost_rows()
    figures, started = counters(config, rows), datetime.combine(config.night, datetime.min.time(), UTC).timestamp()
    for name in tasks:
        tables, took, peak = TASKS[name]
        if name == "publish_night":
            publish_night(uri)
        else:
            with night_task(name, uri) as task:
                for table in tables:
                    publish(task, table, rows.get(table, []))
                task.counters.update(figures.get(name, {}))
        path = f"{run_folder(config.lake, config.run_id)}/tasks/{name}.json"
        record = json.loads(read_text(path)) | {"seconds": took, "cpu_seconds": took * 1.4, "peak_rss_mb": peak}
        write_text(path, json.dumps(record | {"started": started}))
        started += took + 1.5
    return uri


def make_report(config: RunConfig, **night) -> tuple[dict, str]:
    """Make a night and its report; returns the summary as stored and the page."""
    with night_task("report", make_night(config, **night)) as task:
        report(task)
    folder = run_folder(config.lake, config.run_id)
    return json.loads(read_text(f"{folder}/summary.json")), read_text(f"{folder}/report.html")


def unclosed_tags(page: str) -> list[str]:
    """Tags that are left open; fails where one is closed that was not the last one opened."""

    class Nesting(HTMLParser):
        void = frozenset(("meta", "link", "br", "hr", "img", "input"))

        def __init__(self):
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag, attrs):
            if tag not in self.void:
                self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

        def handle_startendtag(self, tag, attrs):
            pass

    parser = Nesting()
    parser.feed(page)
    return parser.open
