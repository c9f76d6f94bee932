"""Point-wise: for each candidate alone, does the user take it next? (TALLRec, arXiv 2305.00447.)"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ray_tasks.interactions.rows import Floats, Ints
from ray_tasks.reranking.prompts import TopLists, yes_no_question
from ray_tasks.reranking.questions import Scored
from ray_tasks.tuning.next_item import LIKED, NO, YES


@dataclass(frozen=True)
class Pointwise:
    """One yes/no question per candidate, told with the history items nearest to it: log P(yes) - log P(no)."""

    lists: TopLists
    told: int = LIKED
    answers: Sequence[str] = (YES, NO)

    def prompts(self, user: int) -> list[str]:
        """See Questions: one per candidate, in the ranker's order."""
        return [self._prompt(user, candidate) for candidate in self.lists.candidates(user)]

    def _prompt(self, user: int, candidate: int) -> str:
        liked = self.lists.told(user, np.array([candidate]), self.told)
        return yes_no_question(self.lists.items, liked, int(candidate))

    def scored(self, users: Ints, found: Sequence[Floats]) -> Scored:
        """See Questions."""
        scores = np.full((len(users), self.lists.ranked.shape[1]), np.nan)
        for row, logs in enumerate(found):
            scores[row, : len(logs)] = logs[:, 0] - logs[:, 1]
        return Scored(scores)
