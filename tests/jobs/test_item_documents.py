"""Item documents and statistics, and the cleaning of texts."""

import html
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from pyspark.sql import functions as F

from jobs.clean_text import clean_text, cut_at_word, unescape
from jobs.frames import table_schema
from jobs.item_documents import item_documents, item_statistics

pytestmark = pytest.mark.spark
AS_OF = datetime(2026, 11, 22, tzinfo=UTC)


def applied(spark, function, texts):
    frame = spark.createDataFrame(list(enumerate(texts)), "n int, text string")
    return [row["out"] for row in frame.select("n", function(F.col("text")).alias("out")).orderBy("n").collect()]


def test_texts_become_one_clean_line(spark):
    cases = {
        "  two\twords\r\n ": "two words",
        "<p>Fish &amp; <b>chips</b><br/>daily</p>": "Fish & chips daily",
        "&lt;i&gt;tagged&lt;/i&gt;": "tagged",
        "<script>alert('x')</script>Lamp<style>p {}</style>": "Lamp",
        "<!-- hidden > note -->Rug": "Rug",
        "I <3 this, 4 > 2": "I <3 this, 4 > 2",
        "ze\u200bro \u202ewidth\ufeff": "zero width",
        "bell\x07 nul\x00 nbsp\u00a0end": "bell nul nbsp end",
        "": "",
    }
    assert applied(spark, clean_text, list(cases)) == list(cases.values())


def test_entities_are_read_as_the_standard_library_reads_them(spark):
    texts = [
        "caf&eacute; &#233;&#xE9;&#XE9; &quot;q&quot; &apos;a&apos; &#39; &trade;",
        "&amp;lt; stays one step away, &#38;gt; too, &#x26;amp;",
        "&unknown; &copy &; &#; A&B; 100% &#1114111;",
        "&#128512; &hellip;&ndash;&mdash;",
    ]
    # Without their semicolon old browsers read some entities; we leave `&copy` as it is.
    wanted = [html.unescape(text.replace("&copy ", "&amp;copy ").replace("&#1114111;", "\U0010ffff")) for text in texts]
    assert applied(spark, unescape, texts) == wanted
    assert applied(spark, unescape, ["&#xD800; &#9999999;"]) == ["&#xD800; &#9999999;"]


def test_a_cut_falls_between_words(spark):
    def cut(text):
        return cut_at_word(text, 10)

    cases = {"short": "short", "exactly te": "exactly te", "nine char and": "nine char", "0123456789 x": "0123456789"}
    cases |= {"0123456789abc": "0123456789", "ab cdefghijklm": "ab"}
    assert applied(spark, cut, list(cases)) == list(cases.values())


def test_a_document_names_its_fields_and_is_hashed(spark):
    texts = [("title", "Chair."), ("categories", "a, b"), ("empty", "<br>"), ("release_year", "1995")]
    rows = [("i1", "Chair.", None, ["a", "<b></b>", "b"], texts), ("i2", "<br>", None, [], [("about", " ")])]
    found = item_documents(spark.createDataFrame(rows, table_schema("items")), 1_500).orderBy("item_id").collect()
    assert found[0]["document"] == "title: Chair. categories: a, b. release year: 1995"
    assert found[0]["content_hash"] == sha256(found[0]["document"].encode()).hexdigest()
    assert found[0]["categories"] == ["a", "b"]
    assert found[1]["document"] == "title: <br>"


def test_statistics_count_windows_that_end_at_as_of(spark):
    items = spark.createDataFrame([(i, i, None, [], []) for i in ("a", "b")], table_schema("items"))
    ages = [("u1", 1, 4.0), ("u1", 2, None), ("u2", 7, 5.0), ("u3", 8, 2.1), ("u3", 31, 3.0)]
    rows = [(user, "a", AS_OF - timedelta(days=days), rating, 1.0, None, None) for user, days, rating in ages]
    frame = spark.createDataFrame(rows, table_schema("interactions"))
    one, none = item_statistics(items, frame, AS_OF).orderBy("item_id").collect()
    assert (one["n_interactions"], one["n_users"], one["n_last_7_days"], one["n_last_30_days"]) == (5, 3, 3, 4)
    assert one["mean_rating"] == pytest.approx(14.1 / 4)
    assert one["trend"] == pytest.approx((3 / 7 + 1 / 30) / (4 / 30 + 1 / 30))
    assert (none["n_interactions"], none["n_last_30_days"], none["mean_rating"], none["trend"]) == (0, 0, None, 1.0)
    assert none["first_timestamp"] is None
