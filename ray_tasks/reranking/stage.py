"""The last stage of a night's ranking: a language model re-orders the lists of a budgeted share of the users.

It works on rows of `recommendations` as they would be published. Rows change places and keep their items, scores and
sources; what is pinned, and the last places, which explore, stay where they are.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Ints, Rows
from ray_tasks.interactions.user_blocks import Blocks
from ray_tasks.interactions.windows import Log, window
from ray_tasks.reranking.arms import Arm, Reranked
from ray_tasks.reranking.fake import FakeAnswerScorer
from ray_tasks.reranking.first_token import AnswerScorer, FirstTokenScorer
from ray_tasks.reranking.line_up import Settings, line_up, serve
from ray_tasks.reranking.prompts import Items, TopLists, by_vectors
from ray_tasks.retrieval.text_similarity import Vectors, item_vectors
from ray_tasks.trials.sample import shuffled
from ray_tasks.tuning.labels import gold_labels
from ray_tasks.tuning.remote import on_all_cores
from ray_tasks.vocabulary.labels import Vocabulary
from schemas.generation_config import Generator
from schemas.night import Task
from schemas.ranking_config import Rerank

LEAST = 100
"""Tokens that no list can be asked about for less: with a budget, it bounds the lists that are looked at."""

PIN = "pin"
"""What `sources` says of a pinned item."""


class ServedLists(Blocks, Protocol):
    """A dataclass that makes rows of `recommendations` for `user_ids` (sorted), block by block."""

    @property
    def user_ids(self) -> NDArray[np.object_]:
        """The users served."""
        ...


@dataclass(frozen=True)
class RerankedBlocks:
    """The same blocks; `orders` holds the item_ids of some users' lists in their new order, first place first."""

    blocks: Blocks
    orders: Mapping[str, Sequence[str]]

    @property
    def count(self) -> int:
        """Number of blocks."""
        return self.blocks.count

    def table(self, number: int) -> pa.Table:
        """One block's rows."""
        return reordered(self.blocks.table(number), self.orders)


def reranked(
    task: Task, read: Callable[[], Log], blocks: ServedLists, run: Callable[..., Any] = on_all_cores
) -> Blocks:
    """The night's lists after the stage that `ranking.rerank` asks for; its figures go to the task's counters.

    `read` reads the log, where a list may be re-ordered. `run` calls a function with the threads that it may use: in a
    Ray session, one task has all cores.
    """
    settings, config = task.config.ranking.rerank, task.config
    if settings.method == "off":
        return blocks
    drawn = drawn_ids(blocks.user_ids, settings, config.seed)
    if not len(drawn):
        task.counters["rerank"] = {"method": settings.method, "users": 0, "drawn": 0, "tokens": 0, "seconds": 0.0}
        return blocks
    known = read()
    part: Any = replace(blocks, user_ids=drawn)  # type: ignore[type-var]  # see ServedLists
    rows = pa.concat_tables([part.table(number) for number in range(part.count)])
    view = window(known, "serving", drawn)
    ranked = movable(rows, view.user_ids, known.item_ids, config.final_list.explore)[:, : settings.places]
    lists = TopLists(ranked, view.history, _items(task, known), by_vectors(_vectors(task, known)))
    places, seed = np.searchsorted(known.user_ids, drawn), config.seed
    served, found = run(asked, lists, known, places, config.generator, settings, seed=seed)
    orders = {view.user_ids[user]: [known.item_ids[item] for item in served[user] if item >= 0] for user in found.users}
    figures = {"users": len(found.users), "drawn": len(drawn), "tokens": found.tokens}
    task.counters["rerank"] = {"method": settings.method, **figures, "seconds": round(found.seconds, 1)}
    return RerankedBlocks(blocks, orders)


def drawn_ids(user_ids: NDArray[np.object_], settings: Rerank, seed: int) -> NDArray[np.object_]:
    """The share of the users, sorted: by a hash, so that who is drawn is drawn every night."""
    most = min(int(settings.share * len(user_ids)), settings.tokens // LEAST)
    return np.array(sorted(shuffled(user_ids, seed)[:most]), dtype=object)


def asked(
    lists: TopLists, known: Log, served: Ints, generator: Generator, settings: Rerank, seed: int, threads: int
) -> tuple[Ints, Reranked]:
    """Lists in their new order, and what that took. `served` are the positions of the lists' users in the log."""
    arm = serving_arm(lists, known, served, make_answer_scorer(generator, threads), settings, seed)
    return serve(arm, settings.weight, settings.tokens, seed)


def serving_arm(lists: TopLists, known: Log, served: Ints, scorer: AnswerScorer, settings: Rerank, seed: int) -> Arm:
    """The arm that the settings name; its examples are users of the log who are not drawn."""
    n, way = settings.in_context, "in-context" if settings.in_context else "zero-shot"
    sizes = Settings(pointwise_examples=n, listwise_examples=n, seed=seed)
    arms = line_up(lists, known.histories(), served, {"night": scorer}, sizes)
    return next(arm for arm in arms if arm.name == f"night {way} {settings.method}")


def make_answer_scorer(generator: Generator, threads: int) -> AnswerScorer:
    """The generator's weights as a reader of answers. Raises ModelError when its files are not in order."""
    if generator.backend == "fake":
        return FakeAnswerScorer(lambda prompt, answer: zlib.crc32(f"{prompt}{answer}".encode()) / 2**32)
    return FirstTokenScorer(generator.path, threads)


def movable(rows: pa.Table, user_ids: NDArray[np.object_], item_ids: NDArray[np.object_], explore: int) -> Ints:
    """(users, places) item positions of what may change its place, in the order of rank; -1 behind them.

    `rows` are of `recommendations`; `user_ids` are sorted; a user without rows has nothing to move.
    """
    rank, user = np.asarray(rows["rank"]), np.searchsorted(user_ids, rows["user_id"].to_numpy())
    last = np.zeros(len(user_ids), dtype=np.int64)
    np.maximum.at(last, user, rank)
    is_pin = np.array([sources == [PIN] for sources in rows["sources"].to_pylist()], dtype=bool)
    free = np.flatnonzero((rank <= last[user] - explore) & ~is_pin)
    order = free[np.lexsort((rank[free], user[free]))]
    found = Rows.of(user[order], np.searchsorted(item_ids, rows["item_id"].to_numpy()[order]), len(user_ids))
    ranked = np.full((len(user_ids), int(found.lengths.max(initial=0))), -1, dtype=np.int64)
    ranked[found.row_of, found.position_of] = found.items
    return ranked


def reordered(table: pa.Table, orders: Mapping[str, Sequence[str]]) -> pa.Table:
    """Rows of `recommendations` whose items take the places of each other in the orders given, by user."""
    users, ranks = table["user_id"].to_pylist(), table["rank"].to_pylist()
    row_of = {key: row for row, key in enumerate(zip(users, table["item_id"].to_pylist(), strict=True))}
    source = np.arange(table.num_rows)
    for user in sorted(set(users) & set(orders)):
        rows = [row_of[user, item] for item in orders[user]]
        source[sorted(rows, key=lambda row: ranks[row])] = rows
    moved = table.take(pa.array(source))
    for name in ("rank", "ranker_rank"):
        moved = moved.set_column(table.schema.get_field_index(name), table.schema.field(name), table[name])
    return moved


def _items(task: Task, known: Log) -> Items:
    """Titles, and the labels that categories mean, as in tuning: by catalogue position."""
    rows = task.read("items").read(["item_id", "title", "categories"]).to_pylist()
    labels = gold_labels(rows, Vocabulary.from_table(task.read("vocabularies").read()))
    titles = {row["item_id"]: row["title"] for row in rows}
    ids = known.item_ids
    return Items([titles[one] for one in ids], [labels.get(one, ()) for one in ids], task.config.generator.item_kind)


def _vectors(task: Task, known: Log) -> Vectors:
    return item_vectors(task.read("item_embeddings").read(["item_id", "kind", "vector"]), known.item_ids)
