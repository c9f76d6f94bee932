"""What a tuning works on, read from the last published night: pairs of all tasks, and held-out entities to judge by.

Only the training period of the night's time split is used: what evaluation asks of the ranker (the validation and test
windows) the generator has never seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
from scipy.sparse import csr_matrix

from ray_tasks.evidence import tastes
from ray_tasks.evidence.catalogue import Catalogue
from ray_tasks.generation.factory import make_token_counter
from ray_tasks.item_profiles import item_entities
from ray_tasks.profiles.checks import Grounds
from ray_tasks.profiles.plan import Entity
from ray_tasks.profiles.prompt_file import PromptFile
from ray_tasks.tuning.labels import Told, gold_labels, label_pairs
from ray_tasks.tuning.next_item import Shelf, next_item_pairs
from ray_tasks.tuning.pairs import Pair, choose, part_of
from ray_tasks.tuning.profiles import TUNED_PROMPTS, profile_pairs
from ray_tasks.user_profiles import user_entities
from ray_tasks.vocabulary.labels import Vocabulary
from schemas.config import RunConfig
from schemas.published import PublishedNight

VALIDATED = 24
"""Pairs of each task by which training decides when to stop: more would cost more than they tell."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Material:
    """Pairs of all tasks and parts; held-out entities by kind; words that only evidence may bring up."""

    pairs: tuple[Pair, ...]
    held_out: Mapping[str, Sequence[Entity]]
    words: frozenset[str]

    def of(self, task: str, part: str | None = None) -> list[Pair]:
        """Pairs of a task, of one part or of all."""
        return [pair for pair in self.pairs if pair.task == task and part in (None, pair.part)]


@dataclass(frozen=True)
class Tables:
    """Rows of a night, as they are needed here. `events` are those of the training period."""

    documents: Sequence[Row]
    reviews: Mapping[str, Row]
    vocabulary: Vocabulary
    events: Sequence[Row]
    item_profiles: Mapping[str, Row]
    user_profiles: Mapping[str, Row]

    @classmethod
    def of(cls, night: PublishedNight) -> "Tables":
        """Read them."""
        splits = night.read("splits").read()
        return cls(
            night.read("item_documents").read().to_pylist(),
            _by_id(night, "item_reviews", "item_id"),
            Vocabulary.from_table(night.read("vocabularies").read()),
            splits.filter(pc.equal(splits["split"], "train")).to_pylist(),
            _by_id(night, "item_profiles", "item_id"),
            _by_id(night, "user_profiles", "user_id"),
        )


def collect(night: PublishedNight, config: RunConfig) -> Material:
    """All material of a tuning; the same for the same night and seed."""
    tables = Tables.of(night)
    items, held_items = _item_profiles(tables, config)
    users, held_users = _user_profiles(tables, config)
    pairs = (*_labels(tables, config), *_next_items(tables, config), *items, *users)
    return Material(pairs, {"item": held_items, "user": held_users}, tables.vocabulary.words())


def chosen_matrix(events: Sequence[Row], item_ids: Sequence[str]) -> csr_matrix:
    """(users, items), 1 where a user chose an item; columns in the order of `item_ids`."""
    places = {item_id: at for at, item_id in enumerate(item_ids)}
    known = [row for row in events if row["item_id"] in places]
    users = {user_id: at for at, user_id in enumerate(sorted({row["user_id"] for row in known}))}
    cells = ([users[row["user_id"]] for row in known], [places[row["item_id"]] for row in known])
    found = csr_matrix((np.ones(len(known), np.float32), cells), shape=(len(users), len(item_ids)))
    found.data[:] = 1.0  # an item that was chosen twice is chosen
    return found


def popularity(events: Sequence[Row]) -> dict[str, int]:
    """How often each item was chosen."""
    found: dict[str, int] = {}
    for row in events:
        found[row["item_id"]] = found.get(row["item_id"], 0) + 1
    return found


def _amounts(config: RunConfig, train: int, each: int = 1) -> dict[str, int]:
    """Ids of each part, where one id gives `each` pairs."""
    return {"train": train // each, "validation": VALIDATED // each, "test": config.tuning.judged // each}


def _labels(tables: Tables, config: RunConfig) -> list[Pair]:
    ids = [row["item_id"] for row in tables.documents]
    labelled = gold_labels(tables.documents, tables.vocabulary)
    generator = config.generator
    told = Told(generator.item_kind, make_token_counter(generator), generator.evidence_tokens, tables.reviews)
    wanted = choose(labelled, _amounts(config, config.tuning.label_pairs), config.seed)
    chosen = chosen_matrix(tables.events, ids)
    return label_pairs(tables.documents, wanted, labelled, chosen, told, seed=config.seed)


def _next_items(tables: Tables, config: RunConfig) -> list[Pair]:
    titles = {row["item_id"]: row["title"] for row in tables.documents}
    labels = gold_labels(tables.documents, tables.vocabulary)
    shelf = Shelf(config.generator.item_kind, titles, labels, popularity(tables.events), config.seed)
    users = {row["user_id"] for row in tables.events}
    wanted = set(choose(users, _amounts(config, config.tuning.next_item_pairs, 2), config.seed))
    events = [row for row in tables.events if row["user_id"] in wanted]
    return next_item_pairs(events, shelf)


def _item_profiles(tables: Tables, config: RunConfig) -> tuple[list[Pair], list[Entity]]:
    themes = {i: row["themes"] for i, row in tables.item_profiles.items() if row["source"] == "llm"}
    profiled = {item_id: found for item_id, found in themes.items() if part_of(item_id, config.seed) == "train"}
    paid = themes or tables.item_profiles
    wanted = {*choose(paid, {"train": config.tuning.profile_pairs, "validation": VALIDATED}, config.seed)}
    held = set(choose([row["item_id"] for row in tables.documents], {"test": config.tuning.judged}, config.seed))
    documents = [row for row in tables.documents if row["item_id"] in wanted | held]
    catalogue = Catalogue.of(tables.documents, tables.vocabulary)
    counts = {item_id: float(count) for item_id, count in popularity(tables.events).items()}
    generator, vocabulary = config.generator, tables.vocabulary
    entities = item_entities(documents, catalogue, vocabulary, generator, counts, tables.reviews, profiled)
    learned, held_out = _divided(entities, wanted)
    return _learned("item", learned, tables.item_profiles, tables, config), held_out


def _user_profiles(tables: Tables, config: RunConfig) -> tuple[list[Pair], list[Entity]]:
    histories = training_histories(tables.events)
    users = [row["user_id"] for row in histories]
    asked = [user for user in users if tables.user_profiles.get(user, {}).get("source") == "llm"] or users
    wanted = {*choose(asked, {"train": config.tuning.profile_pairs, "validation": VALIDATED}, config.seed)}
    held = set(choose(users, {"test": config.tuning.judged}, config.seed))
    catalogue = Catalogue.of(tables.documents, tables.vocabulary, tables.item_profiles.values())
    usual = tastes.typical(catalogue.themes_of, {i: float(n) for i, n in popularity(tables.events).items()})
    rows = [row for row in histories if row["user_id"] in wanted | held]
    learned, held_out = _divided(user_entities(rows, catalogue, usual, config), wanted)
    return _learned("user", learned, tables.user_profiles, tables, config), held_out


def training_histories(events: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as of `user_histories`, from events of the training period alone: distinct items, most recent first."""
    latest: dict[str, dict[str, Row]] = {}
    counts: dict[str, int] = {}
    for row in sorted(events, key=lambda row: (row["user_id"], row["timestamp"])):
        latest.setdefault(row["user_id"], {})[row["item_id"]] = row
        counts[row["user_id"]] = counts.get(row["user_id"], 0) + 1
    return [
        {
            "user_id": user_id,
            "items": sorted(items.values(), key=lambda row: (-row["timestamp"].timestamp(), row["item_id"])),
            "n_interactions": counts[user_id],
        }
        for user_id, items in latest.items()
    ]


def _learned(
    kind: str, entities: Sequence[Entity], published: Mapping[str, Row], tables: Tables, config: RunConfig
) -> list[Pair]:
    prompt, grounds = PromptFile.load(TUNED_PROMPTS[kind]), Grounds((), tables.vocabulary.words())
    return profile_pairs(kind, entities, published, grounds, prompt, config.generator, seed=config.seed)


def _divided(entities: Sequence[Entity], wanted: set[str]) -> tuple[list[Entity], list[Entity]]:
    """Entities that are learned from, and those that are held out and have enough evidence."""
    learned = [one for one in entities if one.entity_id in wanted]
    return learned, [one for one in entities if one.entity_id not in wanted and one.evidence.enough]


def _by_id(night: PublishedNight, table: str, column: str) -> dict[str, Row]:
    return {row[column]: row for row in night.read(table).read().to_pylist()}
