"""What happens to input that is not as it should be: an error that helps, or a quarantined row with its reason."""

import json
from datetime import date

import pytest

from jobs.ingest import RowsLost, check_balance
from jobs.quarantine import REASONS
from schemas.errors import NothingToDo, SourceError

pytestmark = pytest.mark.spark


def test_all_missing_columns_are_listed_with_the_nearest_names(shop):
    shop.source["interactions"]["columns"] = {"user_id": "usr", "item_id": "item", "timestamp": "wen"}
    with pytest.raises(SourceError) as failure:
        shop.ingest()
    message = str(failure.value)
    assert "lacks 2 column(s)" in message
    assert "'usr'; did you mean 'user'" in message
    assert "'wen'; did you mean 'when'" in message
    assert "columns found: 'user', 'item', 'when', 'stars'" in message


def test_a_wrong_delimiter_is_named(shop):
    shop.write("events.csv", "user;item;when;stars\nu1;i1;2026-11-01T10:00:00Z;5\n")
    with pytest.raises(SourceError, match="seems to be delimited by ';', not by ','"):
        shop.ingest()


def test_a_wrong_delimiter_of_a_file_without_header_fails_with_counts_and_a_hint(shop):
    shop.write("events.csv", "u1;i1;2026-11-01T10:00:00Z;5\nu2;i1;2026-11-01T10:00:00Z;5\n")
    shop.source["interactions"] |= {"header": False, "names": ["user", "item", "when", "stars"]}
    with pytest.raises(SourceError, match=r"malformed: 2.*check 'delimiter'"):
        shop.ingest()


@pytest.mark.parametrize("content", ["", "user,item,when,stars\n"], ids=["no bytes", "header only"])
def test_an_empty_source_is_refused(shop, content):
    shop.write("events.csv", content)
    with pytest.raises(SourceError, match=r"interactions: .*(is empty|no rows)"):
        shop.ingest()


def test_a_path_without_files_is_refused(shop):
    shop.source["items"]["path"] = str(shop.folder / "nowhere-*.csv")
    with pytest.raises(SourceError, match="items: no file at"):
        shop.ingest()


def test_a_run_date_before_the_first_event_says_when_that_is(shop):
    shop.settings["run_date"] = date(2026, 10, 1)
    with pytest.raises(NothingToDo, match=r"no event before 2026-10-01; the first is at 2026-11-01 10:00:00"):
        shop.ingest()


def test_a_wrong_time_unit_is_suspected(shop):
    shop.source["interactions"]["columns"]["timestamp"] = {"column": "when", "unit": "s"}
    with pytest.raises(SourceError, match=r"unparsable_timestamp: 4.*'unit'"):
        shop.ingest()


def test_every_bad_row_is_quarantined_with_its_reason_and_none_is_lost(shop, good_events, good_items):
    bad = {
        ",i1,2026-11-03T10:00:00Z,3": "null_user_id",
        "   ,i1,2026-11-03T10:00:00Z,3": "null_user_id",
        "u1,,2026-11-03T10:00:00Z,3": "null_item_id",
        "u1,i1,yesterday,3": "unparsable_timestamp",
        "u1,i1,12:30,3": "unparsable_timestamp",
        "u1,i1,,3": "unparsable_timestamp",
        "u1,i1,2026-11-03T10:00:00Z,9": "rating_out_of_range",
        "u1,i1,2026-11-03T10:00:00Z,good": "unparsable_rating",
        "u1,i1,2026-11-03T10:00:00Z,NaN": "unparsable_rating",
        "u1,i9,2026-11-03T10:00:00Z,3": "unknown_item",
        "u1,i5,2026-11-03T10:00:00Z,3": "unknown_item",
        "u1,i1": "malformed",
        "u1,i1,2026-11-03T10:00:00Z,3,extra": "malformed",
        good_events[0]: "duplicate",
        "u1,i1,2026-11-22T00:00:00Z,3": "at_or_after_as_of",
        ",i9,2027-01-01T00:00:00Z,99": "at_or_after_as_of",
    }
    shop.events([*good_events, *bad])
    shop.items([*good_items, "i5,,garden,No title.", "i1,Stool,,Same id.", ",Nameless,,"])
    counters = shop.ingest()
    assert counters["rows_in"]["interactions"] == len(good_events) + len(bad)
    assert counters["rows_out"]["interactions"] == len(shop.table("interactions")) == len(good_events)
    wanted: dict[str, int] = {}
    for reason in bad.values():
        wanted[reason] = wanted.get(reason, 0) + 1
    assert counters["quarantined"]["interactions"] == wanted
    assert counters["quarantined"]["items"] == {"duplicate": 1, "null_item_id": 1, "null_title": 1}
    assert set(shop.reasons()) <= set(REASONS)
    entries = shop.table("quarantine")
    assert [entry["entry"] for entry in entries] == list(range(len(entries)))
    assert sum(entry["rows"] for entry in entries) == len(bad) + 3
    rows = {entry["reason"]: entry["row"] for entry in entries if entry["entity"] == "interactions"}
    assert json.loads(rows["rating_out_of_range"])["stars"] == "9"
    assert "u1,i1" in rows["malformed"]


def test_rows_of_the_future_are_counted_and_nothing_of_them_is_kept(shop, good_events):
    shop.events([*good_events, "secret,i1,2026-11-22T00:00:00Z,3", "secret,i1,2026-11-23T00:00:00Z,77"])
    shop.ingest()
    (entry,) = shop.table("quarantine")
    assert (entry["reason"], entry["rows"], entry["row"]) == ("at_or_after_as_of", 2, None)


def test_of_duplicates_the_highest_weight_then_rating_stays(shop, good_items):
    shop.write(
        "events.csv",
        "user,item,when,stars,n\n"
        "u1,i1,2026-11-01T10:00:00Z,5,1\n"
        "u1,i1,2026-11-01T10:00:00Z,2,7\n"
        "u1,i1,2026-11-01T10:00:00Z,4,7\n"
        "u1,i1,2026-11-01T10:00:01Z,1,\n"
        "u1,i2,2026-11-01T10:00:01Z,1,-3\n",
    )
    shop.source["interactions"]["columns"]["weight"] = "n"
    shop.ingest()
    assert [(row["rating"], row["weight"]) for row in shop.table("interactions")] == [(4.0, 7.0), (1.0, 1.0)]
    assert shop.reasons() == {"duplicate": 2, "weight_out_of_range": 1}


def test_bytes_of_another_encoding_are_found_in_ids_and_titles(shop, good_events, good_items):
    events = "user,item,when,stars\n" + "\n".join(good_events) + "\n"
    shop.write("events.csv", events.encode() + "Zoé,i1,2026-11-05T00:00:00Z,3\n".encode("iso-8859-1"))
    items = "item,name,tags,about\n" + "\n".join(good_items) + "\n"
    shop.write("items.csv", items.encode() + "i7,Café,,\ni8,Vase,,Très joli\n".encode("iso-8859-1"))
    shop.ingest()
    assert shop.reasons() == {"invalid_encoding": 2}
    assert "i8" in {row["item_id"] for row in shop.table("items")}


@pytest.mark.parametrize("encoding", ["iso-8859-1", "windows-1252"])
def test_the_right_encoding_reads_them(shop, encoding):
    shop.write("items.csv", "item,name,tags,about\ni1,Café,,\ni2,b,,\ni3,c,,\n".encode(encoding))
    shop.source["items"]["encoding"] = encoding
    shop.ingest()
    assert shop.table("items")[0]["title"] == "Café"
    assert shop.reasons() == {}


def test_a_hundred_kilobytes_of_text_pass_and_the_document_is_cut(shop, good_items):
    text = "word " * 20_000
    shop.items([good_items[0], good_items[1], f'i3,Lamp,,"Line one.\nLine ""two"". {text}"'])
    shop.ingest()
    shop.features()
    assert shop.reasons() == {}
    assert len(shop.table("items")[2]["description"]) > 99_000
    document = shop.table("item_documents")[2]["document"]
    assert document.startswith('title: Lamp. description: Line one. Line "two". word word')
    assert document.endswith(" word")
    assert 1_490 < len(document) <= 1_500


def test_no_user_left_after_filtering_names_the_filter(shop):
    shop.settings["features"] = {"min_user_interactions": 5}
    shop.ingest()
    with pytest.raises(NothingToDo, match=r"5 or more interactions.*min_user_interactions"):
        shop.features()
    assert shop.record("features")["status"] == "failed"


def test_lost_rows_stop_the_task():
    funnel = {"rows_in": {"items": 3}, "rows_out": {"items": 1}, "quarantined": {"items": {"duplicate": 1}}}
    with pytest.raises(RowsLost, match="items: 3 in, 1 out, 1 quarantined"):
        check_balance(funnel)


def test_of_duplicates_with_equal_strength_the_longest_review_stays(shop):
    shop.write(
        "events.csv",
        "user,item,when,stars,said\n"
        "u1,i1,2026-11-01T10:00:00Z,4,Nice.\n"
        "u1,i1,2026-11-01T10:00:00Z,4,A sturdy chair.\n"
        "u1,i1,2026-11-01T10:00:00Z,4,\n"
        "u1,i2,2026-11-01T10:00:00Z,2,A long story about a table.\n"
        "u1,i2,2026-11-01T10:00:00Z,5,\n",
    )
    shop.source["interactions"]["columns"]["review"] = "said"
    shop.ingest()
    kept = {row["item_id"]: (row["rating"], row["review"]) for row in shop.table("interactions")}
    assert kept == {"i1": (4.0, "A sturdy chair."), "i2": (5.0, None)}
    assert shop.reasons() == {"duplicate": 3}
