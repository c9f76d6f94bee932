"""Users who see lists and click: for tests and benchmarks of what learns from feedback.

A position-based click model (Richardson et al. 2007): a place is looked at with a chance that falls with it, and what
is looked at is clicked by how much the user likes it. Tastes drift from day to day, and an explanation that names what
the user likes makes a click likelier. All that is true is known here, so that what is estimated can be held against it.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass
class SimulatedUsers:
    """Users and items in one space of tastes.

    `patience`: a place is looked at with chance place ** -patience. `drift`: how far tastes move in a day, as a share
    of their length. `explained`: relative rise of the chance of a click where an explanation stands beside the item.
    """

    users: int
    items: int
    seed: int
    dimensions: int = 8
    patience: float = 0.7
    drift: float = 0.05
    explained: float = 0.0
    chance: np.random.Generator = field(init=False)
    moves: np.random.Generator = field(init=False)
    tastes: Floats = field(init=False)
    vectors: Floats = field(init=False)
    appeal: Floats = field(init=False)

    def __post_init__(self) -> None:
        # Tastes move alike whatever is clicked on: two worlds of one seed differ in what is shown alone.
        self.chance, self.moves = (np.random.default_rng([self.seed, number]) for number in (0, 1))
        self.tastes = _unit(self.moves.normal(size=(self.users, self.dimensions)))
        self.vectors = _unit(self.moves.normal(size=(self.items, self.dimensions)))
        self.appeal = self.moves.normal(0, 0.5, self.items)  # of an item to everybody

    def attraction(self, lists: Ints, explained: bool = False) -> Floats:
        """(users, places): chance of a click on each item of a list, once it is looked at."""
        liking = np.einsum("ud,ukd->uk", self.tastes, self.vectors[lists])
        found = 1 / (1 + np.exp(2.5 - 4 * liking - self.appeal[lists]))
        return np.minimum(found * (1 + self.explained * explained), 1)

    def examination(self, places: int) -> Floats:
        """(places,): chance that each place is looked at."""
        return np.asarray(np.arange(1, places + 1) ** -self.patience)

    def expected(self, lists: Ints, explained: bool = False) -> Floats:
        """(users, places): chance of a click on each item of a list where it stands."""
        return self.attraction(lists, explained) * self.examination(lists.shape[1])

    def click(self, lists: Ints, explained: bool = False) -> NDArray[np.bool_]:
        """(users, places): what is clicked on when every user sees a list once."""
        return self.chance.random(lists.shape) < self.expected(lists, explained)

    def next_day(self) -> None:
        """Tastes move on."""
        moved = self.tastes + self.drift * self.moves.normal(size=self.tastes.shape)
        self.tastes = _unit(moved)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
