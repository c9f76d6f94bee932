"""Files of blocks: whole or absent, known by what they were made from. The whole of it runs in test_ranking_tasks."""

import gc
import time
from dataclasses import dataclass, replace
from datetime import date
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st

from ray_tasks.interactions import user_blocks
from ray_tasks.interactions.user_blocks import BlockFiles, agrees, block_key, finished, put_block
from ray_tasks.ray_session import ray_session
from schemas.lake import Lake
from schemas.stage_files import unpublished_files, write_rows
from schemas.storage import list_files
from schemas.tables import TABLES

ROWS = pa.table({"user_id": ["b", "a"], "score": [1.0, None]})


@dataclass(frozen=True)
class One:
    rows: pa.Table
    count: int = 1

    def table(self, number: int) -> pa.Table:
        return self.rows


@given(st.dictionaries(st.integers(0, 12), st.sampled_from(["run-1", "run-2"]), max_size=8), st.integers(0, 13))
def test_finished_blocks_are_those_of_the_same_key_and_number(attempts, count):
    own = {n: f"lake/{attempt}/key-{n:05d}.parquet" for n, attempt in attempts.items()}
    others = [f"lake/run-3/{name}-{n:05d}.parquet" for name in ("kez", "part") for n in attempts]
    assert finished([*others, *own.values()], "key", count) == {n: uri for n, uri in own.items() if n < count}


def test_a_block_is_taken_over_as_it_is_and_a_killed_write_is_no_file(tmp_path, monkeypatch):
    first = BlockFiles(str(tmp_path / "run-1"), "key")
    put_block(first, 7, ROWS)
    assert agrees(One(ROWS[::-1]), 7, first.uri_of(7))
    assert not agrees(One(ROWS[:1]), 7, first.uri_of(7))
    again = replace(first, uri=str(tmp_path / "run-2"), finished={7: first.uri_of(7)})
    put_block(again, 7, None)
    assert pq.read_table(again.uri_of(7)).equals(ROWS)

    def killed(rows, path, filesystem):
        with filesystem.open_output_stream(path) as stream:
            stream.write(b"PAR1")
        raise KeyboardInterrupt

    monkeypatch.setattr(user_blocks.pq, "write_table", killed)
    with pytest.raises(KeyboardInterrupt):
        put_block(again, 8, ROWS)
    assert [uri.rpartition("/")[2] for uri in list_files(again.uri, ".parquet")] == ["key-00007.parquet"]


def test_a_key_holds_whatever_decides_the_rows(monkeypatch):
    def key(inputs, *names, config="c"):
        return block_key(SimpleNamespace(config=SimpleNamespace(config_hash=config), inputs=inputs), *names)

    one = key({"items": 1, "splits": 2}, "validation", "fitted")
    assert key({"splits": 2, "items": 1}, "validation", "fitted") == one
    others = [
        key({"items": 1, "splits": 3}, "validation", "fitted"),
        key({"items": 1, "splits": 2}, "test", "fitted"),
        key({"items": 1, "splits": 2}, "validation", "otherwise"),
        key({"items": 1, "splits": 2}, "validation", "fitted", config="d"),
    ]
    monkeypatch.setattr(user_blocks, "code_digest", lambda: "other code")
    assert len({one, *others, key({"items": 1, "splits": 2}, "validation", "fitted")}) == 6


def test_only_what_the_table_does_not_hold_is_left_to_take_over(tmp_path):
    lake, night = Lake(str(tmp_path / "lake")), date(2026, 11, 22)
    row = {"user_id": "u", "rank": 1, "item_id": "i", "score": 1.0, "arm": "a", "sources": ["ease"]}
    row |= {"ranker_rank": 1, "propensity": 1.0}
    rows = pa.Table.from_pylist([row], schema=TABLES["recommendations"].schema)
    stages = []
    for attempt in ("run-1", "run-2"):
        stages.append(lake.stage("recommendations", night, attempt))
        write_rows(stages[-1], rows)
    third = lake.stage("recommendations", night, "run-3")
    write_rows(third, rows)
    assert len(unpublished_files(lake, third)) == 2
    lake.publish(stages[1], lambda table, files: [], {})
    assert unpublished_files(lake, third) == [f"{stages[0].uri}/part-00000.parquet"]


@pytest.mark.ray
def test_what_blocks_share_is_given_back_when_they_are_written(tmp_path):
    class Large:
        count = 2

        def __init__(self):
            self.shared = np.ones(25_000_000, dtype=np.float32)

        def table(self, number):
            return pa.table({"sum": [float(self.shared[: number + 1].sum())]})

    def held():
        return total - ray.available_resources()["object_store_memory"]

    gc.disable()  # the collector comes by of its own accord, but not when gigabytes are waiting
    try:
        with ray_session():
            total = ray.cluster_resources()["object_store_memory"]
            for number in range(3):
                user_blocks.write_blocks(Large(), str(tmp_path / str(number)))
            deadline = time.monotonic() + 30
            while held() > 1.5 * 100e6 and time.monotonic() < deadline:
                time.sleep(0.5)
            assert held() < 1.5 * 100e6
    finally:
        gc.enable()
    assert pq.read_table(tmp_path / "2")["sum"].to_pylist() == [1, 2]
