"""The same shop in every format gives the same tables."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

pytestmark = pytest.mark.spark

SECONDS = (1_793_527_200, 1_793_613_600, 1_795_168_800)
EVENTS = [
    {"user": 1, "item": 10, "when": SECONDS[0], "stars": 5.0},
    {"user": 1, "item": 20, "when": SECONDS[1], "stars": None},
    {"user": 2, "item": 10, "when": SECONDS[2], "stars": 4.5},
]
ITEMS = [
    {"item": 10, "name": "Chair", "tags": ["garden", "wood"], "year": 1995},
    {"item": 20, "name": 'The "Table"', "tags": [], "year": None},
]


def delimited(rows, delimiter, header=True):
    def shown(value):
        return "" if value is None else "|".join(value) if isinstance(value, list) else str(value)

    lines = [delimiter.join(shown(value) for value in row.values()) for row in rows]
    return "\n".join(([delimiter.join(rows[0])] if header else []) + lines) + "\n"


def as_text(shop, delimiter, header):
    for name, rows in (("interactions", EVENTS), ("items", ITEMS)):
        shop.write(f"{name}.csv", delimited(rows, delimiter, header))
        shop.source[name] |= {"format": "csv", "path": f"{shop.folder}/{name}.csv", "delimiter": delimiter}
        shop.source[name] |= {} if header else {"header": False, "names": list(rows[0])}


def as_json_lines(shop):
    (shop.folder / "days").mkdir()
    for number, event in enumerate(EVENTS):
        shop.write(f"days/{number}.jsonl", json.dumps(event) + "\n")
    shop.write("items.jsonl", "".join(json.dumps(item) + "\n" for item in ITEMS))
    shop.source["interactions"] |= {"format": "jsonl", "path": f"{shop.folder}/days/*.jsonl"}
    shop.source["items"] |= {"format": "jsonl", "path": f"{shop.folder}/items.jsonl"}


def as_parquet(shop, unit):
    events = pa.Table.from_pylist(EVENTS)
    if unit:
        moments = [datetime.fromtimestamp(second, UTC) for second in SECONDS]
        events = events.set_column(2, "when", pa.array(moments, pa.timestamp(unit, tz="UTC")))
        shop.source["interactions"]["columns"]["timestamp"] = "when"
    pq.write_table(events, shop.folder / "events.parquet")
    floats = [{**item, "year": item["year"] and float(item["year"])} for item in ITEMS]  # as pandas writes them
    pq.write_table(pa.Table.from_pylist(floats), shop.folder / "items.parquet")
    shop.source["interactions"] |= {"format": "parquet", "path": f"{shop.folder}/events.parquet"}
    shop.source["items"] |= {"format": "parquet", "path": f"{shop.folder}/items.parquet"}


def as_delta(shop):
    schema = pa.schema([("user", pa.int64()), ("item", pa.int64()), ("when", pa.int64()), ("stars", pa.float64())])
    stale = [{**EVENTS[0], "user": 99, "item": 20}]
    write_deltalake(f"{shop.folder}/events", pa.Table.from_pylist(stale, schema=schema), partition_by=["item"])
    write_deltalake(f"{shop.folder}/events", pa.Table.from_pylist(EVENTS, schema=schema), mode="overwrite")
    write_deltalake(f"{shop.folder}/catalogue", pa.Table.from_pylist(ITEMS))
    shop.source["interactions"] |= {"format": "delta", "path": f"{shop.folder}/events"}
    shop.source["items"] |= {"format": "delta", "path": f"{shop.folder}/catalogue"}


FORMATS = {
    "tab": lambda shop: as_text(shop, "\t", True),
    "double colon, no header": lambda shop: as_text(shop, "::", False),
    "semicolon": lambda shop: as_text(shop, ";", True),
    "json lines, glob": as_json_lines,
    "parquet": lambda shop: as_parquet(shop, None),
    "parquet, nanoseconds": lambda shop: as_parquet(shop, "ns"),
    "parquet, milliseconds": lambda shop: as_parquet(shop, "ms"),
    "delta, partitioned": as_delta,
}


@pytest.mark.parametrize("make", FORMATS.values(), ids=FORMATS.keys())
def test_the_same_shop_in_every_format_gives_the_same_tables(shop, make):
    shop.source["interactions"]["columns"]["timestamp"] = {"column": "when", "unit": "s"}
    shop.source["items"]["columns"] = {
        "item_id": "item",
        "title": "name",
        "categories": {"column": "tags", "split": "|"},
    }
    shop.source["items"]["text"] = ["name", "tags", "year"]
    make(shop)
    shop.ingest()
    assert shop.table("quarantine") == []
    events = [(r["user_id"], r["item_id"], r["timestamp"].timestamp(), r["rating"]) for r in shop.table("interactions")]
    assert events == [(str(e["user"]), str(e["item"]), e["when"], e["stars"]) for e in EVENTS]
    chair, table = shop.table("items")
    assert (chair["item_id"], chair["title"], chair["categories"]) == ("10", "Chair", ["garden", "wood"])
    assert [(t["field"], t["text"]) for t in chair["texts"]] == [
        ("title", "Chair"),
        ("categories", "garden, wood"),
        ("year", "1995"),
    ]
    assert [(t["field"], t["text"]) for t in table["texts"]] == [("title", 'The "Table"')]


def test_optional_entities_are_read_too(shop):
    shop.source["users"] = {
        "format": "csv",
        "path": f"{shop.folder}/users.tsv",
        "delimiter": "\t",
        "columns": {"user_id": "id:token"},
        "attributes": ["job:token"],
    }
    shop.write("users.tsv", "id:token\tjob:token\tage\nu1\tcook\t30\nu2\t\t40\nu2\t\t40\n")
    shop.source["feedback"] = {
        "format": "jsonl",
        "path": f"{shop.folder}/feedback.jsonl",
        "columns": {
            "user_id": "u",
            "item_id": "i",
            "timestamp": {"column": "t", "unit": "ms"},
            "kind": "kind",
            "rank": "place",
            "detail": "words",
        },
        "kinds": {"thumb": "like"},
    }
    shop.write(
        "feedback.jsonl",
        '{"u": "u1", "i": "i1", "t": 1793527200123, "kind": "click", "place": 3}\n'
        '{"u": "u1", "i": "i1", "t": 1793527200124, "kind": "thumb", "words": "nice"}\n'
        '{"u": "u1", "i": "i1", "t": 1793527200125, "kind": "wave"}\n'
        '{"u": "u1", "i": "i1", "t": 1793527200126, "kind": "click", "place": 0}\n'
        '{"u": "u1", "i": "i1", "t": 1793527200127, "kind": "click", "place": "top"}\n'
        '{"u": "u1", "i": "i1", "t": 1793527200123, "kind": null}\n'
        "not json\n",
    )
    shop.source["requests"] = {
        "format": "jsonl",
        "path": f"{shop.folder}/requests.jsonl",
        "columns": {"user_id": "u", "timestamp": "t", "text": "text"},
    }
    shop.write("requests.jsonl", '{"u": "u1", "t": "2026-11-20T08:00:00+02:00", "text": "a chair, please"}\n')
    shop.ingest()
    users = {row["user_id"]: row["attributes"] for row in shop.table("users")}
    assert users == {"u1": [{"field": "job", "text": "cook"}], "u2": []}
    click, like = sorted(shop.table("feedback"), key=lambda row: row["timestamp"])
    assert (click["kind"], click["value"], click["timestamp"].microsecond) == ("click", None, 123_000)
    assert (click["rank"], click["detail"]) == (3, None)
    assert (like["kind"], like["rank"], like["detail"]) == ("like", None, "nice")
    (request,) = shop.table("requests")
    assert request["timestamp"] == datetime(2026, 11, 20, 6, tzinfo=UTC)
    judged = {"unknown_kind": 1, "rank_out_of_range": 1, "unparsable_rank": 1, "null_kind": 1}
    assert shop.reasons() == {"duplicate": 1, "malformed": 1, **judged}


def test_a_quiet_day_without_feedback_is_no_error(shop):
    columns = {"user_id": "u", "item_id": "i", "timestamp": "t", "kind": "kind"}
    shop.source["feedback"] = {"format": "csv", "path": f"{shop.folder}/feedback.csv", "columns": columns}
    shop.write("feedback.csv", "")
    shop.ingest()
    assert shop.table("feedback") == []


def test_reviews_are_cleaned_to_one_line_and_cut_at_a_word(shop):
    said = ["Great &amp; <b>sturdy</b>\nchair.", "word " * 900, "  ", None]
    events = [{"user": f"u{n}", "item": "i1", "when": SECONDS[0] + n, "said": text} for n, text in enumerate(said)]
    shop.write("events.jsonl", "".join(json.dumps(event) + "\n" for event in events))
    columns = {"user_id": "user", "item_id": "item", "timestamp": {"column": "when", "unit": "s"}, "review": "said"}
    shop.source["interactions"] = {"format": "jsonl", "path": f"{shop.folder}/events.jsonl", "columns": columns}
    shop.ingest()
    first, long, blank, absent = (row["review"] for row in shop.table("interactions"))
    assert first == "Great & sturdy chair."
    assert len(long) == 3_999
    assert long.endswith("word")
    assert (blank, absent) == (None, None)


def test_reviews_of_a_source_without_them_are_null(shop):
    shop.ingest()
    assert {row["review"] for row in shop.table("interactions")} == {None}
