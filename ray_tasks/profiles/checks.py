"""From a model's text to a checked profile, or the reason why not. No output is published unchecked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ray_tasks.evidence.pieces import Evidence
from ray_tasks.privacy.protected import infers_protected_trait
from ray_tasks.profiles import grounding
from ray_tasks.profiles.answers import Claim, ItemAnswer, UserAnswer, dislike_claims, like_claims, parse
from ray_tasks.text import CODE


@dataclass(frozen=True)
class Rejected:
    """Why an output is not a profile, in one term: a problem of form, of grounding, `code` or `protected_trait`."""

    reason: str


@dataclass(frozen=True)
class Grounds:
    """What all checks of a night share: the few-shot examples, and words that only evidence may bring up.

    `words` are the catalogue's one-word themes and categories.
    """

    shots: tuple[str, ...]
    words: frozenset[str]

    def avoid(self, evidence: Evidence) -> frozenset[str]:
        """Words that the model had better not write, since the check would refuse them."""
        return grounding.words_to_avoid(evidence.text, self.words, evidence.is_told)

    def wording(self, evidence: Evidence) -> frozenset[str]:
        """Words of which sentences that the check accepts can be made: what the item is, not what it is called."""
        kind = evidence.text.partition(":")[0]
        return grounding.words_to_use("\n".join([kind, *evidence.lines[1:]]), self.words)


def check_item(text: str, evidence: Evidence, grounds: Grounds) -> dict[str, Any] | Rejected:
    """The profile that a text holds: summary, audience, themes, moods, reasoning."""
    answer = parse(ItemAnswer, text)
    if isinstance(answer, str):
        return Rejected(answer)
    answer = cast(ItemAnswer, answer)
    if not set(answer.themes) <= set(evidence.themes) or not set(answer.moods) <= set(evidence.moods):
        return Rejected("unknown_label")
    problem = _problem([answer.summary, answer.audience], evidence, grounds)
    if problem:
        return Rejected(problem)
    return {
        "summary": answer.summary,
        "audience": answer.audience,
        "themes": distinct(answer.themes),
        "moods": distinct(answer.moods),
        "reasoning": answer.reasoning or None,
    }


def check_user(text: str, evidence: Evidence, grounds: Grounds) -> dict[str, Any] | Rejected:
    """The profile that a text holds: long_term, recent_interest, likes, dislikes, reasoning.

    A claim is a label and the item_ids of the pieces that it names.
    """
    answer = parse(UserAnswer, text)
    if isinstance(answer, str):
        return Rejected(answer)
    answer = cast(UserAnswer, answer)
    likes = _claims(answer.likes, like_claims(evidence), evidence)
    dislikes = _claims(answer.dislikes, dislike_claims(evidence), evidence)
    if isinstance(likes, Rejected) or isinstance(dislikes, Rejected):
        return likes if isinstance(likes, Rejected) else cast(Rejected, dislikes)
    problem = _problem([answer.long_term, answer.recent], evidence, grounds)
    if problem:
        return Rejected(problem)
    return {
        "long_term": answer.long_term,
        "recent_interest": answer.recent,
        "likes": likes,
        "dislikes": dislikes,
        "reasoning": answer.reasoning or None,
    }


def distinct(labels: Sequence[str]) -> list[str]:
    """Each label once, in order."""
    return list(dict.fromkeys(labels))


def _problem(sentences: Sequence[str], evidence: Evidence, grounds: Grounds) -> str | None:
    """The first check of a free text that fails: grounding, then protected traits."""
    if any(code not in evidence.title for sentence in sentences for code in CODE.findall(sentence)):
        return "code"
    found = grounding.problem(
        sentences,
        evidence.text,
        shots=grounds.shots,
        vocabulary=grounds.words,
        is_told=evidence.is_told,
        title=evidence.title,
    )
    return found or ("protected_trait" if any(map(infers_protected_trait, sentences)) else None)


def _claims(
    claims: Sequence[Claim], allowed: Mapping[str, Sequence[str]], evidence: Evidence
) -> list[dict[str, Any]] | Rejected:
    """Claims with item_ids for aliases, each label once.

    A label or alias that the evidence does not support rejects all.
    """
    items = {piece.alias: piece.item_id for piece in evidence.pieces if piece.alias}
    found: dict[str, list[str | None]] = {}
    for claim in claims:
        if claim.label not in allowed:
            return Rejected("unknown_label")
        if not set(claim.because) <= set(allowed[claim.label]):
            return Rejected("unknown_evidence")
        found.setdefault(claim.label, []).extend(items[alias] for alias in claim.because)
    return [{"label": label, "interactions": list(dict.fromkeys(ids))} for label, ids in found.items()]
