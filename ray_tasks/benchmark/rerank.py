"""Does a language model that re-orders the blend's lists help? Decided on validation, told by the test window.

The models: the base one, asked zero-shot and in context, and the same tuned with LoRA on the training split's next-item
pairs. Each is asked point-wise and list-wise. How much say an arm gets beside the ranker is tuned on validation lists;
the test lists are measured once, with that weight.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ray_tasks.benchmark.data import Dataset
from ray_tasks.benchmark.profiles import described
from ray_tasks.interactions.rows import Ints, Rows
from ray_tasks.interactions.windows import Log, Window
from ray_tasks.reranking.arms import Arm
from ray_tasks.reranking.evaluation import ArmOutcome, Outcome, compare
from ray_tasks.reranking.examples import example_users
from ray_tasks.reranking.first_token import AnswerScorer, FirstTokenScorer
from ray_tasks.reranking.line_up import Settings, line_up
from ray_tasks.reranking.prompts import Items, TopLists, by_vectors
from ray_tasks.retrieval.item_texts import ItemTexts
from ray_tasks.tuning.evaluation import instructions
from ray_tasks.tuning.labels import gold_labels
from ray_tasks.tuning.lora import Adapter, train
from ray_tasks.tuning.merged import merged
from ray_tasks.tuning.next_item import Shelf, next_item_pairs
from ray_tasks.tuning.pairs import Pair, choose
from schemas.generation_config import Tuning

log = logging.getLogger("nightrec.benchmark")

TOKENS = 120_000
"""Read by all arms in both windows: about three minutes on two cores."""
TUNING_MINUTES = 2.0
TUNED_ON, VALIDATED = 800, 24
"""Users whose next item is learned from, and those by whom training stops."""


@dataclass(frozen=True)
class Plan:
    """What may be spent: `tokens` by all arms in both windows, minutes of tuning (0: no tuned arms), and by what.

    `model` is the folder of a causal language model; `home` holds the tuned one while it is asked; `places` are the
    first ones of the lists, which are re-ordered; `kind` is what an item is, in a word.
    """

    model: str
    home: Path
    tokens: int = TOKENS
    tuning_minutes: float = TUNING_MINUTES
    places: int = 10
    kind: str = "item"
    seed: int = 20_241
    threads: int = 1


@dataclass(frozen=True)
class Ranked:
    """A window, and the lists of its users: (users, k) item positions in the ranker's order, -1 for empty places."""

    view: Window
    lists: Ints

    @property
    def targets(self) -> Rows:
        """What the users took next."""
        assert self.view.targets is not None
        return self.view.targets

    def without(self, users: Ints, known: Log) -> "Ranked":
        """The lists of all users but some, which are positions in the log's users."""
        kept = np.flatnonzero(~np.isin(np.searchsorted(known.user_ids, self.view.user_ids), users))
        view, targets = self.view, self.targets.take(kept)
        window = Window(view.name, view.log, view.user_ids[kept], view.history.take(kept), targets)
        return Ranked(window, self.lists[kept])


@dataclass(frozen=True)
class Told:
    """What models are told of a data set: its log under a protocol, its items, the vectors that say what matters."""

    cut: Log
    items: Items
    texts: ItemTexts

    @classmethod
    def of(cls, data: Dataset, cut: Log, texts: ItemTexts, kind: str) -> "Told":
        """Titles, and the labels that categories mean, as in a night's tuning."""
        rows, vocabulary = described(data)
        found = gold_labels(rows, vocabulary)
        return cls(cut, Items(data.titles, [found.get(item_id, ()) for item_id in data.log.item_ids], kind), texts)

    @property
    def train(self) -> Log:
        """The training split."""
        return self.cut.where(self.cut.split == 0)


def rerank(
    data: Dataset,
    texts: ItemTexts,
    cut: Log,
    validation: Ranked,
    test: Ranked,
    plan: Plan,
    models: Mapping[str, AnswerScorer] | None = None,
) -> dict[str, Any]:
    """The benchmark's result under the key `rerank`; {} without a budget. `cut` is the data's log under its protocol.

    `models` replace those of the plan in tests; one called `tuned` is asked without examples.
    """
    if not plan.tokens:
        return {}
    started, told = time.monotonic(), Told.of(data, cut, texts, plan.kind)
    settings = Settings(seed=plan.seed)
    examples = _examples(told, settings)
    with _models(told, plan, models) as (asked, training):
        first, weights = _measured(told, validation.without(examples, cut), asked, settings, plan, None)
        second, _ = _measured(told, test.without(examples, cut), asked, settings, plan, weights)
    chosen = first.chosen.name if first.chosen else None
    log.info("re-ranking: %s on validation", f"{chosen} helps" if chosen else "nothing helps")
    return {
        "model": Path(plan.model).name,
        "tokens_budget": plan.tokens,
        "places": plan.places,
        "chosen": chosen,
        "validation": _told(first),
        "test": _told(second),
        "tuning": training,
        "seconds": round(time.monotonic() - started, 1),
    }


def _examples(told: Told, settings: Settings) -> Ints:
    """The users who are in-context examples: they leave both windows, where else they might be asked about."""
    most = max(settings.pointwise_examples, settings.listwise_examples)
    return example_users(told.train.histories(), np.zeros(0, dtype=np.int64), most, settings.seed)


def _measured(
    told: Told,
    ranked: Ranked,
    models: Mapping[str, AnswerScorer],
    settings: Settings,
    plan: Plan,
    weights: Mapping[str, float] | None,
) -> tuple[Outcome, dict[str, float]]:
    """All arms on one window, and the weight of each arm's blend."""
    lists = TopLists(ranked.lists[:, : plan.places], ranked.view.history, told.items, by_vectors(told.texts.vectors))
    histories = told.train.histories()
    others = np.setdiff1d(np.arange(len(histories)), _examples(told, settings))
    arms: list[Arm] = line_up(lists, histories, others, models, settings)
    budget = plan.tokens // (2 * len(arms))
    outcome = compare(arms, ranked.targets, budget, plan.seed, weights=weights)
    return outcome, {one.arm: one.weight for one in outcome.arms if one.blended}


@contextmanager
def _models(
    told: Told, plan: Plan, given: Mapping[str, AnswerScorer] | None
) -> Iterator[tuple[Mapping[str, AnswerScorer], dict[str, Any]]]:
    """The base model and the tuned one, whose folder is gone afterwards; and how tuning went."""
    if given is not None:
        yield given, {}
        return
    base = FirstTokenScorer(plan.model, plan.threads)
    pairs = training_pairs(told, plan) if plan.tuning_minutes else []
    if not {"train", "validation"} <= {pair.part for pair in pairs}:
        yield {"base": base}, {}
        return
    tuning = Tuning(max_minutes=plan.tuning_minutes)
    adapter = train(plan.model, pairs, instructions(), tuning, seed=plan.seed, threads=plan.threads)
    with merged(plan.model, adapter.files, str(plan.home)) as folder:
        yield {"base": base, "tuned": FirstTokenScorer(str(folder), plan.threads)}, _training(adapter)


def training_pairs(told: Told, plan: Plan) -> list[Pair]:
    """Next-item pairs of the training split, in the form in which the point-wise arms ask."""
    known = told.train
    user_ids, item_ids = known.user_ids, known.item_ids
    counts = np.bincount(known.item, minlength=len(item_ids))
    shelf = Shelf(
        plan.kind,
        titles=dict(zip(item_ids, told.items.titles, strict=True)),
        labels=dict(zip(item_ids, told.items.labels, strict=True)),
        popularity={item_ids[at]: int(counts[at]) for at in np.flatnonzero(counts)},
        seed=plan.seed,
    )
    wanted = choose(user_ids[np.unique(known.user)], {"train": TUNED_ON, "validation": VALIDATED}, plan.seed)
    rows = np.flatnonzero(np.isin(user_ids, wanted)[known.user])
    events = (
        {"user_id": user_ids[user], "item_id": item_ids[item], "timestamp": time_, "rating": None}
        for user, item, time_ in zip(known.user[rows], known.item[rows], known.time[rows], strict=True)
    )
    return next_item_pairs(events, shelf)


def _training(adapter: Adapter) -> dict[str, Any]:
    return {
        "pairs": adapter.examples,
        "steps": adapter.steps,
        "tokens": adapter.tokens,
        "seconds": adapter.seconds,
        "ended_by": adapter.ended,
        "validation_losses": [point.validation_loss for point in adapter.curve],
    }


def _told(outcome: Outcome) -> dict[str, Any]:
    arms = {one.name: _arm(one) for one in outcome.arms}
    return {"users": outcome.users, "asked": outcome.asked, "ranker_ndcg@10": asdict(outcome.ranker), "arms": arms}


def _arm(one: ArmOutcome) -> dict[str, Any]:
    return {
        "ndcg@10": asdict(one.ndcg),
        "difference": asdict(one.difference),
        "helps": one.helps,
        "weight": one.weight,
        "tokens": one.tokens,
        "seconds": round(one.seconds, 1),
        "position_bias": list(one.position_bias),
    }
