"""Workers that ask the model: one that dies half-way does its block anew, all stay for the next round, and what goes
wrong in them is told by its name.
"""

import collections
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import ray.cloudpickle as cloudpickle

from ray_tasks.evidence.pieces import Evidence, Piece
from ray_tasks.generation.fake import FakeGenerator
from ray_tasks.profiles.answers import item_schema
from ray_tasks.profiles.plan import Entity
from ray_tasks.profiles.writer import BATCHES_PER_BLOCK, Writers
from ray_tasks.ray_session import ray_session
from schemas.errors import ModelError
from schemas.generation_config import Generator

pytestmark = pytest.mark.ray
N, BATCH = 64, 2
BLOCK = BATCH * BATCHES_PER_BLOCK


class Diary(FakeGenerator):
    """Writes down which process generated which items, before it answers."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def generate(self, requests):
        line = json.dumps({"pid": os.getpid(), "items": [r.text.splitlines()[0] for r in requests]})
        with self._path.open("a") as stream:
            stream.write(line + "\n")
        time.sleep(0.3)  # long enough to be killed in
        return super().generate(requests)


def entity(number: int) -> Entity:
    themes = ("drama", "war")
    lines = (f"Movie: Stone River {number:03d}", "Facts: Drama, War")
    found = Evidence(f"i{number:03d}", f"Stone River {number:03d}", lines, (Piece("facts", "Drama, War"),), themes)
    return Entity(found, "recipe", f"key {number}" + item_schema(found))


def entries(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def kill_at(path: Path, shares: list[float], killed: list[int]) -> None:
    """Kill the process that generates at the moment, each time another share of the blocks has begun."""
    for share in shares:
        while len(entries(path)) < share * N / BLOCK:
            time.sleep(0.02)
        victim = entries(path)[-1]["pid"]
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)


@pytest.mark.parametrize("actors", [2])
def test_every_id_comes_once_and_at_most_one_block_per_kill_is_generated_twice(tmp_path, monkeypatch, actors):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    diary, killed = tmp_path / "diary", []
    config = Generator(backend="fake", path="unused", batch_size=BATCH, actors=actors)
    killer = threading.Thread(target=kill_at, args=(diary, [0.25, 0.5, 0.75], killed), daemon=True)
    killer.start()
    writers = Writers("item", config, frozenset(), Diary(diary))
    with ray_session():
        answers = writers.ask([entity(n) for n in range(N)])
        ids = [row["entity_id"] for table in answers for row in table.to_pylist() if row["reason"] is None]
    killer.join()
    assert sorted(ids) == [f"i{n:03d}" for n in range(N)]
    assert len(killed) == 3
    times = collections.Counter(item for entry in entries(diary) for item in entry["items"])
    assert len(times) == N
    assert sum(count - 1 for count in times.values()) <= len(killed) * BLOCK
    assert max(times.values()) <= 1 + len(killed)


def test_the_workers_of_a_first_round_answer_the_next_ones_too(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    config = Generator(backend="fake", path="unused", batch_size=BATCH, actors=2)
    pids: list[set[int]] = []
    with ray_session():
        writers = Writers("item", config, frozenset(), Diary(tmp_path / "diary"))
        for first in (0, 8):
            (tmp_path / "diary").unlink(missing_ok=True)
            tables = list(writers.ask([entity(n) for n in range(first, first + 8)]))
            assert sorted(id_ for table in tables for id_ in set(table["entity_id"].to_pylist())) == [
                f"i{n:03d}" for n in range(first, first + 8)
            ]
            pids.append({entry["pid"] for entry in entries(tmp_path / "diary")})
    assert pids[1] <= pids[0]


class Refused(FakeGenerator):
    def generate(self, requests):
        raise ModelError("the model's files are not in order")


def test_what_goes_wrong_with_the_model_in_a_worker_is_a_model_error_here(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    config = Generator(backend="fake", path="unused", batch_size=BATCH)
    with pytest.raises(ModelError, match="files are not in order"), ray_session():
        list(Writers("item", config, frozenset(), Refused()).ask([entity(1)]))
