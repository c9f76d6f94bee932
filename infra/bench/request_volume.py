"""How requests in plain words grow from 10^2 to 10^5 in a night (`make bench-request-volume DATA=folder`).

The labelled requests of `tests/data/requests.jsonl`, asked again and again by the users of a data set, go through the
blocks that a night runs, by the real encoder and, where words are left, the fake generator, so that what is measured is
parsing and retrieval. `seconds_per_request` is wall time on all cores; a night is saturated where more requests make
each no cheaper, and `requests_per_hour` says at what rate. `exponent` is the slope of log seconds over log requests.
"""

import argparse
import json
import math
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from request_parsing import ASSETS, LABELLED, knowing
from task_runs import HOME

from measurement import written
from ray_tasks.benchmark.data import Dataset, load
from ray_tasks.interactions.user_blocks import write_blocks
from ray_tasks.ray_session import ray_session
from ray_tasks.requests.blocks import AnsweredBlocks, ParsedBlocks, People, encoded
from schemas.generation_config import Encoder, Generator
from schemas.lake import Snapshot
from schemas.ranking_config import Requests
from schemas.storage import list_files
from schemas.tables import TABLES
from schemas.usage import UsageMeter

NIGHT = datetime(2026, 1, 1, tzinfo=UTC)
MOST_HISTORY = 50


def main() -> None:
    """Measure every volume and write build/bench/request-volume.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of a data set, as for bench-ranking")
    parser.add_argument("--requests", type=float, nargs="+", default=[1e2, 1e3, 1e4, 1e5])
    arguments = parser.parse_args()
    folder = HOME / "build" / "bench" / "request-volume"
    shutil.rmtree(folder, ignore_errors=True)
    data = load(arguments.data)
    understood, catalogue = knowing(data)
    understood = replace(understood, encode=partial(encoded, Encoder(path=str(ASSETS / "all-minilm-l6-v2"))))
    people = people_of(data, folder)
    found: dict[str, dict[str, Any]] = {}
    with ray_session():
        for volume in map(int, sorted(arguments.requests)):
            asked = requests(data, volume)
            parsed_at, answered_at = folder / f"{volume}-parsed", folder / f"{volume}-answered"
            with UsageMeter() as meter:
                started = time.perf_counter()
                write_blocks(ParsedBlocks(asked, understood, Generator(backend="fake", path="unused")), str(parsed_at))
                parsing = time.perf_counter() - started
                parsed = Snapshot("parsed_requests", NIGHT.date(), 0, tuple(list_files(str(parsed_at), ".parquet")))
                write_blocks(AnsweredBlocks.of(parsed, catalogue, people, Requests()), str(answered_at))
                seconds = time.perf_counter() - started
            found[f"{volume}"] = {
                "seconds": round(seconds, 2),
                "parsing_seconds": round(parsing, 2),
                "seconds_per_request": round(seconds / volume, 6),
                "requests_per_hour": round(3600 * volume / seconds),
                "peak_rss_mb": meter.read()["peak_rss_mb"],
            }
            print(volume, found[f"{volume}"], flush=True)
    sizes = sorted(map(int, found))
    small, large = sizes[-2:]
    ratio = found[str(large)]["seconds"] / found[str(small)]["seconds"]
    figures = {"volumes": found, "exponent": round(math.log(ratio) / math.log(large / small), 3)}
    told = {"data": data.name, "data_sha256": data.sha256, "items": len(data.titles)}
    written(HOME, "request-volume", {**figures, **told})


def requests(data: Dataset, volume: int) -> pa.Table:
    """So many requests: the labelled ones in turn, each with a number of its own, by users in turn."""
    texts = [json.loads(line)["text"] for line in LABELLED.read_text(encoding="utf-8").splitlines()]
    users = data.log.user_ids
    return pa.table(
        {
            "user_id": pa.array([users[number % len(users)] for number in range(volume)], pa.string()),
            "timestamp": pa.array([NIGHT] * volume, pa.timestamp("us", tz="UTC")),
            "text": [f"{texts[number % len(texts)]} {number:x}" for number in range(volume)],
            "request_id": [f"{number:032x}" for number in range(volume)],
        }
    )


def people_of(data: Dataset, folder: Path) -> People:
    """The users' newest items, and popularity as everybody's list."""
    log = data.log
    popular = np.argsort(-np.bincount(log.item, minlength=len(data.titles)), kind="stable")[:10]
    taken = log.histories()
    rows: dict[str, list[dict[str, Any]]] = {
        "user_embeddings": [],
        "user_histories": [
            {"user_id": user, "items": [{"item_id": log.item_ids[item]} for item in taken[row][:MOST_HISTORY].tolist()]}
            for row, user in enumerate(log.user_ids)
        ],
        "recommendations": [
            {"user_id": user, "rank": rank, "item_id": log.item_ids[item], "score": -float(rank)}
            for user in log.user_ids
            for rank, item in enumerate(popular.tolist(), 1)
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    snapshots = []
    for name, own in rows.items():
        path = folder / f"{name}.parquet"
        # Of the columns, those that answering reads.
        columns = [field for field in TABLES[name].schema if not own or field.name in own[0]]
        pq.write_table(pa.Table.from_pylist(own, schema=pa.schema(columns)), path)
        snapshots.append(Snapshot(name, NIGHT.date(), 0, (str(path),)))
    return People(*snapshots, {})


if __name__ == "__main__":
    main()
