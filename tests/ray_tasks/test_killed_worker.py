"""A worker that dies half-way: every profile once, and at most the block under way is generated again."""

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
from ray_tasks.profiles.writer import BATCHES_PER_BLOCK, generate
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
    answers = generate([entity(n) for n in range(N)], "item", config, frozenset(), generator=Diary(diary))
    ids = [row["entity_id"] for table in answers for row in table.to_pylist() if row["reason"] is None]
    killer.join()
    assert sorted(ids) == [f"i{n:03d}" for n in range(N)]
    assert len(killed) == 3
    times = collections.Counter(item for entry in entries(diary) for item in entry["items"])
    assert len(times) == N
    assert sum(count - 1 for count in times.values()) <= len(killed) * BLOCK
    assert max(times.values()) <= 1 + len(killed)
