"""The two ways of asking about a top list share one form: prompts per user, and scores from the answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ray_tasks.interactions.rows import Floats, Ints
from ray_tasks.reranking.prompts import TopLists


@dataclass(frozen=True)
class Scored:
    """`scores`: (users asked about, k), NaN at empty places; `position_bias`: what each place of a shown list gains.

    The bias is a mean difference of log-probabilities, 0 throughout for a model that reads all places alike, and
    empty for questions that show no list.
    """

    scores: Floats
    position_bias: tuple[float, ...] = ()


class Questions(Protocol):
    """What is asked about each user of some top lists."""

    @property
    def lists(self) -> TopLists:
        """The lists asked about."""
        ...

    @property
    def answers(self) -> Sequence[str]:
        """Answers, one token each, whose log-probabilities are read."""
        ...

    def prompts(self, user: int) -> list[str]:
        """The prompts about one user's list."""
        ...

    def scored(self, users: Ints, found: Sequence[Floats]) -> Scored:
        """Scores from `found`, per user the log-probabilities (prompts, answers)."""
        ...
