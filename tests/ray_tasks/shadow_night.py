"""A small published night with tastes in it, and a generator that writes well or badly as its model's name says."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from ray_tasks.generation.protocol import Generation, Request
from schemas.config import RunConfig, freeze
from schemas.lake import Lake
from schemas.stage_files import write_rows
from schemas.tables import TABLES

NIGHT = date(2026, 11, 22)
AS_OF = datetime(2026, 11, 22, tzinfo=UTC)
THEMES = ("drama", "crime", "space")
ITEMS = tuple((f"i{n:02d}", THEMES[n % 3]) for n in range(36))
USERS = tuple((f"u{n:02d}", THEMES[n % 3]) for n in range(24))
PROMPTS = {"item_prompt": "item_profile.base", "user_prompt": "user_profile.base"}
COLUMNS = {"user_id": "u", "item_id": "i", "timestamp": "t"}
SOURCE = {
    "name": "small",
    "interactions": {"format": "csv", "path": "/x", "columns": COLUMNS},
    "items": {"format": "csv", "path": "/x", "columns": {"item_id": "i", "title": "t"}},
}


class FakeWriter:
    """Answers in the form that is asked for: the first label of each list where it is `good`, else nothing of use."""

    def __init__(self, model: str) -> None:
        self.good = model.startswith("good")

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """See Generator."""
        return [Generation(self._answer(one) if self.good else "mumble", 10, 5) for one in requests]

    def _answer(self, request: Request) -> str:
        named = " and ".join(theme for theme in THEMES if theme in request.text)
        filled = {
            "summary": f"A mix of {named} and other things.",
            "audience": f"People who enjoy {named}.",
            "long_term": f"Often picks {named}.",
            "recent": f"Recently chose more {named}.",
        }
        properties = json.loads(request.schema)["properties"]
        return json.dumps({name: filled.get(name) or self._first(form) for name, form in properties.items()})

    def _first(self, form: dict[str, Any]) -> list[Any]:
        option = form["items"].get("anyOf", [form["items"]])[0]
        if "enum" in option:
            return [option["enum"][0]]
        claim = option["properties"]
        return [{"label": claim["label"]["const"], "because": [claim["because"]["items"]["enum"][0]]}]


def small_config(folder: Any, run_id: str, **generator: Any) -> RunConfig:
    """A frozen configuration without models, in its own lake and MLflow store."""
    return freeze(
        {
            "source": SOURCE,
            "generator": {
                "backend": "fake",
                "path": "unused",
                "model": "good",
                "adapter": None,
                **PROMPTS,
                **generator,
            },
            "encoder": {"backend": "fake", "path": "unused"},
        },
        run_date=NIGHT,
        lake=str(folder / "lake"),
        mlflow_tracking_uri=f"sqlite:///{folder}/mlflow/mlflow.db",
        run_id=run_id,
    )


def publish_small_night(config: RunConfig, given: dict[str, list[dict[str, Any]]] | None = None) -> None:
    """Write the night's tables, or those given, and the manifest that names their versions."""
    lake, tables = Lake(config.lake), []
    for name, rows in (given or _tables()).items():
        stage = lake.stage(name, NIGHT, "night")
        write_rows(stage, pa.Table.from_pylist([_whole(name, row) for row in rows], schema=TABLES[name].schema))
        done = lake.publish(stage, lambda table, files: [], {})
        entry = {"table": name, "version": done.version, "rows": done.rows, "content_hash": done.content_hash}
        tables.append(entry)
    row = {"run_id": "night", "config_hash": "0" * 64, "code_version": "1", "tables": tables}
    stage = lake.stage("runs", NIGHT, "night")
    rows = [{**row, "sequence": 1, "published_at": AS_OF}]
    write_rows(stage, pa.Table.from_pylist(rows, schema=TABLES["runs"].schema))
    lake.publish(stage, lambda table, files: [], {})


def _tables() -> dict[str, list[dict[str, Any]]]:
    documents = [{"item_id": i, "title": f"The {t} {i}", "categories": [t], "document": f"{t} story"} for i, t in ITEMS]
    profiles = [{"item_id": i, "themes": [t], "source": "template"} for i, t in ITEMS]
    vocabulary = [{"kind": "theme", "label": theme, "terms": [theme]} for theme in THEMES]
    return {
        "item_documents": documents,
        "item_statistics": [{"item_id": i, "n_interactions": 8} for i, _ in ITEMS],
        "item_reviews": [],
        "item_profiles": profiles,
        "vocabularies": vocabulary,
        "user_histories": [_history(place, *user) for place, user in enumerate(USERS)],
        "interactions": [],
        "requests": [],
        "feedback": [],
    }


def _history(place: int, user: str, theme: str) -> dict[str, Any]:
    """Eight items of the user's theme, each user beginning at another one."""
    own = [item_id for item_id, of in ITEMS if of == theme]
    chosen = [own[(place + step) % len(own)] for step in range(8)]
    items = [
        {"item_id": item_id, "timestamp": AS_OF - timedelta(days=1 + age), "rating": None, "weight": 1.0}
        for age, item_id in enumerate(chosen)
    ]
    return {"user_id": user, "as_of": AS_OF, "items": items, "n_items": 8, "n_interactions": 8}


def _whole(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row with a value in every column that may not be null: what a comparison does not look at."""
    return {f.name: row.get(f.name, None if f.nullable else _any(f.type)) for f in TABLES[table].schema}


def _any(kind: pa.DataType) -> Any:
    if pa.types.is_timestamp(kind):
        return AS_OF
    if pa.types.is_list(kind):
        return []
    return "0" if pa.types.is_string(kind) else 0
