"""What both arms write about: a sample of the last published night, and what their texts are tried on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ray_tasks.evidence import tastes
from ray_tasks.evidence.catalogue import Catalogue
from ray_tasks.evidence.users import UserFacts
from ray_tasks.item_profiles import item_entities
from ray_tasks.profiles.plan import Entity
from ray_tasks.trials.sample import HeldOut, facts_before, first_held_out, shuffled
from ray_tasks.user_profiles import user_entities, user_facts
from ray_tasks.vocabulary.labels import Vocabulary
from schemas.config import RunConfig
from schemas.errors import NothingToDo
from schemas.generation_config import Generator
from schemas.published import PublishedNight

POOL = 200
"""Documents that a user's profile ranks, beside the target."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Material:
    """The night's rows, and the items and users that were drawn from them."""

    documents: tuple[Row, ...]
    reviews: Mapping[str, Row]
    profiles: tuple[Row, ...]
    popularity: Mapping[str, float]
    vocabulary: Vocabulary
    histories: tuple[Row, ...]
    facts: Mapping[str, UserFacts]
    items: tuple[str, ...]
    users: tuple[HeldOut, ...]
    pool: tuple[str, ...]

    @cached_property
    def document_of(self) -> dict[str, Row]:
        """Row of `item_documents` by item_id."""
        return {row["item_id"]: row for row in self.documents}

    @cached_property
    def item_catalogue(self) -> Catalogue:
        """The catalogue as the night's item task saw it."""
        return Catalogue.of(self.documents, self.vocabulary)

    @cached_property
    def user_catalogue(self) -> Catalogue:
        """The catalogue as the night's user task saw it."""
        return Catalogue.of(self.documents, self.vocabulary, self.profiles)

    def entities(self, kind: str, config: RunConfig, generator: Generator) -> list[Entity]:
        """The sample of a kind as a generator is asked about it, in the sample's order."""
        arm = config.model_copy(update={"generator": generator})
        return self._items(generator) if kind == "item" else self._users(arm)

    def _items(self, generator: Generator) -> list[Entity]:
        profiled = {row["item_id"]: row["themes"] for row in self.profiles if row["source"] == "llm"}
        rows = [self.document_of[item_id] for item_id in self.items]
        catalogue, counts = self.item_catalogue, self.popularity
        return item_entities(rows, catalogue, self.vocabulary, generator, counts, self.reviews, profiled)

    def _users(self, config: RunConfig) -> list[Entity]:
        catalogue = self.user_catalogue
        usual = tastes.typical(catalogue.themes_of, self.popularity)
        facts = {held.user_id: facts_before(held, self.facts.get(held.user_id)) for held in self.users}
        return user_entities([held.history for held in self.users], catalogue, usual, config, facts)


def read_material(night: PublishedNight, config: RunConfig, sample: int) -> Material:
    """Read the night and draw the sample. Raises NothingToDo where the night is too small to compare anything."""
    documents = tuple(night.read("item_documents").read().to_pylist())
    counts = night.read("item_statistics").read(["item_id", "n_interactions"]).to_pylist()
    histories = tuple(night.read("user_histories").read().to_pylist())
    ids = shuffled((row["item_id"] for row in documents), config.seed)
    users = first_held_out(histories, frozenset(ids), config.seed, sample)
    if len(ids) < 2 or not users:
        raise NothingToDo(
            f"the night of {night.manifest.run_date} has {len(ids)} items and {len(users)} users of whom a choice can "
            "be kept back: a comparison needs two items and one user"
        )
    return Material(
        documents=documents,
        reviews={row["item_id"]: row for row in night.read("item_reviews").read().to_pylist()},
        profiles=tuple(night.read("item_profiles").read(["item_id", "themes", "source"]).to_pylist()),
        popularity={row["item_id"]: row["n_interactions"] for row in counts},
        vocabulary=Vocabulary.from_table(night.read("vocabularies").read()),
        histories=histories,
        facts=user_facts(night),  # type: ignore[arg-type]  # it reads tables, as a task does
        items=tuple(ids[:sample]),
        users=tuple(users),
        pool=tuple(ids[:POOL]),
    )


def documents_tried(material: Material) -> tuple[list[str], list[int], list[frozenset[int]]]:
    """What user profiles rank: item_ids, each user's target as a place among them, and what each user has had."""
    targets: Sequence[str] = [held.target for held in material.users]
    ids = sorted({*material.pool, *targets})
    places = {item_id: place for place, item_id in enumerate(ids)}
    had = (frozenset(places.get(entry["item_id"], -1) for entry in held.history["items"]) for held in material.users)
    return ids, [places[target] for target in targets], list(had)
