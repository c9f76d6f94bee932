"""A few of the night's requests in plain words: what was asked, what was understood, what came first."""

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.report.reader import TableReader, among, titles_of

ANSWERED, OUTSIDE, ITEMS = 4, 3, 3
"""Requests shown of each sort, and items of each."""

Row = Mapping[str, Any]

COLUMNS = (
    "request_id", "user_id", "timestamp", "include", "exclude", "like", "unlike", "first_year", "last_year",
    "unsupported", "outside",
)  # fmt: skip


def sample_requests(reader: TableReader) -> list[dict[str, Any]]:
    """Requests as the template shows them, those that were understood first; empty where nobody asked."""
    parsed = reader.rows("parsed_requests", COLUMNS)
    inside, outside = ([row for row in parsed if bool(row["outside"]) is side] for side in (False, True))
    chosen = inside[:ANSWERED] + outside[:OUTSIDE]
    if not chosen:
        return []
    said = reader.rows("requests", None, among("user_id", {row["user_id"] for row in chosen}))
    lists = reader.rows("request_recommendations", None, among("request_id", {row["request_id"] for row in chosen}))
    first = [row for row in lists if row["rank"] <= ITEMS]
    named = {item for row in chosen for item in (*row["like"], *row["unlike"])}
    titles = titles_of(reader, {row["item_id"] for row in first} | named)
    return [_shown(row, said, first, titles) for row in chosen]


def _shown(row: Row, said: Sequence[Row], lists: Sequence[Row], titles: Mapping[str, Row]) -> dict[str, Any]:
    texts = [one["text"] for one in said if (one["user_id"], one["timestamp"]) == (row["user_id"], row["timestamp"])]
    return {
        "text": texts[0] if texts else "",
        "outside": row["outside"],
        "understood": understood(row, titles),
        "items": [
            {"title": titles[one["item_id"]]["title"], "met": one["met"], "missed": one["missed"], "text": one["text"]}
            for one in lists
            if one["request_id"] == row["request_id"]
        ],
    }


def understood(row: Row, titles: Mapping[str, Row]) -> list[tuple[str, str]]:
    """What was understood of a request, as pairs of a word and what it is about."""
    years = (row["first_year"], row["last_year"])
    told = [
        ("wants", ", ".join(row["include"])),
        ("not", ", ".join(row["exclude"])),
        ("like", ", ".join(titles[item]["title"] for item in row["like"] if item in titles)),
        ("unlike", ", ".join(titles[item]["title"] for item in row["unlike"] if item in titles)),
        ("years", "" if years == (None, None) else f"{years[0] or ''} to {years[1] or ''}".strip()),
        ("no label for", ", ".join(row["unsupported"])),
    ]
    return [(word, what) for word, what in told if what]
