"""Spark's plans: files are read for the columns and rows that count, and no row goes through Python."""

import re
from datetime import UTC, datetime

import pytest

from jobs.evaluation import accuracy, coverage, targets_by_slice
from jobs.features import EVENT
from jobs.frames import numbered, table_schema
from jobs.histories import user_histories
from jobs.item_documents import item_documents, item_statistics
from schemas.config import Features

pytestmark = pytest.mark.spark
AS_OF = datetime(2026, 11, 22, tzinfo=UTC)
IN_PYTHON = re.compile("EvalPython|InPandas|InArrow|PythonUDF")


@pytest.fixture
def table(spark, tmp_path):
    """A table's empty files, as a job reads them."""

    def read(name):
        schema, path = table_schema(name), str(tmp_path / name)
        spark.createDataFrame([], schema).write.mode("overwrite").parquet(path)
        return spark.read.schema(schema).parquet(path)

    return read


@pytest.fixture
def plan(capsys):
    """The plan of a frame in words, which must not leave the JVM."""

    def told(frame):
        frame.explain(mode="formatted")
        text = capsys.readouterr().out
        assert "Scan parquet" in text
        assert not IN_PYTHON.search(text)
        return text

    return told


def columns_read(text):
    """Columns of the files that a plan reads."""
    schemas = [re.sub(r"struct<.*?>", "", schema) for schema in re.findall(r"ReadSchema: struct<(.*)>", text)]
    return {name for schema in schemas for name in re.findall(r"(?:^|,)(\w+):", schema)}


def test_histories_and_statistics_read_no_review(table, plan):
    events = table("interactions").select(*EVENT)
    histories = plan(user_histories(events, Features(), AS_OF))
    assert columns_read(histories) <= set(EVENT)
    statistics = plan(item_statistics(table("items"), events, AS_OF))
    assert columns_read(statistics) <= {"item_id", "user_id", "timestamp", "rating"}


def test_rows_are_numbered_without_a_window_over_all_of_them(table, plan):
    events = table("interactions").select(*EVENT)
    assert "Window" not in plan(numbered(events, [events["timestamp"]], "place"))


def test_documents_are_made_in_the_jvm_without_a_shuffle(table, plan):
    text = plan(item_documents(table("items"), 1_500))
    assert columns_read(text) == {"item_id", "title", "categories", "texts"}
    assert "Exchange" not in text


def test_the_evaluation_reads_pairs_and_lets_the_files_filter(table, plan):
    text = plan(accuracy(table("offline_rankings"), targets_by_slice(table("splits"), 4.0)))
    assert columns_read(text) <= {"user_id", "item_id", "split", "rating", "model", "rank"}
    assert re.search(r"PushedFilters: \[.*EqualTo\(split,test\).*GreaterThanOrEqual\(rating,4.0\)", text)
    assert re.search(r"PushedFilters: \[.*LessThanOrEqual\(rank,20\)", text)
    assert columns_read(plan(coverage(table("offline_rankings"), table("items")))) <= {
        "user_id",
        "item_id",
        "model",
        "rank",
    }
