"""From a model's text to a typed profile, or the reason why not. No output is published unchecked."""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ray_tasks.profiles.prompts import Evidence, PromptFile
from ray_tasks.profiles.text import words

Sentence = Annotated[str, Field(min_length=10, max_length=300)]
Terms = Annotated[tuple[Annotated[str, Field(min_length=2, max_length=40)], ...], Field(min_length=1, max_length=5)]

REASONS = ("unparsable", "empty", "too_long", "repetition", "copied_example", "echoed_prompt", "ungrounded", "failed")
"""Terms of the rejects' `reason`; `failed` is a prompt on which the generator raised."""

_ORDERS = re.compile(r"\b(ignore|disregard|forget)\b.{0,40}\b(instruction|prompt|rule)|\bsystem prompt\b|\bas an ai\b")
_STOP = frozenset(
    ("the", "and", "with", "from", "that", "this", "for", "who", "are", "has", "its", "into", "about")
) | {
    "people",
    "enjoy",
    "enjoys",
    "likes",
    "prefers",
}


class ItemProfile(BaseModel):
    """A checked profile of an item."""

    model_config = ConfigDict(frozen=True)
    summary: Sentence
    audience: Sentence
    themes: Terms


class UserProfile(BaseModel):
    """A checked profile of a user."""

    model_config = ConfigDict(frozen=True)
    summary: Sentence
    likes: Terms


@dataclass(frozen=True)
class Rejected:
    """Why an output is not a profile: one of REASONS."""

    reason: str


def parse_item_profile(
    text: str, evidence: Evidence, prompt: PromptFile, claims: frozenset[str]
) -> ItemProfile | Rejected:
    """The profile that a completion holds. `claims` are words that the evidence does not allow."""
    parts = _split(text, ("Audience", "Themes"))
    if isinstance(parts, Rejected):
        return parts
    summary, audience, listed = parts
    reason = _check([summary, audience], text, evidence, prompt, claims)
    if reason:
        return Rejected(reason)
    try:
        return ItemProfile(
            summary=_sentence(summary), audience=_sentence(audience), themes=_terms(listed, claims, evidence)
        )
    except ValidationError as error:
        return Rejected(_length_problem(error))


def parse_user_profile(
    text: str, evidence: Evidence, prompt: PromptFile, claims: frozenset[str]
) -> UserProfile | Rejected:
    """The profile that a completion holds. `claims` are words that the evidence does not allow."""
    parts = _split(text, ("Likes",))
    if isinstance(parts, Rejected):
        return parts
    summary, listed = parts
    reason = _check([summary], text, evidence, prompt, claims)
    if reason:
        return Rejected(reason)
    try:
        return UserProfile(summary=_sentence(summary), likes=_terms(listed, claims, evidence))
    except ValidationError as error:
        return Rejected(_length_problem(error))


def _split(text: str, labels: tuple[str, ...]) -> list[str] | Rejected:
    """The summary and the text after each label, which must come once and in order."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return Rejected("empty")
    if len(lines) < len(labels) + 1 or any(
        not line.startswith(f"{label}:") for line, label in zip(lines[1:], labels, strict=False)
    ):
        return Rejected("repetition" if _repeats(lines[0]) else "unparsable")
    found = [lines[0], *(line.split(":", 1)[1].strip() for line in lines[1 : len(labels) + 1])]
    return found if all(re.search(r"\w", part) for part in found) else Rejected("empty")


def _check(
    sentences: list[str], text: str, evidence: Evidence, prompt: PromptFile, claims: frozenset[str]
) -> str | None:
    """The first check that fails, or None."""
    if any(len(sentence) > 300 for sentence in sentences):
        return "too_long"
    if any(_repeats(sentence) for sentence in sentences):
        return "repetition"
    if _echoes(text):
        return "echoed_prompt"
    if _copies(sentences, evidence, prompt):
        return "copied_example"
    if _off(sentences[0], evidence) or not all(_grounded(sentence, evidence, claims) for sentence in sentences):
        return "ungrounded"
    return None


def _repeats(sentence: str) -> bool:
    """A word three times, or twice around `and` or a blank."""
    found = words(sentence)
    content = Counter(word for word in found if len(word) > 3 and word not in _STOP)
    pairs = pairwise(found)
    around = zip(found, found[1:], found[2:], strict=False)
    return (
        any(count >= 3 for count in content.values())
        or any(a == b for a, b in pairs)
        or any(a == c and b in ("and", "or") for a, b, c in around)
    )


def _echoes(text: str) -> bool:
    """The prompt's own labels, or orders that came from an item's text."""
    return bool(re.search(r"\b(Facts|Recent|Often|Item):", text) or _ORDERS.search(text.lower()))


def _copies(sentences: list[str], evidence: Evidence, prompt: PromptFile) -> bool:
    """A whole line of an example, or an example's title that is not the entity's own."""
    lines = {line.split(": ", 1)[-1].strip().lower() for shot in prompt.shots for line in shot.splitlines()}
    titles = {t.strip() for shot in prompt.shots for t in shot.splitlines()[0].split(": ", 1)[-1].lower().split(";")}
    own = evidence.text.lower()
    said = [sentence.lower().strip() for sentence in sentences]
    return any(s in lines for s in said) or any(title in s and title not in own for s in said for title in titles)


def _grounded(sentence: str, evidence: Evidence, claims: frozenset[str]) -> bool:
    """No claim, number, quoted title or name that the evidence does not have."""
    own = evidence.text.lower()
    if set(words(sentence)) & claims or any(part in claims for w in words(sentence) for part in w.split("-")):
        return False
    if any(number not in own for number in re.findall(r"\d+", sentence)):
        return False
    if any(quoted.lower() not in own for quoted in re.findall(r"[\"\u201c]([^\"\u201d]+)[\"\u201d]", sentence)):
        return False
    if not evidence.is_told and re.search(
        r"\b(movie|film|story|book|game|man|woman|boy|one) (who|whose|where)\b", sentence
    ):
        return False
    names = re.findall(r"(?<=[a-z,] )[A-Z][a-z]+", sentence)
    return all(name.lower() in own for name in names)


def _off(summary: str, evidence: Evidence) -> bool:
    """Whether a summary shares no content word with the evidence."""
    own, said = (
        {word[:5] for word in words(text.replace("-", " ")) if len(word) > 2 and word not in _STOP}
        for text in (evidence.text, summary)
    )
    return not own & said


def _sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    text = " ".join(text.split()).rstrip(" ,;:")
    text = text[:1].upper() + text[1:]
    return text if not text or text[-1] in ".!?" else f"{text}."


def _terms(text: str, claims: frozenset[str], evidence: Evidence) -> tuple[str, ...]:
    """Distinct entries of a list, at most five; those that claim what the evidence does not say are left out."""
    entries = [" ".join(entry.split()).strip(" .;") for entry in text.split(",")]
    fit = [e for e in entries if 2 <= len(e) <= 40 and re.search(r"[^\W\d_]", e) and _grounded(e, evidence, claims)]
    return tuple({entry.lower(): entry.lower() for entry in fit})[:5]


def _length_problem(error: ValidationError) -> str:
    return "too_long" if any(e["type"] in ("string_too_long", "too_long") for e in error.errors()) else "empty"
