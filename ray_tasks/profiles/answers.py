"""The form of the model's answers: a JSON schema per request, and the typed answer that a text holds.

The schema goes to the backend, which can then write nothing else; the same text is still parsed and validated here,
since not every backend keeps its promise.
"""

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ray_tasks.evidence.pieces import Evidence, Piece

SENTENCE = r"[A-Z][^\"\\{}<>\[\]\n]{9,%d}[.]"
"""A capital letter, plain text, a full stop."""

SUMMARY, PHRASE, REASONING = 180, 120, 400
"""Characters of a summary, of a shorter sentence and of the reasoning before an answer."""

AUDIENCE = r"People who [^\"\\{}<>\[\]\n]{5,%d}[.]"
LINKS = ("and", "or", "of", "in", "on", "at", "by", "for", "from", "with", "about", "into")
"""Words that may stand between two phrases of a closed sentence."""

PLAIN_TITLE = re.compile(r"[A-Z][A-Za-z' -]{2,40}")
"""A title that reads like words in a sentence."""

LIKES = ("recent", "earlier")
MOST_CLAIMS, MOST_LABELS = 3, 4


class Answer(BaseModel):
    """What every answer may begin with."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    reasoning: str = ""


class ItemAnswer(Answer):
    """What the model says about an item."""

    summary: str = Field(min_length=10, max_length=SUMMARY + 20)
    audience: str = Field(min_length=10, max_length=PHRASE + 20)
    themes: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()


class Claim(BaseModel):
    """That a user likes or dislikes a theme, because of named pieces of evidence."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    label: str
    because: tuple[str, ...] = Field(min_length=1)


class UserAnswer(Answer):
    """What the model says about a user."""

    long_term: str = Field(min_length=10, max_length=SUMMARY + 20)
    recent: str = Field(min_length=10, max_length=SUMMARY + 20)
    likes: tuple[Claim, ...] = ()
    dislikes: tuple[Claim, ...] = ()


def item_schema(evidence: Evidence, reasoning: bool = False, words: frozenset[str] = frozenset()) -> str:
    """JSON schema of the answer about an item: labels are those that its evidence allows.

    Where `words` are given, its sentences are made of them and of the item's title.
    """
    summary, audience = _sentences(words, evidence.title) if words else (SENTENCE % SUMMARY, AUDIENCE % PHRASE)
    properties: dict[str, Any] = {"summary": text_form(summary), "audience": text_form(audience)}
    for name, labels in (("themes", evidence.themes), ("moods", evidence.moods)):
        if labels:
            properties[name] = _list({"enum": list(labels)}, min(MOST_LABELS, len(labels)))
    return object_form(properties, reasoning)


def _sentences(words: Iterable[str], title: str) -> tuple[str, str]:
    """Patterns of a summary and an audience: phrases in given words, the title as a whole, and links between them.

    A phrase is at most an article, `very` and three words, so that no loop of little words fits: a small model that
    may write `with a` after `with a` does.
    """
    content = sorted(set(words) - {*LINKS, "a", "an", "the", "its", "very"})
    vowel, other = (one_of(word for word in content if (word[0] in "aeiou") == is_vowel) for is_vowel in (True, False))
    word = one_of([*content, *([title] if PLAIN_TITLE.fullmatch(title) else [])])
    first = f"(?:a {other}|an {vowel}|(?:the |its |a very |very )?{word})"
    rest = f"(?:(?:,| {one_of(LINKS)}) {first}(?: {word}){{0,2}})"
    summary = f"(?:A {other}|An {vowel})(?:,? {word}){{0,3}}{rest}{{1,3}}[.]"
    return summary, f"People who (?:enjoy|like|love) {first}(?: {word}){{0,2}}{rest}{{0,2}}[.]"


def user_schema(evidence: Evidence, reasoning: bool = False, closed: bool = True) -> str:
    """JSON schema of the answer about a user: a claim can only name pieces that support its label.

    `closed` holds the sentences, too, to the evidence: its themes, and titles of the recent items.
    """
    properties: dict[str, Any] = {}
    for name, claims in (("likes", like_claims(evidence)), ("dislikes", dislike_claims(evidence))):
        if claims:
            options = [_claim(label, aliases) for label, aliases in claims.items()]
            form = options[0] if len(options) == 1 else {"anyOf": options}
            properties[name] = _list(form, min(MOST_CLAIMS, len(options)))
    # The sentences come last: what is written first guides a small model, and claims are the safer guide.
    free = SENTENCE % SUMMARY
    properties |= {
        "long_term": text_form((closed and _long_term(evidence)) or free),
        "recent": text_form((closed and _recent(evidence)) or free),
    }
    return object_form(properties, reasoning)


def _long_term(evidence: Evidence) -> str:
    """`Enjoys war, drama and romance, with a taste for comedy.`, in themes of the evidence; empty without any."""
    theme = one_of(evidence.themes)
    more = f"(?:(?:, {theme})? and {theme}(?:, with (?:a taste for|an interest in|some) {theme})?)?"
    more = more if len(evidence.themes) > 1 else ""
    return f"Enjoys (?:mostly )?{theme}{more}[.]" if theme else ""


def _recent(evidence: Evidence) -> str:
    """`Lately war and drama, such as Glory.`, in a recent item's title and its themes; empty without a recent item."""
    recent = [piece for piece in evidence.pieces if piece.role == "recent" and title_of(piece)]
    forms = []
    for piece in recent:
        theme, title = one_of(piece.labels), one_of([title_of(piece)])
        more = f"(?: and {theme})?" if len(piece.labels) > 1 else ""
        forms.append(f"{theme}{more}, such as {title}" if theme else title)
    return f"Lately (?:{'|'.join(forms)})[.]" if forms else ""


def title_of(piece: Piece) -> str:
    """The title in a piece about an item, without the themes behind it and without what ends a string in JSON."""
    shown = piece.text.removesuffix(f" ({', '.join(piece.labels)})") if piece.labels else piece.text
    return re.sub(r'["\\]', "", shown).strip()


def one_of(texts: Iterable[str]) -> str:
    """A pattern that matches each of some texts; empty where there is none."""
    found = [re.sub(r"([.^$*+?()\[\]{}|/])", r"\\\1", text) for text in texts]
    return f"(?:{'|'.join(found)})" if found else ""


def like_claims(evidence: Evidence) -> dict[str, tuple[str, ...]]:
    """The likes that the evidence supports: label -> aliases of the pieces that carry it."""
    found = {label: _aliases(evidence, label, *LIKES) for label in evidence.themes}
    return {label: aliases for label, aliases in found.items() if aliases}


def dislike_claims(evidence: Evidence) -> dict[str, tuple[str, ...]]:
    """The dislikes that the evidence supports; what the user rather likes is none."""
    labels = dict.fromkeys(label for p in evidence.pieces if p.role == "disliked" for label in p.labels)
    found = {label: _aliases(evidence, label, "disliked") for label in labels if not _aliases(evidence, label, *LIKES)}
    return {label: aliases for label, aliases in found.items() if aliases}


def parse(kind: type[Answer], text: str) -> Answer | str:
    """The typed answer in a text, or the term of what is wrong with it: `empty`, `unparsable` or `too_long`."""
    if not text.strip():
        return "empty"
    try:
        return kind.model_validate_json(text.strip())
    except ValidationError as error:
        types = {problem["type"] for problem in error.errors()}
        if "string_too_long" in types:
            return "too_long"
        return "empty" if types & {"string_too_short", "too_short"} else "unparsable"


def _aliases(evidence: Evidence, label: str, *roles: str) -> tuple[str, ...]:
    return tuple(piece.alias for piece in evidence.supporting(label, *roles))


@lru_cache(4_096)
def _claim_text(label: str, aliases: tuple[str, ...]) -> str:
    because = _list({"enum": list(aliases)}, min(3, len(aliases)))
    return object_form({"label": {"const": label}, "because": because})


def _claim(label: str, aliases: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_claim_text(label, tuple(aliases)))
    return found


def text_form(pattern: str) -> dict[str, Any]:
    """JSON schema of a text that matches a pattern as a whole."""
    return {"type": "string", "pattern": f"^{pattern}$"}


def _list(items: dict[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": most}


def object_form(properties: dict[str, Any], reasoning: bool = False) -> str:
    """JSON schema, as text, of an object with these properties; `reasoning` comes first where it is let."""
    if reasoning:
        properties = {"reasoning": {"type": "string", "maxLength": REASONING}, **properties}
    form = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return json.dumps(form, ensure_ascii=False)
