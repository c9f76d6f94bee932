"""Evidence of a recommendation: which items of the user's history made the source that proposed it say so."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ray_tasks.interactions.rows import Ints, steady
from ray_tasks.retrieval.source import ItemBasedSource

Evidence = list[tuple[int, float]]
"""Catalogue positions of history items with their contributions, strongest first."""


def personal_source(proposed_by: Sequence[str], item_based: Collection[str]) -> str | None:
    """The strongest of the sources that can say which items of the history made them propose; None if there is none."""
    return next((source for source in proposed_by if source in item_based), None)


def evidence(
    history: Ints,
    items: Ints,
    proposed_by: Sequence[Sequence[str]],
    sources: Mapping[str, ItemBasedSource],
    most: int,
) -> list[Evidence]:
    """For each recommended item the history items (most recent first in `history`) that speak most for it.

    Only positive contributions count; ties go to the more recent item.
    """
    found: list[Evidence] = [[] for _ in items]
    by = [personal_source(names, sources) for names in proposed_by]
    for name in {source for source in by if source is not None}:
        places = np.array([place for place, source in enumerate(by) if source == name])
        parts = steady(sources[name].contributions(history, items[places]))
        for place, column in zip(places, parts.T, strict=True):
            order = np.argsort(-column, kind="stable")[:most]
            found[place] = [(int(history[row]), float(column[row])) for row in order if column[row] > 0]
    return found
