"""A budgeted share of users asked by one arm: which users, what it will take, and their scores."""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Floats, Ints
from ray_tasks.reranking.first_token import AnswerScorer
from ray_tasks.reranking.questions import Questions

log = logging.getLogger("nightrec.reranking")

BLOCK = 8
"""Users whose prompts are read together, between two lines of progress."""


@dataclass(frozen=True)
class Arm:
    """One way of re-ranking: what is asked, what every prompt begins with, and the model that answers."""

    name: str
    questions: Questions
    prefix: str
    scorer: AnswerScorer

    def tokens(self, user: int) -> int:
        """Tokens that are read to re-rank one user's list, next to the prefix."""
        return sum(map(self.scorer.tokens, self.questions.prompts(user)))


@dataclass(frozen=True)
class Plan:
    """Users to ask about, in the order drawn, and the tokens that this reads, the prefix once included."""

    users: Ints
    tokens: int


@dataclass(frozen=True)
class Reranked:
    """`scores`: (users, k) of all lists, NaN where not asked; tokens and seconds spent; see Scored for the bias."""

    scores: Floats
    users: Ints
    tokens: int
    seconds: float
    position_bias: tuple[float, ...]


def drawn_users(able: NDArray[np.bool_], seed: int) -> Ints:
    """The users who may be re-ranked, in the order in which a budget takes them."""
    return np.random.default_rng(seed).permutation(np.flatnonzero(able))


def plan(arm: Arm, users: Iterable[int], budget: int) -> Plan:
    """The first of the users, as many as `budget` tokens pay for, counted before any is spent."""
    spent, chosen = arm.scorer.tokens(arm.prefix), []
    if spent > budget:
        return Plan(np.zeros(0, dtype=np.int64), 0)
    for user in users:
        cost = arm.tokens(int(user))
        if spent + cost > budget:
            break
        spent += cost
        chosen.append(int(user))
    return Plan(np.array(chosen, dtype=np.int64), spent if chosen else 0)


def rerank(arm: Arm, planned: Plan) -> Reranked:
    """Ask about the planned users."""
    started, asked, found = time.monotonic(), arm.questions, []
    for start in range(0, len(planned.users), BLOCK):
        own = [asked.prompts(int(user)) for user in planned.users[start : start + BLOCK]]
        logs = arm.scorer.log_probabilities(arm.prefix, [one for prompts in own for one in prompts], asked.answers)
        found += np.split(logs, np.cumsum([len(prompts) for prompts in own])[:-1])
        done, seconds = start + len(own), time.monotonic() - started
        left = seconds / done * (len(planned.users) - done)
        log.info("re-ranking %s: %d / %d users, %.0f s left", arm.name, done, len(planned.users), left)
    scored = asked.scored(planned.users, found)
    scores = np.full(asked.lists.ranked.shape, np.nan)
    scores[planned.users] = scored.scores
    return Reranked(scores, planned.users, planned.tokens, time.monotonic() - started, scored.position_bias)
