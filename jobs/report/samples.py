"""What the report shows of the tables: counts, a few profiles, and ten users from history to recommendation.

Samples are the same for the same content. Only the sampled users' rows are read of large tables.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import LakeError
from schemas.night import Task

Rows = list[dict[str, Any]]

SAMPLED_USERS = 10
SHOWN_HISTORY = 8
SHOWN_RECOMMENDATIONS = 10
SHOWN_PROFILES = 3
SHOWN_REJECTS = 2


class TableReader:
    """Reads the night's tables as rows; a table that is not there reads as empty and is noted in `unreadable`."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.unreadable: dict[str, str] = {}

    def rows(self, table: str, columns: Sequence[str] | None = None, where: pc.Expression | None = None) -> Rows:
        """Rows in key order."""
        dataset = self._dataset(table)
        if dataset is None:
            return []
        from schemas.tables import TABLES

        found = dataset.to_table(columns=list(columns) if columns else None, filter=where)
        keys = [(key, "ascending") for key in TABLES[table].key if key in found.column_names]
        return list(found.sort_by(keys).to_pylist()) if keys else list(found.to_pylist())

    def count(self, table: str, where: pc.Expression | None = None) -> int | None:
        """Number of rows, None where the table is not there."""
        dataset = self._dataset(table)
        return None if dataset is None else int(dataset.count_rows(filter=where))

    def _dataset(self, table: str) -> Any:
        if table not in self._task.versions:
            return None
        try:
            return self._task.read(table).dataset()
        except LakeError as error:
            self.unreadable[table] = str(error)
            return None


def among(column: str, ids: Iterable[str]) -> pc.Expression:
    """Rows whose `column` is one of `ids`, of which there may be none."""
    return pc.field(column).isin(pa.array(sorted(ids), pa.string()))


def read_counts(reader: TableReader) -> dict[str, int]:
    """Figures that only the tables know; those of absent tables are left out."""
    counts = {
        "users": reader.count("user_histories"),
        "users_served": reader.count("recommendations", pc.field("rank") == 1),
        "serving_candidates": reader.count("candidates", pc.field("window") == "serving"),
        "items_described": reader.count("item_profiles"),
        "items_described_by_llm": reader.count("item_profiles", pc.field("source") == "llm"),
        "users_described": reader.count("user_profiles"),
        "users_described_by_llm": reader.count("user_profiles", pc.field("source") == "llm"),
    }
    return {name: count for name, count in counts.items() if count is not None}


def spread(rows: Sequence[Any], n: int) -> list[Any]:
    """`n` rows evenly spaced over a sequence, both ends among them; all of them where there are no more."""
    if n >= len(rows):
        return list(rows)
    if n == 1:
        return [rows[0]]
    return [rows[round(i * (len(rows) - 1) / (n - 1))] for i in range(n)]


def choose_users(activity: Iterable[dict[str, Any]], described: set[str], n: int = SAMPLED_USERS) -> Rows:
    """`n` users from the least to the most active, with `n_items` and the `percentile` of their activity.

    Users are cut into `n` equal groups by activity; each gives the user in its middle, or the nearest to it
    whom the language model has described.
    """
    ranked = sorted(activity, key=lambda row: (row["n_items"], row["user_id"]))
    n = min(n, len(ranked))
    chosen = []
    for group in range(n):
        low, high = group * len(ranked) // n, (group + 1) * len(ranked) // n
        middle = (low + high - 1) / 2
        at = min(range(low, high), key=lambda i: (ranked[i]["user_id"] not in described, abs(i - middle), i))
        chosen.append({**ranked[at], "percentile": round(100 * (at + 0.5) / len(ranked))})
    return chosen


def sample_users(reader: TableReader) -> Rows:
    """Ten users as history, profile, and recommendations with explanations; titles filled in."""
    is_llm = pc.field("source") == "llm"
    described = {row["user_id"] for row in reader.rows("user_profiles", ["user_id"], is_llm)}
    users = choose_users(reader.rows("user_histories", ["user_id", "n_items"]), described)
    mine = among("user_id", [user["user_id"] for user in users])
    histories = {row["user_id"]: row for row in reader.rows("user_histories", None, mine)}
    profiles = {row["user_id"]: row for row in reader.rows("user_profiles", None, mine)}
    lists = _by_user(reader.rows("recommendations", None, mine))
    reasons = {(row["user_id"], row["rank"]): row for row in reader.rows("explanations", None, mine)}
    assembled = [
        {
            **user,
            "history": histories[user["user_id"]]["items"][:SHOWN_HISTORY],
            "profile": profiles.get(user["user_id"]),
            "recommendations": [
                {**row, "explanation": reasons.get((row["user_id"], row["rank"]))}
                for row in lists[user["user_id"]][:SHOWN_RECOMMENDATIONS]
            ],
        }
        for user in users
    ]
    return _with_titles(assembled, reader)


def sample_profiles(reader: TableReader) -> dict[str, Rows]:
    """A few item profiles and user profiles, each by the model and by the template, from the most popular down."""
    popularity = {
        r["item_id"]: r["n_interactions"] for r in reader.rows("item_statistics", ["item_id", "n_interactions"])
    }
    samples: dict[str, Rows] = {}
    for kind, key in (("item", "item_id"), ("user", "user_id")):
        table = f"{kind}_profiles"
        ids = reader.rows(table, [key, "source"])
        ids.sort(key=lambda row: (-popularity.get(row[key], 0), row[key]))
        for source in ("llm", "template"):
            chosen = [row[key] for row in spread([row for row in ids if row["source"] == source], SHOWN_PROFILES)]
            rows = {row[key]: row for row in reader.rows(table, None, among(key, chosen))}
            samples[f"{kind}_{source}"] = [rows[i] for i in chosen]
    titles = _titles(reader, {row["item_id"] for name in ("item_llm", "item_template") for row in samples[name]})
    for name in ("item_llm", "item_template"):
        samples[name] = [{**row, **titles.get(row["item_id"], {"title": row["item_id"]})} for row in samples[name]]
    return samples


def sample_rejects(reader: TableReader) -> dict[str, Rows]:
    """Up to two rejected outputs for each reason, by kind of profile."""
    samples = {}
    for kind in ("item", "user"):
        by_reason: dict[str, Rows] = defaultdict(list)
        for row in reader.rows(f"{kind}_profile_rejects", [f"{kind}_id", "reason", "output", "generated_on"]):
            if len(by_reason[row["reason"]]) < SHOWN_REJECTS:
                by_reason[row["reason"]].append({**row, "id": row[f"{kind}_id"]})
        samples[kind] = [row for reason in sorted(by_reason) for row in by_reason[reason]]
    titles = _titles(reader, {row["id"] for row in samples["item"]})
    samples["item"] = [{**row, "title": titles.get(row["id"], {}).get("title", row["id"])} for row in samples["item"]]
    samples["user"] = [{**row, "title": f"User {row['id']}"} for row in samples["user"]]
    return samples


def _with_titles(users: Rows, reader: TableReader) -> Rows:
    wanted = {item["item_id"] for user in users for item in [*user["history"], *user["recommendations"]]}
    evidence = [r["explanation"]["evidence"] for u in users for r in u["recommendations"] if r["explanation"]]
    titles = _titles(reader, wanted | {entry["item_id"] for entries in evidence for entry in entries})

    def titled(item: dict[str, Any]) -> dict[str, Any]:
        return {**item, **titles.get(item["item_id"], {"title": item["item_id"], "categories": []})}

    def explained(row: dict[str, Any]) -> dict[str, Any]:
        causes = row["explanation"]["evidence"] if row["explanation"] else []
        return {**titled(row), "evidence": [titled(cause)["title"] for cause in causes]}

    return [
        {
            **user,
            "history": [titled(item) for item in user["history"]],
            "recommendations": [explained(row) for row in user["recommendations"]],
        }
        for user in users
    ]


def _titles(reader: TableReader, ids: set[str]) -> dict[str, dict[str, Any]]:
    rows = reader.rows("items", ["item_id", "title", "categories"], among("item_id", ids))
    return {r["item_id"]: {"title": r["title"] or r["item_id"], "categories": r["categories"] or []} for r in rows}


def _by_user(rows: Rows) -> dict[str, Rows]:
    grouped: dict[str, Rows] = defaultdict(list)
    for row in rows:
        grouped[row["user_id"]].append(row)
    return grouped
