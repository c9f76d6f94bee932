"""Every candidate source by name: fitted on one log, with what the sources share computed once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

from ray_tasks.interactions.rows import Rows
from ray_tasks.interactions.windows import Log
from ray_tasks.ray_session import in_worker
from ray_tasks.retrieval.cooccurrence import Cooccurrence, fit_ease, fit_item_item
from ray_tasks.retrieval.generative import GenerativeSettings, fit_generative
from ray_tasks.retrieval.graph import fit_graph
from ray_tasks.retrieval.ials import fit_ials
from ray_tasks.retrieval.item_factors import ItemFactors
from ray_tasks.retrieval.item_texts import ItemTexts
from ray_tasks.retrieval.new_items import fit_new_items
from ray_tasks.retrieval.popularity import RecentPopularity, first_events
from ray_tasks.retrieval.regularised_ease import fit_regularised_ease
from ray_tasks.retrieval.sequence import SequenceSettings, fit_sequence
from ray_tasks.retrieval.source import CandidateSource, SimilaritySource, thin
from ray_tasks.retrieval.stated import StatedSource
from ray_tasks.retrieval.text_similarity import TextSimilarity, Vectors
from ray_tasks.retrieval.transitions import fit_transitions
from ray_tasks.retrieval.two_tower import TwoTowerSettings, fit_two_tower
from ray_tasks.retrieval.words import WordSimilarity
from schemas.candidates_config import Candidates

Parameters = dict[str, float]
Grids = Mapping[str, Sequence[float]]

FROM_COUNTS = ("ease", "item_item", "transitions", "ease_text")
"""Sources over the catalogue's core, by who took what together."""


@dataclass(frozen=True)
class SourceFactory:
    """Fits any source on one log. The last matrix of each kind is kept: another half-life needs no new one.

    `factors` are what Spark fitted on the same log, for catalogues beyond the core: with them `ials` fits nothing.
    """

    known: Log
    texts: ItemTexts
    settings: Candidates
    seed: int
    factors: ItemFactors | None = None
    _kept: dict[str, tuple[Any, Any]] = field(default_factory=dict, repr=False)

    @cached_property
    def histories(self) -> Rows:
        """Everybody's history."""
        return self.known.histories()

    @cached_property
    def together(self) -> Cooccurrence:
        """Co-occurrence counts of the log."""
        return Cooccurrence.count(self.known, self.settings.max_core_items)

    def shared(self) -> "SourceFactory":
        """Itself, with what sources share computed, so that workers find it there."""
        if set(FROM_COUNTS) & set(self.settings.used):
            _ = self.together
        _ = self.histories
        return self

    @cached_property
    def in_store(self) -> Any:
        """A reference to itself in Ray's object store, with what sources share, inside a Ray session.

        A worker computes that: counts take the square of the core, and whoever only hands out work need not hold them.
        """
        return in_worker(SourceFactory.shared, self)

    def fit(self, name: str, parameters: Parameters) -> CandidateSource:
        """A source by name with its parameters."""
        fits: dict[str, Callable[..., CandidateSource]] = {
            "popularity": self._popularity,
            "ease": self._ease,
            "text": self._text,
            "item_item": self._item_item,
            "transitions": self._transitions,
            "words": self._words,
            "ease_text": self._ease_text,
            "ials": self._ials,
            "trending": self._trending,
            "newcomers": self._newcomers,
            "new_items": self._new_items,
            "graph": self._graph,
            "two_tower": self._two_tower,
            "sequence": self._sequence,
            "sequence_text": self._sequence_text,
            "generative": self._generative,
            "profiles": self._profiles,
            "stated": self._stated,
        }
        return fits[name](**parameters)

    def _once(self, name: str, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` makes, made again only when the key is another than last time."""
        if name not in self._kept or self._kept[name][0] != key:
            self._kept.pop(name, None)  # before the next one is made, so that both never take memory together
            self._kept[name] = (key, make())
        return self._kept[name][1]

    def _popularity(self, days: float) -> CandidateSource:
        return RecentPopularity.fit(self.known, days)

    def _text(self, half_life: float) -> CandidateSource:
        return TextSimilarity(self.texts.vectors, half_life)

    def _profiles(self, half_life: float) -> CandidateSource:
        return TextSimilarity(self.texts.profiles, half_life)

    def _ease(self, l2: float, half_life: float) -> CandidateSource:
        return self._similarity(self._once("ease", l2, lambda: fit_ease(self.together, l2)), half_life)

    def _item_item(self, neighbours: float, shrinkage: float, half_life: float) -> CandidateSource:
        def make() -> Any:
            return thin(fit_item_item(self.together, shrinkage, int(neighbours)))

        return self._similarity(self._once("item_item", (neighbours, shrinkage), make), half_life)

    def _transitions(self, steps: float, half_life: float) -> CandidateSource:
        def make() -> Any:
            return thin(fit_transitions(self.histories, self.together.core, int(steps)))

        return self._similarity(self._once("transitions", steps, make), half_life)

    def _words(self, half_life: float) -> CandidateSource:
        return WordSimilarity(self.texts.words, half_life)

    def _ease_text(self, l2: float, weight: float, half_life: float) -> CandidateSource:
        def make() -> Any:
            return fit_regularised_ease(self.together, self.texts.words, l2, weight)

        return self._similarity(self._once("ease_text", (l2, weight), make), half_life)

    def _ials(self, l2: float, unobserved: float, half_life: float) -> CandidateSource:
        if self.factors is not None:
            return self.factors.source(len(self.known.item_ids), unobserved=unobserved, l2=l2, half_life=half_life)

        def make() -> Any:
            return fit_ials(
                self.histories,
                len(self.known.item_ids),
                dimensions=self.settings.ials_dimensions,
                unobserved=unobserved,
                l2=l2,
                seed=self.seed,
            )

        return replace(self._once("ials", (l2, unobserved), make), half_life=half_life)

    def _trending(self, days: float) -> CandidateSource:
        return RecentPopularity.fit(self.known, days, fading=True)

    def _newcomers(self, days: float, first: float) -> CandidateSource:
        return RecentPopularity.fit(first_events(self.known, int(first)), days, fading=True)

    def _new_items(self, half_life: float) -> CandidateSource:
        return fit_new_items(self.histories, self.texts.vectors, self.settings.new_item_interactions, half_life)

    def _graph(self, layers: float, half_life: float) -> CandidateSource:
        def make() -> Any:
            return fit_graph(self.histories, self.texts.vectors, int(layers), half_life)

        return replace(self._once("graph", layers, make), half_life=half_life)

    def _two_tower(self, half_life: float) -> CandidateSource:
        def make() -> Any:
            return fit_two_tower(self.histories, self.texts.vectors, half_life, TwoTowerSettings(), self.seed)

        return cast("CandidateSource", self._once("two_tower", half_life, make))

    def _sequence(self, epochs: float) -> CandidateSource:
        return self._next("sequence", None, int(epochs))

    def _sequence_text(self, epochs: float) -> CandidateSource:
        return self._next("sequence_text", self.texts.vectors, int(epochs))

    def _next(self, name: str, vectors: Vectors | None, epochs: int) -> CandidateSource:
        settings = SequenceSettings(epochs=epochs, most_tokens=self.settings.sequence_tokens)

        def make() -> Any:
            return fit_sequence(self.histories, len(self.known.item_ids), vectors, settings, self.seed)

        return cast("CandidateSource", self._once(name, epochs, make))

    def _generative(self, collaborative: float) -> CandidateSource:
        settings = GenerativeSettings(collaborative=collaborative, most_tokens=self.settings.generative_tokens)

        def make() -> Any:
            return fit_generative(self.histories, self.texts.vectors, settings, self.seed)

        return cast("CandidateSource", self._once("generative", collaborative, make))

    def _stated(self, days: float, first: float, weight: float) -> CandidateSource:
        newcomers = RecentPopularity.fit(first_events(self.known, int(first)), days, fading=True)
        return StatedSource.fit(self.texts.vectors, newcomers.popularity, weight)

    def _similarity(self, matrix: Any, half_life: float) -> CandidateSource:
        return SimilaritySource(self.together.core, matrix, half_life, self.together.n_items)


def grids(settings: Candidates) -> dict[str, Grids]:
    """What is tried for each source in use. The half-life comes last: changing it needs no new fit."""
    half_life = {"half_life": settings.history_half_life}
    every: dict[str, Grids] = {
        "popularity": {"days": settings.popularity_days},
        "ease": {"l2": settings.ease_l2, **half_life},
        "text": half_life,
        "profiles": half_life,
        "item_item": {
            "neighbours": settings.item_item_neighbours,
            "shrinkage": settings.item_item_shrinkage,
            **half_life,
        },
        "transitions": {"steps": settings.transition_steps, **half_life},
        "words": half_life,
        "ease_text": {"l2": settings.ease_l2, "weight": settings.ease_text_weight, **half_life},
        "trending": {"days": settings.trending_days},
        "newcomers": {"days": settings.trending_days, "first": settings.newcomers_first},
        "new_items": {"half_life": settings.new_items_half_life},
        "graph": {"layers": settings.graph_layers, **half_life},
        "two_tower": {"half_life": settings.two_tower_half_life},
        "sequence": {"epochs": settings.sequence_epochs},
        "sequence_text": {"epochs": settings.sequence_epochs},
        "generative": {"collaborative": settings.generative_collaborative},
        "stated": {
            "days": settings.trending_days,
            "first": settings.newcomers_first,
            "weight": settings.stated_weight,
        },
        "ials": {"l2": settings.ials_l2, "unobserved": settings.ials_unobserved, **half_life},
    }
    return {name: every[name] for name in settings.used}
