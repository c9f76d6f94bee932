"""What users said they like, as vectors, and when they said it: all that is known of a user without a history."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Ints, places

UNDATED = np.iinfo(np.int64).max
"""When something was said that has no date: later than any window but the one that is served."""


@dataclass(frozen=True)
class Stated:
    """Unit vectors (users, dimensions) in the space of the items' texts, each user once.

    `time`: microseconds since 1970 of the newest word that each vector is made of.
    """

    user_ids: NDArray[np.object_]
    vectors: NDArray[np.float32]
    time: Ints

    @classmethod
    def none(cls) -> "Stated":
        """Nobody said anything."""
        return cls(np.zeros(0, dtype=object), np.zeros((0, 1), dtype=np.float32), np.zeros(0, dtype=np.int64))

    def where(self, mask: NDArray[np.bool_]) -> "Stated":
        """The users that a mask keeps."""
        return replace(self, user_ids=self.user_ids[mask], vectors=self.vectors[mask], time=self.time[mask])

    def before(self, end: int) -> "Stated":
        """What had been said before an instant, as far as a vector holds nothing later."""
        return self.where(self.time < end)

    def among(self, user_ids: NDArray[np.object_]) -> "Stated":
        """What these users said."""
        return self.where(places(self.user_ids, user_ids) >= 0)

    def of(self, user_ids: NDArray[np.object_]) -> "tuple[Ints, NDArray[Any]]":
        """Positions in `user_ids` of those who said something, and their vectors."""
        found = places(user_ids, self.user_ids)
        who = np.flatnonzero(found >= 0)
        return who, self.vectors[found[who]]
