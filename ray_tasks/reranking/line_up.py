"""The arms compared (zero-shot, in-context, tuned; each point-wise and list-wise), and the one that serves."""

from collections.abc import Mapping
from dataclasses import dataclass

from ray_tasks.interactions.rows import Ints, Rows
from ray_tasks.reranking.arms import Arm, Reranked, drawn_users, plan, rerank
from ray_tasks.reranking.examples import example_lists, example_users, listwise_prefix, pointwise_prefix
from ray_tasks.reranking.first_token import AnswerScorer
from ray_tasks.reranking.fusion import fused, order
from ray_tasks.reranking.listwise import Listwise
from ray_tasks.reranking.pointwise import Pointwise
from ray_tasks.reranking.prompts import TopLists


@dataclass(frozen=True)
class Settings:
    """Sizes of prompts: items shown together, orders in which they are shown, and in-context examples of each form."""

    window: int = 10
    shuffles: int = 4
    pointwise_examples: int = 6
    listwise_examples: int = 3
    seed: int = 0


def line_up(
    lists: TopLists,
    train: Rows,
    served: Ints,
    models: Mapping[str, AnswerScorer],
    settings: Settings,
    learned: frozenset[str] = frozenset({"tuned"}),
) -> list[Arm]:
    """The arms of some models by name: each is asked zero-shot and, unless it is among `learned`, in context.

    `train` are the histories of the training log by user; `served` are the rows in it of the users of `lists`, who
    are nobody's example.
    """
    point = Pointwise(lists)
    listed = Listwise(lists, settings.window, settings.shuffles, seed=settings.seed)
    zero = {"pointwise": pointwise_prefix(), "listwise": listwise_prefix()}
    context = _context(lists, train, served, settings)
    arms = []
    for model, scorer in models.items():
        told = {"": zero} if model in learned else {" zero-shot": zero, " in-context": context}
        for way, prefixes in told.items():
            arms.append(Arm(f"{model}{way} pointwise", point, prefixes["pointwise"], scorer))
            arms.append(Arm(f"{model}{way} listwise", listed, prefixes["listwise"], scorer))
    return arms


def _context(lists: TopLists, train: Rows, served: Ints, settings: Settings) -> dict[str, str]:
    most = max(settings.pointwise_examples, settings.listwise_examples)
    users = example_users(train, served, most, settings.seed)
    asked = {"pointwise": (settings.pointwise_examples, 2), "listwise": (settings.listwise_examples, settings.window)}
    examples = {
        form: example_lists(train, users[:n], lists.items, lists.similarity, k, settings.seed)
        for form, (n, k) in asked.items()
    }
    return {"pointwise": pointwise_prefix(examples["pointwise"]), "listwise": listwise_prefix(examples["listwise"])}


def serve(arm: Arm, weight: float, budget: int, seed: int) -> tuple[Ints, Reranked]:
    """The lists after a budgeted share of users, drawn by seed, were re-ranked; and the model's scores, a feature.

    `weight` is the chosen outcome's. Lists of users who were not asked about stay as they are.
    """
    found = rerank(arm, plan(arm, drawn_users(arm.questions.lists.open_to_change(), seed), budget))
    return order(arm.questions.lists.ranked, fused(found.scores, weight)), found
