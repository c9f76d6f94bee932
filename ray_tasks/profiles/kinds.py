"""The kinds of texts that the model writes: profiles of items and users, and explanations of recommendations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ray_tasks.evidence.pieces import Evidence
from ray_tasks.explaining import phrasing
from ray_tasks.profiles import answers, checks, templates
from ray_tasks.profiles.checks import Grounds, Rejected
from ray_tasks.text import words
from schemas.generation_config import Generator as GeneratorConfig

Profile = dict[str, Any]


@dataclass(frozen=True)
class TextKind:
    """What the model writes from evidence: the form of its answer, and what of an answer is accepted.

    `plain` are words that every answer may have, whatever the evidence: with few of them, one is not like the other.
    """

    name: str
    schema: Callable[[Evidence, GeneratorConfig], str]
    check: Callable[[str, Evidence, Grounds], Profile | Rejected]
    plain: frozenset[str] = field(default=frozenset(), kw_only=True)

    def prompt_version(self, config: GeneratorConfig) -> str:
        """Version of this kind's prompt."""
        versions = {"item": config.item_prompt, "user": config.user_prompt, "explanation": config.explanation_prompt}
        return versions[self.name]

    def form(self, evidence: Evidence, config: GeneratorConfig, grounds: Grounds) -> str:
        """The schema that the model is held to: with closed wording, an item's sentences have grounded words alone.

        Evidence that tells what happens is retold freely, and checked. `schema`, which is part of a profile's key,
        says nothing of the words, or a new label would make every profile stale.
        """
        if self.name == "item" and config.wording == "closed" and not evidence.is_told:
            return answers.item_schema(evidence, config.reasoning, grounds.wording(evidence))
        return self.schema(evidence, config)


@dataclass(frozen=True)
class ProfileKind(TextKind):
    """What differs between profiles of items and of users.

    `complete` adds to a profile what is computed: from the entity's `figures`, the columns that no model writes.
    """

    template: Callable[[Evidence], Profile]
    complete: Callable[[Profile, Mapping[str, Any]], Profile]

    @property
    def id_column(self) -> str:
        """item_id or user_id."""
        return f"{self.name}_id"

    @property
    def table(self) -> str:
        """Table of the profiles."""
        return f"{self.name}_profiles"

    @property
    def rejects(self) -> str:
        """Table of the attempts that failed."""
        return f"{self.name}_profile_rejects"


def _item_schema(evidence: Evidence, config: GeneratorConfig) -> str:
    return answers.item_schema(evidence, config.reasoning)


def _user_schema(evidence: Evidence, config: GeneratorConfig) -> str:
    return answers.user_schema(evidence, config.reasoning, config.wording == "closed")


def _with_aspects(profile: Profile, figures: Mapping[str, Any]) -> Profile:
    return {**profile, "aspects": list(figures.get("aspects", ()))}


def _with_strengths(profile: Profile, figures: Mapping[str, Any]) -> Profile:
    likes, dislikes = (
        [
            {**claim, "strength": figures[side].get(claim["label"], claim.get("strength", 0.0))}
            for claim in profile[side]
        ]
        for side in ("likes", "dislikes")
    )
    computed = {name: figures[name] for name in ("avoided", "confidence")}
    return {**profile, "likes": likes, "dislikes": dislikes, **computed}


ITEM = ProfileKind("item", _item_schema, checks.check_item, templates.item_template, _with_aspects)
USER = ProfileKind("user", _user_schema, checks.check_user, templates.user_template, _with_strengths)
EXPLANATION = TextKind("explanation", phrasing.form, phrasing.check, plain=frozenset(words(phrasing.PLAIN)))
KINDS = {kind.name: kind for kind in (ITEM, USER)}
WRITTEN: dict[str, TextKind] = {**KINDS, EXPLANATION.name: EXPLANATION}
