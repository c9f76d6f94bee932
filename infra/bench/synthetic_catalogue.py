"""The texts of a made-up catalogue: an item's words are those of its cluster, so that texts tell tastes."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.random import default_rng
from numpy.typing import NDArray
from synthetic_events import TEXTS, Plan

WORDS = {
    "adventure": "jungle expedition treasure island map river summit caravan compass voyage",
    "animals": "wolf falcon horse whale otter herd forest burrow meadow tracks",
    "art": "painter canvas gallery sculpture pigment studio portrait forger sketch museum",
    "comedy": "wedding neighbour prank landlord mistake uncle rehearsal parrot holiday disguise",
    "crime": "detective robbery alibi harbour ledger informer vault witness verdict smuggler",
    "disaster": "flood earthquake tunnel avalanche rescue storm bridge eruption signal shelter",
    "family": "grandmother orchard kitchen reunion brother attic letter birthday farm promise",
    "fantasy": "dragon sorcerer prophecy kingdom amulet castle elf oath portal throne",
    "food": "baker vineyard recipe harvest market chef spice cellar bread banquet",
    "history": "emperor chronicle revolution abbey merchant treaty duchess archive siege crown",
    "horror": "ghost cellar scream cemetery mirror curse asylum shadow doll midnight",
    "music": "orchestra violin jazz choir tour melody pianist record festival drummer",
    "mystery": "riddle manor stranger cipher lighthouse diary inheritance clue train poison",
    "romance": "kiss summer seaside bookshop dance proposal rival bouquet farewell violinist",
    "school": "teacher classroom exam playground headmaster friendship library pupil debate graduation",
    "space": "planet starship astronaut comet colony android orbit gravity transmission alien",
    "sport": "boxer championship coach stadium marathon rival goalkeeper sprint medal comeback",
    "war": "soldier trench convoy general battalion bunker retreat medic frontier ceasefire",
}
"""Ten nouns for each of the 18 default clusters, by the category that stands for it."""
MANNERS = (
    *("silent", "last", "golden", "broken", "hidden", "distant", "burning", "lonely", "crimson", "forgotten"),
    *("endless", "restless", "frozen", "early", "wandering", "secret", "wild", "second", "gentle", "northern"),
)
MOODS = ("tense", "warm", "bleak", "playful", "slow", "vivid", "tender", "strange", "clever", "bitter")
AUDIENCES = ("everyone", "children", "patient viewers", "a long evening", "fans")
SCHEMA = pa.schema(
    {
        "item_id": pa.string(),
        "title": pa.string(),
        "categories": pa.string(),
        "description": pa.string(),
        "year": pa.int32(),
    }
)
BATCH = 50_000
"""Items whose texts are made at once."""


def cluster_names(clusters: int) -> list[str]:
    """A category per cluster; more clusters than WORDS are numbered parts of these."""
    names = list(WORDS)
    return [names[c % len(names)] + (f" {c // len(names) + 1}" if c >= len(names) else "") for c in range(clusters)]


def item_ids(items: int) -> pa.Array:
    """Ids by number, of equal length, so that they sort like their numbers."""
    return pa.array([f"i{number:0{len(str(items - 1))}d}" for number in range(items)], pa.string())


def catalogue(plan: Plan, first_second: int) -> Iterator[pa.Table]:
    """The items in the order of their ids (SCHEMA), a batch at a time.

    Categories are joined by `|`: the cluster's, and for half of the items another. The year is that of the birth; items
    that were there from the beginning are older, half of them by up to 8 years.
    """
    chance, ids = default_rng([plan.seed, TEXTS]), item_ids(plan.items)
    order = np.argsort(plan.names)
    cluster = np.searchsorted(plan.starts, order, side="right") - 1
    born = (first_second + plan.born[order]).astype("datetime64[s]").astype("datetime64[Y]").astype(np.int32) + 1970
    age = np.where(plan.born[order] > 0, 0, 1 + chance.exponential(11.5, plan.items))
    other = np.where(chance.random(plan.items) < 0.5, chance.integers(plan.shape.clusters, size=plan.items), cluster)
    words = np.argsort(chance.random((plan.items, 10), dtype=np.float32), axis=1)[:, :5]
    rest = chance.integers(1_000_000, size=(plan.items, 4))
    for begin in range(0, plan.items, BATCH):
        part = slice(begin, begin + BATCH)
        texts = _texts(plan.shape.clusters, cluster[part], other[part], words[part], rest[part])
        yield pa.table([ids[part], *texts, (born - age).astype(np.int32)[part]], schema=SCHEMA)


def _texts(
    clusters: int,
    cluster: NDArray[np.int64],
    other: NDArray[np.int64],
    words: NDArray[np.int64],
    rest: NDArray[np.int64],
) -> tuple[list[str], list[str], list[str]]:
    """Titles, categories and descriptions of a batch; `words` and `rest` are the numbers that choose."""
    nouns = np.array([text.split() for text in WORDS.values()], dtype=object)
    one, two, three, four, five = nouns[cluster % len(nouns), words.T]
    lists = [np.array(of, dtype=object) for of in (MANNERS, MOODS, AUDIENCES)]
    manner, mood, whom = (of[rest[:, turn] % len(of)] for turn, of in enumerate(lists))
    titles = [
        (f"The {m} {a}", f"{a} of the {m} {b}", f"{m} {a} and {b}", f"{a} and the {b}")[form].title()
        for m, a, b, form in zip(manner, one, two, rest[:, 3] % 4, strict=True)
    ]
    names = cluster_names(clusters)
    categories = [names[c] if c == o else f"{names[c]}|{names[o]}" for c, o in zip(cluster, other, strict=True)]
    descriptions = [
        f"A {mood} story of {three}, {four} and {five}, and of what became of the {one}. For {whom}."
        for mood, one, three, four, five, whom in zip(mood, one, three, four, five, whom, strict=True)
    ]
    return titles, categories, descriptions
