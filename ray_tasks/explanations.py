"""Task `explanations`: why each published recommendation, from evidence in the user's history."""

import logging
import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_tasks.explain_evidence import Evidence, evidence
from ray_tasks.explain_text import PERSONAL, Item, Popularity, explain, items_by_id
from ray_tasks.interactions.rows import Ints
from ray_tasks.interactions.served import served_users
from ray_tasks.interactions.user_blocks import write_stage
from ray_tasks.interactions.windows import Window, read_log, window
from ray_tasks.ray_session import ray_session
from ray_tasks.retrieval.factory import Parameters, SourceFactory
from ray_tasks.retrieval.item_texts import read_texts
from ray_tasks.retrieval.popularity import counts
from ray_tasks.retrieval.source import ItemBasedSource
from schemas.errors import LakeError
from schemas.lake import Snapshot
from schemas.night import Task, night_task, task_arguments, task_records
from schemas.repeat import repeated
from schemas.tables.explanations import EXPLANATIONS

log = logging.getLogger("nightrec.explanations")


def main() -> None:
    """Read the pinned tables, refit the sources that proposed, explain, publish."""
    with night_task("explanations", task_arguments(__doc__ or "")) as task:
        if repeated(task):
            return
        recommended = task.read("recommendations")
        explainer = prepare(task)
        stage = task.stage("explanations")
        with ray_session():
            write_stage(task, stage, ExplainedBlocks(explainer, recommended, task.config.candidates.block_size))
        strongest = Counter(names[0] for names in recommended.read(["sources"])["sources"].to_pylist())
        task.counters["by_kind"] = dict(sorted(strongest.items()))
        task.publish(stage)


@dataclass(frozen=True)
class Explainer:
    """The night's fitted sources and item texts; explains the recommendations of some users."""

    view: Window
    sources: dict[str, ItemBasedSource]
    items: dict[str, Item]
    recent_counts: Ints
    popularity: Popularity
    most: int

    def table(self, recommended: pa.Table) -> pa.Table:
        """Rows of `explanations` for rows of `recommendations`, whole users at a time."""
        recommended = recommended.sort_by([("user_id", "ascending"), ("rank", "ascending")])
        users = recommended["user_id"].to_numpy()
        starts = np.flatnonzero(np.concatenate([[True], users[1:] != users[:-1]])) if len(users) else np.zeros(0, int)
        lengths = np.diff(starts, append=len(users))
        rows = [
            row
            for start, length in zip(starts, lengths, strict=True)
            for row in self._of_user(str(users[start]), recommended.slice(start, length).to_pylist())
        ]
        return pa.Table.from_pylist(rows, schema=EXPLANATIONS.schema)

    def _of_user(self, user_id: str, recommended: list[dict[str, Any]]) -> list[dict[str, Any]]:
        history = self.view.history[int(np.searchsorted(self.view.user_ids, user_id))]
        ids = self.view.log.item_ids
        items = np.searchsorted(ids, np.array([row["item_id"] for row in recommended], dtype=object))
        found = evidence(history, items, [row["sources"] for row in recommended], self.sources, self.most)
        return [
            self._row(row, int(item), because, is_new=not len(history))
            for row, item, because in zip(recommended, items, found, strict=True)
        ]

    def _row(self, row: dict[str, Any], item: int, because: Evidence, is_new: bool) -> dict[str, Any]:
        ids = self.view.log.item_ids
        cited = [self.items[ids[place]] for place, _ in because]
        count = int(self.recent_counts[item])
        return {
            "user_id": row["user_id"],
            "rank": row["rank"],
            "item_id": row["item_id"],
            "text": explain(row["sources"], self.items[row["item_id"]], cited, count, self.popularity, is_new),
            "style": "template",
            "evidence": [{"item_id": ids[place], "contribution": amount} for place, amount in because],
        }


def prepare(task: Task) -> Explainer:
    """Fit the personal sources on everything before as_of, with the parameters that `candidates` tuned."""
    known, settings = read_log(task), task.config.candidates
    view = window(known, "serving", served_users(task, known))
    factory = SourceFactory(view.log, read_texts(task), settings, task.config.seed)
    tuned = tuned_parameters(task)
    personal = {name: factory.fit(name, values) for name, values in tuned.items() if name in PERSONAL}
    days = tuned["popularity"]["days"]
    until = datetime.fromtimestamp(view.log.end / 1e6, UTC).date()
    documents = task.read("item_documents").read(["item_id", "title", "categories"])
    return Explainer(
        view,
        cast(dict[str, ItemBasedSource], personal),
        items_by_id(documents.to_pydict()),
        counts(view.log, days).astype(np.int64),
        Popularity(days, until),
        task.config.explanations.max_evidence,
    )


def tuned_parameters(task: Task) -> dict[str, Parameters]:
    """What `candidates` of this run found. Raises LakeError when it has left no record."""
    record = task_records(task.config).get("candidates", {})
    if "tuned" not in record.get("counters", {}):
        raise LakeError(f"run {task.config.run_id} has no record of task candidates: run it before explanations")
    return cast(dict[str, Parameters], record["counters"]["tuned"])


@dataclass(frozen=True)
class ExplainedBlocks:
    """The served users in blocks: rows of `explanations` for what is recommended to them."""

    explainer: Explainer
    recommended: Snapshot
    size: int

    @property
    def count(self) -> int:
        """Number of blocks."""
        return math.ceil(len(self.explainer.view.user_ids) / self.size)

    def table(self, number: int) -> pa.Table:
        """One block's rows."""
        users = pa.array(self.explainer.view.user_ids[number * self.size :][: self.size], pa.string())
        return self.explainer.table(self.recommended.dataset().to_table(filter=pc.field("user_id").isin(users)))


if __name__ == "__main__":
    main()
