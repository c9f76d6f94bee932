"""In-context examples: what other users took next, from the training log alone."""

from collections.abc import Sequence

import numpy as np

from ray_tasks.interactions.rows import Ints, Rows
from ray_tasks.profiles.prompt_file import PromptFile
from ray_tasks.reranking.listwise import Listwise
from ray_tasks.reranking.pointwise import Pointwise
from ray_tasks.reranking.prompts import Items, Similarity, TopLists
from ray_tasks.tuning.next_item import MIN_BEFORE

POINTWISE_PROMPT, LISTWISE_PROMPT = "next_item.v1", "next_of_list.v1"
TRIES = 50


def example_users(train: Rows, served: Ints, n: int, seed: int) -> Ints:
    """At most `n` users of the training log who are not `served` (rows of `train`) and have a history to tell."""
    able = np.setdiff1d(np.flatnonzero(train.lengths > MIN_BEFORE), served)
    return np.random.default_rng(seed).permutation(able)[:n]


def example_lists(
    train: Rows, users: Ints, items: Items, similarity: Similarity, k: int, seed: int
) -> tuple[TopLists, Ints]:
    """Lists of k for users of the training log, their latest item at a drawn place; and those places.

    The others are items that the user never took, drawn by popularity. What is told of the user comes before the
    latest item.
    """
    rng = np.random.default_rng(seed)
    popularity = np.bincount(train.items, minlength=len(items.titles)).astype(float)
    ranked, places = np.full((len(users), k), -1, dtype=np.int64), np.zeros(len(users), dtype=np.int64)
    for row, user in enumerate(users):
        own = popularity.copy()
        own[train[user]] = 0
        n = min(k - 1, int((own > 0).sum()))
        others = rng.choice(len(own), n, replace=False, p=own / own.sum()) if n else np.zeros(0, dtype=np.int64)
        places[row] = rng.integers(n + 1)
        ranked[row, : n + 1] = np.insert(others, places[row], train[user][0])
    earlier = [train[user][1:] for user in users]
    lengths = np.array([len(own) for own in earlier], dtype=np.int64)
    histories = Rows.of(
        np.repeat(np.arange(len(users)), lengths), np.concatenate([train.items[:0], *earlier]), len(users)
    )
    return TopLists(ranked, histories, items, similarity), places


def pointwise_prefix(examples: tuple[TopLists, Ints] | None = None, prompt: str = POINTWISE_PROMPT) -> str:
    """What every point-wise prompt begins with: the instruction and, per example user, a yes or a no in turn."""
    if examples is None:
        return PromptFile.load(prompt).prefix
    lists, places = examples
    questions = Pointwise(lists)
    yes, no = questions.answers
    shots = []
    for user, place in enumerate(places):
        asked = questions.prompts(user)
        other = next((at for at in range(len(asked)) if at != place), None)
        is_yes = user % 2 == 0 or other is None
        shots.append(asked[place] + yes if is_yes or other is None else asked[other] + no)
    return _prefix(prompt, shots)


def listwise_prefix(examples: tuple[TopLists, Ints] | None = None, prompt: str = LISTWISE_PROMPT) -> str:
    """What every list-wise prompt begins with: the instruction and, per example user, a solved list."""
    if examples is None:
        return PromptFile.load(prompt).prefix
    lists, places = examples
    questions = Listwise(lists, window=lists.ranked.shape[1], shuffles=1)
    shots = []
    for user, place in enumerate(places):
        at = int(np.flatnonzero(questions.windows(user)[0] == place)[0])
        shots.append(questions.prompts(user)[0] + questions.answers[at])
    return _prefix(prompt, shots)


def _prefix(prompt: str, shots: Sequence[str]) -> str:
    return "".join(f"{text}\n\n" for text in (PromptFile.load(prompt).text, *shots))
