"""A log in Ray's object store is the night's log, and what workers make of it is what would be made here."""

from datetime import date
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_log import AS_OF, Event, items_table, splits_table, user_id

from ray_tasks.interactions.stored_log import StoredLog, known_at_first, served_window
from ray_tasks.interactions.user_blocks import StoredBlocks, write_blocks
from ray_tasks.interactions.windows import encode, window
from ray_tasks.ray_session import ray_session
from schemas.lake import Snapshot

EVENTS = [
    *(Event(user, item, 10 * user + item, "train") for user in range(3) for item in range(user + 1)),
    Event(2, 5, 900, "validation"),
    Event(4, 1, 901, "validation"),
    Event(4, 3, 902, "test"),
]


def task_of(tmp_path) -> SimpleNamespace:
    """A task that reads these events, and the items of every test."""
    tables = {"splits": splits_table(EVENTS), "items": items_table()}
    for name, table in tables.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
    snapshots = {name: Snapshot(name, date(2026, 11, 22), 0, (str(tmp_path / f"{name}.parquet"),)) for name in tables}
    config = SimpleNamespace(as_of=AS_OF, evaluation=SimpleNamespace(min_rating=None))
    return SimpleNamespace(read=snapshots.__getitem__, config=config)


@pytest.mark.ray
def test_workers_read_the_log_and_make_windows_and_blocks_of_it(tmp_path):
    task = task_of(tmp_path)
    tables = task.read("splits").dataset(), task.read("items").read(["item_id"])
    known, asked = encode(*tables, AS_OF), np.array([user_id(2), user_id(9)], dtype=object)

    class Counted:
        def __init__(self, log, size):
            self.log, self.size = log, size

        @property
        def count(self):
            return -(-len(self.log.user) // self.size)

        def table(self, number):
            return pa.table({"item": self.log.item[number * self.size :][: self.size]})

    with ray_session():
        stored = StoredLog.read(task)
        assert stored.user_ids.tolist() == known.user_ids.tolist()
        assert stored.item_ids.tolist() == known.item_ids.tolist()
        for name in ("user", "item", "time", "split", "relevant"):
            assert np.array_equal(getattr(stored.here(), name), getattr(known, name))
        assert stored.asked(known_at_first).tolist() == [user_id(0), user_id(1), user_id(2)]
        served, expected = stored.asked(served_window, asked), window(known, "serving", asked)
        assert served.user_ids.tolist() == expected.user_ids.tolist()
        assert [served.history[n].tolist() for n in range(2)] == [expected.history[n].tolist() for n in range(2)]
        assert not len(served.log.user)
        blocks = StoredBlocks.made(Counted, stored.reference, 4)
        write_blocks(blocks, str(tmp_path / "blocks"))
        assert blocks.count == 3
        assert pq.read_table(tmp_path / "blocks")["item"].to_pylist() == known.item.tolist()
