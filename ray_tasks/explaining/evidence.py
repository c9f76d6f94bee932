"""Evidence of a recommendation: which items of the user's history made the source that proposed it say so.

A reason that changes every night, though it still holds, is paid again and believed less: what an earlier night has
told of the same item stays while it is nearly as strong as what is strongest now.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ray_tasks.explaining.wording import EVERYBODY, PERSONAL
from ray_tasks.interactions.rows import Ints, steady
from ray_tasks.retrieval.source import ItemBasedSource

Evidence = list[tuple[int, float]]
"""Catalogue positions of history items with their contributions, strongest first."""
STRONGEST = 3
"""Sources among which the first that an earlier night cited must still be."""
STILL = 0.8
"""Least share of what the strongest history items add that those which an earlier night cited must still add."""


@dataclass(frozen=True)
class Told:
    """What an earlier night's text of a user's item cites: candidate sources, the first first, and history items."""

    sources: tuple[str, ...] = ()
    item_ids: tuple[str, ...] = ()

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Told":
        """From a row of `explanations`; no sources where an older version did not note them."""
        return cls(tuple(row["cited_sources"] or ()), tuple(one["item_id"] for one in row["evidence"]))


def in_order(proposed_by: Sequence[str], told: Told) -> list[str]:
    """The sources that proposed an item, strongest first; before all others those that a text cites.

    That holds while the first of them is still strong, and one that a text names beside history items as well: for any
    other, tonight's text might cite what the next night does not find strong. Of those behind it, a text does not say
    that they are.
    """
    if not {*told.sources[:1]} & {*EVERYBODY, *PERSONAL} & {*proposed_by[:STRONGEST]}:
        return list(proposed_by)
    kept = [source for source in told.sources if source in proposed_by]
    return [*kept, *(source for source in proposed_by if source not in kept)]


def personal_source(proposed_by: Sequence[str], item_based: Collection[str]) -> str | None:
    """The strongest of the sources that can say which items of the history made them propose; None if there is none."""
    return next((source for source in proposed_by if source in item_based), None)


def evidence(
    history: Ints,
    items: Ints,
    proposed_by: Sequence[Sequence[str]],
    sources: Mapping[str, ItemBasedSource],
    most: int,
    told: Sequence[Collection[int]] = (),
) -> list[Evidence]:
    """For each recommended item the history items (most recent first in `history`) that speak most for it.

    Only positive contributions count; ties go to the more recent item. `told` are for each item the places of those
    that an earlier night cited, -1 for one that has left the history; they stay while all of them are there and add at
    least `STILL` of what the strongest add.
    """
    found: list[Evidence] = [[] for _ in items]
    by = [personal_source(names, sources) for names in proposed_by]
    for name in {source for source in by if source is not None}:
        places = np.array([place for place, source in enumerate(by) if source == name])
        parts = steady(sources[name].contributions(history, items[places]))
        for place, column in zip(places, parts.T, strict=True):
            order = np.argsort(-column, kind="stable")
            order = order[column[order] > 0]
            best = order[:most]
            if told and 0 < len(told[place]) <= most:
                before = order[np.isin(history[order], list(told[place]))]
                if len(before) == len(told[place]) and column[before].sum() >= STILL * column[best].sum():
                    best = before
            found[place] = [(int(history[row]), float(column[row])) for row in best]
    return found
