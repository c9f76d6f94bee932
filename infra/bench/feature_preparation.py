"""Spark's feature preparation against Spark's own defaults, and polars beside it (`make bench-features`).

Made-up logs (infra/bench/synthetic.py) are ingested once. Then the task `features` runs on them as a night runs it, and
with Spark's 200 shuffle partitions, by turns whose order changes; `speedup_1m` is the median ratio of their seconds,
start of the session, audit and publication included. `bare_speedup_1m` leaves out what both sides have alike: it
compares what is beyond the same task on a log of next to nothing. At 20 million events each side runs once, and polars
makes the histories, the split and the counts of the same log in a process of its own: one machine needs no Spark until
its memory ends, and this says what the way to a cluster costs.
"""

import argparse
import json
import multiprocessing
import shutil
import statistics
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from synthetic import NIGHT
from synthetic_night import made_up_night
from task_runs import HOME, costs, run_tasks

from measurement import written
from schemas.config import RunConfig
from schemas.lake import Lake
from schemas.usage import UsageMeter

SIDES = {"ours": None, "spark_defaults": 200}
"""Shuffle partitions: by the size of the input, or as many as Spark has by default."""
SMALLEST = 20_000


def main() -> None:
    """Measure and write build/bench/features.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=float, default=1e6, help="of the log that is measured by turns")
    parser.add_argument("--most-events", type=float, default=20e6, help="of the log that is measured once; 0: none")
    parser.add_argument("--repeats", type=int, default=5, help="turns (default 5)")
    parser.add_argument("--seed", type=int, default=20_241)
    arguments = parser.parse_args()
    folder = HOME / "build" / "bench" / "features"
    shutil.rmtree(folder, ignore_errors=True)
    small = ingested(folder / "small", SMALLEST, arguments.seed)
    start = {name: run_side(small, name)["seconds"] for name in SIDES}
    log = ingested(folder / "log", int(arguments.events), arguments.seed)
    turns = []
    for number in range(arguments.repeats):
        turn = {name: run_side(log, name)["seconds"] for name in sorted(SIDES, reverse=bool(number % 2))}
        print(f"{number + 1}/{arguments.repeats}: {turn}", flush=True)
        turns.append(turn)
    summary = {
        "speedup_1m": ratio(turns, dict.fromkeys(SIDES, 0.0)),
        "bare_speedup_1m": ratio(turns, start),
        "seconds_1m": statistics.median(turn["ours"] for turn in turns),
        "polars_seconds_1m": polars_run(log, folder / "polars-log")["seconds"],
    }
    if arguments.most_events:
        summary |= once(folder, int(arguments.most_events), arguments.seed)
    figures = {
        **summary,
        "start_seconds": start,
        "turns": turns,
        **{name: getattr(arguments, name) for name in ("events", "most_events", "repeats", "seed")},
    }
    written(HOME, "features", figures)
    print(json.dumps(summary, indent=2))


def ingested(folder: Path, events: int, seed: int) -> RunConfig:
    """A made-up log in a lake of its own."""
    print(f"a log of {events:,} events", flush=True)
    config, _ = made_up_night(folder, events, seed)
    run_tasks(config, ["jobs/ingest.py"])
    return config


def run_side(config: RunConfig, side: str) -> dict[str, Any]:
    """What the task took with a side's shuffle partitions; it commits nothing from its second attempt on."""
    features = config.features.model_copy(update={"shuffle_partitions": SIDES[side]})
    run_tasks(config.model_copy(update={"features": features}), ["jobs/features.py"])
    return costs(config)["features"]


def ratio(turns: list[dict[str, float]], start: dict[str, float]) -> float:
    """Median over the turns of Spark's seconds over ours, each without what its start took."""
    bare = [{name: turn[name] - start[name] for name in SIDES} for turn in turns]
    return round(statistics.median(turn["spark_defaults"] / turn["ours"] for turn in bare), 2)


def once(folder: Path, events: int, seed: int) -> dict[str, Any]:
    """Both sides and polars on one large log."""
    config = ingested(folder / "large", events, seed)
    found = {name: run_side(config, name) for name in SIDES}
    polars = polars_run(config, folder / "polars-large")
    return {
        "seconds_20m": found["ours"]["seconds"],
        "spark_defaults_seconds_20m": found["spark_defaults"]["seconds"],
        "peak_rss_mb": found["ours"]["peak_rss_mb"],
        "driver_rss_mb": found["ours"]["driver_rss_mb"],
        "polars_seconds_20m": polars["seconds"],
        "polars_peak_rss_mb": polars["peak_rss_mb"],
    }


def polars_run(config: RunConfig, to: Path) -> dict[str, Any]:
    """Seconds and peak memory of polars' part, in a process of its own; its rows must be as many as Spark's."""
    uris = list(Lake(config.lake).snapshot("interactions", config.night).uris)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        took = pool.apply(with_polars, (uris, str(to), config.features.history_length))
    for table, rows in took.pop("rows").items():
        expected = Lake(config.lake).snapshot(table, config.night).dataset().count_rows()
        assert rows == expected, f"{table}: {rows} rows by polars, {expected} by Spark"
    return took


def with_polars(uris: list[str], to: str, length: int) -> dict[str, Any]:
    """Histories, split and item counts of interactions, as Parquet below a folder."""
    folder = Path(to)
    folder.mkdir(parents=True, exist_ok=True)
    with UsageMeter() as meter:
        started = time.perf_counter()
        log = pl.scan_parquet(uris).select("user_id", "item_id", "timestamp", "rating", "weight")
        made = {"user_histories": histories(log, length), "splits": split(log)}
        counts(log).collect(engine="streaming").write_parquet(folder / "counts.parquet")
        rows = {}
        for name, frame in made.items():
            table = frame.collect(engine="streaming")
            table.write_parquet(folder / f"{name}.parquet")
            rows[name] = table.height
        seconds = time.perf_counter() - started
        return {"seconds": round(seconds, 2), "peak_rss_mb": meter.read()["peak_rss_mb"], "rows": rows}


def histories(log: pl.LazyFrame, length: int) -> pl.LazyFrame:
    """Per user the distinct items by latest interaction, most recent first, at most `length`, and the counts."""
    entry = pl.struct("item_id", "timestamp", "rating", "weight").alias("items")
    latest = log.sort("timestamp").group_by("user_id", "item_id").agg(pl.col("timestamp", "rating", "weight").last())
    ordered = latest.sort(["user_id", "timestamp", "item_id"], descending=[False, True, False])
    lists = ordered.group_by("user_id").agg(entry.head(length))
    users = log.group_by("user_id").agg(
        pl.col("item_id").n_unique().alias("n_items"),
        pl.len().alias("n_interactions"),
        pl.col("timestamp").min().alias("first_timestamp"),
        pl.col("timestamp").max().alias("last_timestamp"),
    )
    return users.join(lists, on="user_id")


def split(log: pl.LazyFrame) -> pl.LazyFrame:
    """All interactions in the order of time, cut at 80% and 90%."""
    place = pl.int_range(pl.len()) / pl.len()
    name = (
        pl.when(place < 0.8)
        .then(pl.lit("train"))
        .when(place < 0.9)
        .then(pl.lit("validation"))
        .otherwise(pl.lit("test"))
    )
    return log.sort("timestamp", "user_id", "item_id").with_columns(name.alias("split"))


def counts(log: pl.LazyFrame) -> pl.LazyFrame:
    """Per item what `item_statistics` counts."""
    last = [
        (pl.col("timestamp") >= pl.lit(NIGHT).cast(pl.Datetime("us", "UTC")) - timedelta(days=days))
        .sum()
        .alias(f"n_{days}")
        for days in (7, 30)
    ]
    return log.group_by("item_id").agg(
        pl.len(), pl.col("user_id").n_unique(), pl.col("rating").mean().alias("mean_rating"), *last
    )


if __name__ == "__main__":
    main()
