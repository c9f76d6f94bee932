"""Is a text grounded? Titles, names, numbers and genres must occur in its evidence, and it must be a text of its own.

The rules are lexical: each points at the words that break it, costs microseconds, and errs on the side of refusing,
since a refused profile is replaced by a template while an invented one is published. What they catch and miss is
measured on outputs labelled by hand: docs/adr/0016-grounding.md.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

from ray_tasks.profiles.induction import lexicon
from ray_tasks.profiles.text import words
from ray_tasks.profiles.vocabulary import stems

REASONS = (
    "empty",
    "too_long",
    "repetition",
    "wrong_language",
    "copied_example",
    "echoed_prompt",
    "ungrounded_number",
    "ungrounded_title",
    "ungrounded_name",
    "ungrounded_genre",
    "ungrounded_plot",
    "off_topic",
)
"""Terms of what may be wrong with a text, in the order of the checks."""

LONGEST, LANGUAGE_FROM = 300, 40
"""Characters of the longest sentence; characters from which a text's language can be told."""

RETOLD = 0.25
"""Share of a text's words that need not be those of evidence which tells what happens: it may be put differently."""

NUMBERS = dict(
    zip(
        ("two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty eighty").split(),
        (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 20, 30, 40, 50, 60, 80),
        strict=True,
    )
)

_ORDERS = re.compile(r"\b(ignore|disregard|forget)\b.{0,40}\b(instruction|prompt|rule)|\bsystem prompt\b|\bas an ai\b")
_LABELS = re.compile(
    r"\b(Facts|Recent|Earlier|Disliked|Often|Said|Reviews?|Like|Profile|Item|Summary|Audience|Themes):"
)
_LISTED = re.compile(r"\w \([\w' -]+(, [\w' -]+)*\)|^[A-J] [A-Z]")
_QUOTED = re.compile(r"[\"\u201c\u2018]([^\"\u201d\u2019]{2,60})[\"\u201d\u2019]|(?<=such as )([^.]+)")
_NAME = re.compile(r"(?:(?<=[a-z,;] )|(?<=^)|(?<=\())[A-Z][\w'-]*(?: (?:(?:of|the|and|in|a) )*[A-Z][\w'-]*)*")
_HAPPENS = re.compile(r"\b(movie|film|story|book|game|man|woman|boy|one) (who|whose|where)\b")
_PRAISE = re.compile(r"\bpraised for ([^.;]+)")
_LATELY = re.compile(r"\b(lately|recently)\b", re.IGNORECASE)
_EXAMPLE = re.compile(r"(?:lately|recently) (.+?),? such as ([^.]+)", re.IGNORECASE)
_PIECE = re.compile(r"(?:^|; |: )[A-Z] ([^;]+?) \(([^()]*)\)(?=;|$)", re.MULTILINE)


def problem(
    sentences: Sequence[str],
    evidence: str,
    *,
    shots: Sequence[str] = (),
    vocabulary: frozenset[str] = frozenset(),
    is_told: bool = False,
    title: str = "",
) -> str | None:
    """The first thing wrong with the sentences of a profile, one of REASONS; None when they are grounded.

    `evidence` is what the prompt told, `shots` are its examples, `vocabulary` the words that only evidence may bring
    up, `is_told` whether the evidence tells what happens, `title` what the text may call the item.
    """
    texts, told = [_plain(sentence) for sentence in sentences], _plain(f"{evidence}\n{title}")
    pairs = [(text, _about(text, told)) for text in texts]
    whole = " ".join(texts)
    rules = (
        ("empty", lambda: not texts or any(len(words(text)) < 2 for text in texts)),
        ("too_long", lambda: any(len(text) > LONGEST for text in texts)),
        ("repetition", lambda: any(_repeats(text, vocabulary) for text in texts) or _same(texts)),
        ("wrong_language", lambda: _is_foreign(whole, told)),
        ("copied_example", lambda: _copies(texts, told, shots)),
        ("echoed_prompt", lambda: any(_echoes(text, evidence) for text in texts)),
        ("ungrounded_number", lambda: any(_numbers(text) - _numbers(own) for text, own in pairs)),
        ("ungrounded_title", lambda: any(not _has(own, part) for text, own in pairs for part in _titles(text))),
        ("ungrounded_name", lambda: any(not _has(own, part) for text, own in pairs for part in _names(text, own))),
        ("ungrounded_genre", lambda: any(_claims(*pair, vocabulary) or _mistyped(*pair) for pair in pairs)),
        ("ungrounded_plot", lambda: any(_invents(*pair, is_told) for pair in pairs)),
        ("off_topic", lambda: _is_off(texts[0], told)),
    )
    return next((reason for reason, is_wrong in rules if is_wrong()), None)


def words_to_avoid(evidence: str, vocabulary: frozenset[str], is_told: bool) -> frozenset[str]:
    """Words that would claim what the evidence does not say: other genres, kinds of things, moods, and plots."""
    known = _parts(evidence)
    claims = frozenset().union(*_groups().values()) - _implied(known)
    plot = frozenset() if is_told else frozenset(lexicon("grounding")["plot"])
    return frozenset(word for word in vocabulary | claims | plot if not _is_known(word, known))


@cache
def _groups() -> dict[str, frozenset[str]]:
    """Words that are claimed together, by name of the group; and every mood, which the words of its group speak for."""
    groups = {name: frozenset(some) for name, some in lexicon("grounding").items() if name not in ("plot", "plain")}
    return groups | {f"mood {mood}": frozenset([mood]) for mood in lexicon("moods")}


@cache
def _harmless() -> frozenset[str]:
    """Words that claim nothing: English function words, and the common words of profiles."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    first_person = {"i", "me", "my", "mine", "myself", "we", "us", "our", "ours"}
    return frozenset(lexicon("grounding")["plain"]) | (ENGLISH_STOP_WORDS - first_person - {"fire", "cry", "bill"})


def _implied(known: frozenset[str]) -> frozenset[str]:
    """Words of the groups that the evidence has a word of, and the moods that it speaks for."""
    groups = [group for group in _groups().values() if any(_is_known(word, known) for word in group)]
    moods = {mood for mood, terms in lexicon("moods").items() if any(_is_known(term, known) for term in terms)}
    return frozenset(moods).union(*groups)


@lru_cache(1_000)
def _parts(text: str) -> frozenset[str]:
    """Words of a text, and the parts of compound ones (`sci-fi thriller`, `film-noir`)."""
    found = words(text)
    return frozenset(found) | {part for word in found if "-" in word for part in word.split("-")}


def _is_known(word: str, known: frozenset[str]) -> bool:
    """Whether evidence has the word, in singular or plural."""
    return bool({word, word.rstrip("s"), f"{word}s", word.removesuffix("'s"), f"{word}'s"} & known)


def _plain(text: str) -> str:
    """With straight apostrophes, and without the trademark signs that a prompt spells as letters."""
    return re.sub(r"(?<=\w)TM\b|[\u2122\u00ae]", "", text.replace("\u2019", "'"))


def _about(sentence: str, told: str) -> str:
    """The lines that a sentence may rest on: of a user not what is disliked, and for `lately` only what is recent."""
    lines = told.splitlines()
    if not any(line.startswith("Recent:") for line in lines):
        return told
    late = ("Recent:", "Review", "Said:")
    return "\n".join(
        line for line in lines if (line.startswith(late) if _LATELY.search(sentence) else line[:9] != "Disliked:")
    )


def _repeats(sentence: str, vocabulary: frozenset[str]) -> bool:
    """A content word three times, a theme or a pair of words twice, or a word twice around `and` or a blank."""
    found = words(sentence)
    content = Counter(word for word in found if len(word) > 3 and word not in ("enjoy", "people", "such", "with"))
    function = {"the", "and", "with", "from", "that", "for", "who", "are", "has", "enjoy", "people", "game", "games"}
    pairs = Counter(pair for pair in pairwise(found) if not set(pair) & function and min(map(len, pair)) > 2)
    around = zip(found, found[1:], found[2:], strict=False)
    return (
        any(count >= 3 or (count == 2 and word in vocabulary) for word, count in content.items())
        or any(count >= 2 for count in pairs.values())
        or any(a == b for a, b in pairwise(found))
        or any(a == c and b in ("and", "or") for a, b, c in around)
    )


def _same(texts: Sequence[str]) -> bool:
    return len({text.strip().lower() for text in texts}) < len(texts)


def _copies(texts: Sequence[str], own: str, shots: Sequence[str]) -> bool:
    """A whole sentence of an example, or an example's title that is not the entity's own."""
    lowered = own.lower()
    examples = {quoted.lower() for shot in shots for quoted in re.findall(r'"([^"]{20,})"', shot)}
    titles = {found for shot in shots for found in _shot_titles(shot)}
    said = [text.lower().strip() for text in texts]
    return any(s in examples for s in said) or any(t in s and t not in lowered for s in said for t in titles)


@cache
def _shot_titles(shot: str) -> frozenset[str]:
    """Titles that an example names: of its item, or of the items that its person chose."""
    lines = shot.split("Profile:", maxsplit=1)[0].splitlines()
    listed = [part for line in lines for part in line.split(": ", 1)[-1].split("; ")]
    cleaned = (re.sub(r"^[A-Z] |\s*\(.*\)$", "", part).strip().lower() for part in listed)
    return frozenset(title for title in cleaned if title.count(" ") >= 1 and "," not in title)


def _echoes(text: str, evidence: str) -> bool:
    """The prompt's own labels, its way to list items, five words of it as they stand, or an item's orders."""
    if _LABELS.search(text) or _LISTED.search(text) or _ORDERS.search(text.lower()):
        return True
    told, said = (re.findall(r"[\w'-]+", part.lower()) for part in (evidence, text))
    runs = {tuple(told[at : at + 9]) for at in range(len(told) - 8)}
    return any(tuple(said[at : at + 9]) in runs for at in range(len(said) - 8))
