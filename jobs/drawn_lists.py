"""Lists whose order was drawn by chance: what other orders would have earned, and what places do to clicks.

In a drawn list every item is as likely at every place (`recommendations.propensity`), so that clicks at the places
where another order has the item stand for that order (Li et al. 2011, replay on random traffic; by place, Li et al.
2018). `ranker` is the lists' own order, `challenger` that of the rankers that the nights' elections kept from serving.
"""

import logging
from collections.abc import Iterator
from datetime import date, timedelta
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F
from sklearn.isotonic import IsotonicRegression

from jobs.experiments.off_policy import Shown, estimates
from jobs.frames import read_table
from schemas.errors import LakeError
from schemas.lake import Lake, Snapshot
from schemas.manifest import read_manifest
from schemas.night import Task

log = logging.getLogger("nightrec.drawn_lists")

DAYS = 28
"""How far back drawn lists are looked at."""
FEWEST_USERS = 30
"""Users who saw a drawn list, below which nothing is told."""
LEAST_LOOKED_AT = 0.1
"""A place is thought to be looked at no more seldom: one click may not count more than ten."""
PROTOCOL = "off_policy"
ORDERS = {"ranker": "ranker_rank", "challenger": "challenger_rank"}
"""Whose order is told of, and the column that has it."""
KEYS = ["user_id", "item_id", "rank", "day"]


def places_seen(spark: SparkSession, task: Task) -> pd.DataFrame:
    """Places of drawn lists that users saw before the night, as `seen` tells them.

    The lists are those of earlier nights as their manifests name them.
    """
    feedback = task.read("feedback")
    snapshots = list(earlier_lists(task.lake, task.config.night)) if feedback.uris else []
    if not snapshots:
        return pd.DataFrame(columns=["user_id", "rank", "propensity", *ORDERS.values(), "clicked"])
    drawn = reduce(DataFrame.unionByName, [_drawn(spark, snapshot) for snapshot in snapshots])
    return seen(drawn, read_table(spark, feedback)).toPandas()


def off_policy_rows(places: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of `evaluations`: clicks per place with 95% intervals, by inverse propensity, normalised, doubly robust.

    None where too few users saw a drawn list.
    """
    return [row for model, column in ORDERS.items() for row in estimated(places[places[column].notna()], model, column)]


def examination(places: pd.DataFrame) -> dict[int, float]:
    """By place, how likely it is looked at, relative to the first: in (0, 1], never rising; empty where it is unknown.

    Where the order is drawn, every place has the same items on average: what differs are the clicks that the place
    itself wins (Joachims et al. 2017, Unbiased Learning-to-Rank with Biased Feedback).
    """
    if places["user_id"].nunique() < FEWEST_USERS:
        return {}
    by_place = places.groupby("rank")["clicked"].agg(["mean", "count"]).sort_index()
    falling = IsotonicRegression(increasing=False)
    rates = falling.fit_transform(by_place.index.to_numpy(float), by_place["mean"], sample_weight=by_place["count"])
    if not rates[0] > 0:
        return {}
    told = np.maximum(rates / rates[0], LEAST_LOOKED_AT)
    return {int(place): round(float(share), 4) for place, share in zip(by_place.index, told, strict=True)}


def earlier_lists(lake: Lake, night: date) -> Iterator[Snapshot]:
    """Published `recommendations` of the nights before one that hold drawn lists, the oldest first.

    What lies too far back to be read any more is passed over with a warning: it is needed for no list of tonight.
    """
    runs = lake.open("runs")
    nights = sorted(date.fromisoformat(part["run_date"]) for part in runs.partitions()) if runs else []
    for one in nights:
        if not night - timedelta(days=DAYS) <= one < night:
            continue
        try:
            snapshot = lake.snapshot("recommendations", one, read_manifest(lake.root, one).versions["recommendations"])
            drawn = snapshot.dataset().count_rows(filter=pc.field("propensity") < 1)
        except (FileNotFoundError, LakeError) as gone:
            log.warning("lists of night %s tell nothing of places, they cannot be read: %s", one, gone)
            continue
        if drawn:
            yield snapshot


def seen(drawn: DataFrame, feedback: DataFrame) -> DataFrame:
    """Places of drawn lists that were shown on their day, with whether they were clicked on.

    Columns user_id, rank, propensity, ranker_rank, challenger_rank, clicked. A list is shown on the day that begins
    with its night.
    """
    told = feedback.withColumn("day", F.to_date("timestamp"))
    shown = told.where("kind = 'impression'").select(*KEYS).distinct()
    clicks = told.where("kind = 'click'").select("user_id", "item_id", "day").distinct()
    marked = clicks.withColumn("clicked", F.lit(1))
    places = drawn.join(shown, KEYS, "left_semi").join(marked, ["user_id", "item_id", "day"], "left")
    return places.fillna(0, "clicked").select("user_id", "rank", "propensity", *ORDERS.values(), "clicked")


def estimated(places: pd.DataFrame, model: str, column: str) -> Iterator[dict[str, Any]]:
    """Rows of one order; none where too few users saw a drawn list. `column` holds the order's own places."""
    users = places["user_id"].nunique()
    if users < FEWEST_USERS:
        return
    rank, reward = places["rank"].to_numpy(np.int64), places["clicked"].to_numpy(float)
    rates = np.bincount(rank, weights=reward) / np.maximum(np.bincount(rank), 1)
    shown = Shown(
        pd.factorize(places["user_id"])[0].astype(np.int64),
        reward,
        places["propensity"].to_numpy(float),
        (places[column].to_numpy(float) == rank).astype(float),
        predicted=rates[rank],
        expected=rates[rank],
    )
    for name, one in estimates(shown).items():
        if np.isfinite([one.value, one.low, one.high]).all():
            value, low, high = np.clip([one.value, one.low, one.high], 0, 1).tolist()  # a click rate is nothing else
            yield {
                "model": model,
                "protocol": PROTOCOL,
                "slice": "all",
                "metric": f"click_rate_{name}",
                "value": value,
                "n_users": int(users),
                "low": low,
                "high": high,
            }


def _drawn(spark: SparkSession, snapshot: Snapshot) -> DataFrame:
    """The rows of drawn lists of one night."""
    rows = read_table(spark, snapshot).where(F.col("propensity") < 1)
    return rows.withColumn("day", F.lit(snapshot.run_date)).select(*KEYS, "propensity", *ORDERS.values())
