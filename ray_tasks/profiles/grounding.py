"""Is a text grounded? Titles, names, numbers and genres must occur in its evidence, and it must be a text of its own.

The rules are lexical: each points at the words that break it, costs microseconds, and errs on the side of refusing,
since a refused profile is replaced by a template while an invented one is published.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

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

CLAIMS = tuple(
    frozenset(group.split())
    for group in (
        "movie movies film films cinema",
        "book books novel novels",
        "game games",
        "show shows series tv sitcom",
        "song songs album music musical",
        "cream lotion perfume product products",
        "video videos",
        "website app",
        "play opera",
        "board card",
        "romance romantic romanticism love sensual erotic dating",
        "comedy humor humorous funny lighthearted light-hearted heartwarming uplifting family children children's "
        "animation animated romance musical casual gentle cute playful",
        "horror dark darkness gritty ominous violence violent crime thriller war film-noir suspense suspenseful "
        "mystery mysterious gore zombies shooter tense scary",
        "action adventure thriller exciting thrilling excitement thrills racing war superhero superheroes",
        "sci-fi science-fiction futuristic technology space robots cyberpunk",
        "fantasy magic magical supernatural horror vampire mythology",
        "documentary documentaries biography historical history",
        "western westerns cowboy cowboys",
        "sad tragic tragedy heartbreaking bittersweet emotional touching moving passionate drama romance war loss",
    )
)
"""Words of one kind or mood: a profile may use them only if the evidence has a word of the same group."""

PLOT = frozenset(
    words(
        "about hero heroes young girl character characters protagonist journey involving follows tells woman man boy "
        "ending endings ends plot storyline"
    )
)
"""Words that tell what happens; about an item of which only categories are known they are invented."""

_STOP = frozenset(
    words(
        "the and with from that this for who are has its into about people enjoy enjoys likes prefers lately "
        "taste such often interest sometimes mostly interested"
    )
)
_ORDERS = re.compile(r"\b(ignore|disregard|forget)\b.{0,40}\b(instruction|prompt|rule)|\bsystem prompt\b|\bas an ai\b")
_LABELS = re.compile(
    r"\b(Facts|Recent|Earlier|Disliked|Often|Said|Reviews?|Like|Profile|Item|Summary|Audience|Themes):"
)
_QUOTED = re.compile(r"[\"\u201c\u2018]([^\"\u201d\u2019]{2,60})[\"\u201d\u2019]")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][\w'-]+(?: (?:of |the |and |in |a )*[A-Z][\w'-]+)*")
_HAPPENS = re.compile(r"\b(movie|film|story|book|game|man|woman|boy|one) (who|whose|where)\b")


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
    own = f"{evidence}\n{title}"
    text = " ".join(sentences)
    rules = (
        ("empty", lambda: not sentences or any(len(words(sentence)) < 2 for sentence in sentences)),
        ("too_long", lambda: any(len(sentence) > LONGEST for sentence in sentences)),
        ("repetition", lambda: any(_repeats(sentence) for sentence in sentences) or _same(sentences)),
        ("wrong_language", lambda: _is_foreign(text, own)),
        ("copied_example", lambda: _copies(sentences, own, shots)),
        ("echoed_prompt", lambda: _echoes(text)),
        ("ungrounded_number", lambda: any(number not in _numbers(own) for number in re.findall(r"\d+", text))),
        ("ungrounded_title", lambda: any(not _in(quoted, own) for quoted in _QUOTED.findall(text))),
        ("ungrounded_name", lambda: any(not _named(found, own) for s in sentences for found in _NAME.findall(s))),
        ("ungrounded_genre", lambda: _claims(text, words_to_avoid(own, vocabulary, is_told=True))),
        ("ungrounded_plot", lambda: not is_told and (_claims(text, PLOT - set(words(own))) or _HAPPENS.search(text))),
        ("off_topic", lambda: _is_off(sentences[0], own)),
    )
    return next((reason for reason, is_wrong in rules if is_wrong()), None)


def words_to_avoid(evidence: str, vocabulary: frozenset[str], is_told: bool) -> frozenset[str]:
    """Words that would claim what the evidence does not say: other genres, kinds of things, moods, and plots."""
    known = set(words(evidence))
    allowed = {word for group in CLAIMS if any(_is_known(word, known) for word in group) for word in group}
    claims = {word for group in CLAIMS for word in group} - allowed
    plot = frozenset() if is_told else PLOT - known
    return frozenset(word for word in vocabulary | claims if not _is_known(word, known)) | plot


def _is_known(word: str, known: set[str]) -> bool:
    """Whether evidence has the word, in singular or plural, or as a part (`sci-fi thriller`, `film-noir`)."""
    parts = {part for one in known for part in [one, *one.split("-")]}
    return bool({word, word.rstrip("s"), word + "s", word.removesuffix("'s")} & parts)


def _claims(text: str, banned: frozenset[str]) -> bool:
    said = set(words(text))
    return bool(banned & (said | {part for word in said for part in word.split("-")}))


def _repeats(sentence: str) -> bool:
    """A content word three times, a pair of words twice, or a word twice around `and` or a blank."""
    found = words(sentence)
    content = Counter(word for word in found if len(word) > 3 and word not in _STOP)
    pairs = Counter(pair for pair in pairwise(found) if not set(pair) <= _STOP and min(map(len, pair)) > 2)
    around = zip(found, found[1:], found[2:], strict=False)
    return (
        any(count >= 3 for count in content.values())
        or any(count >= 2 for count in pairs.values())
        or any(a == b for a, b in pairwise(found))
        or any(a == c and b in ("and", "or") for a, b, c in around)
    )


def _same(sentences: Sequence[str]) -> bool:
    return len({sentence.strip().lower() for sentence in sentences}) < len(sentences)


def _copies(sentences: Sequence[str], own: str, shots: Sequence[str]) -> bool:
    """A whole sentence of an example, or an example's title that is not the entity's own."""
    lowered = own.lower()
    examples = {quoted.lower() for shot in shots for quoted in re.findall(r'"([^"]{20,})"', shot)}
    titles = {found for shot in shots for found in _shot_titles(shot)}
    said = [sentence.lower().strip() for sentence in sentences]
    return any(s in examples for s in said) or any(t in s and t not in lowered for s in said for t in titles)


@cache
def _shot_titles(shot: str) -> frozenset[str]:
    """Titles that an example names: of its item, or of the items that its person chose."""
    lines = shot.split("Profile:", maxsplit=1)[0].splitlines()
    listed = [part for line in lines for part in line.split(": ", 1)[-1].split("; ")]
    cleaned = (re.sub(r"^[A-Z] |\s*\(.*\)$", "", part).strip().lower() for part in listed)
    return frozenset(title for title in cleaned if title.count(" ") >= 1 and "," not in title)


def _echoes(text: str) -> bool:
    """The prompt's own labels, or orders that came from an item's text."""
    return bool(_LABELS.search(text) or _ORDERS.search(text.lower()))


def _numbers(own: str) -> str:
    return own


def _in(quoted: str, own: str) -> bool:
    return stems(quoted) in stems(own)


def _named(name: str, own: str) -> bool:
    """Whether evidence has a capitalised phrase, word by word."""
    known = set(stems(own).split())
    return all(word in known or word in _STOP or len(word) < 2 for word in stems(name).split())


def _is_off(sentence: str, own: str) -> bool:
    """Whether a sentence shares no content word with the evidence."""
    known, said = (
        {word[:5] for word in words(text.replace("-", " ")) if len(word) > 2 and word not in _STOP}
        for text in (own, sentence)
    )
    return not known & said


def _is_foreign(text: str, own: str) -> bool:
    """Whether a text is not English, names and titles of the evidence left out."""
    known = set(words(own))
    rest = " ".join(word for word in text.split() if word.strip(".,;:").lower() not in known)
    if len(rest) < LANGUAGE_FROM:
        return sum(char.isascii() for char in text) < 0.9 * len(text)
    language, _ = _identifier().classify(rest)
    return bool(language != "en")


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(["en", "de", "fr", "es", "it", "pt", "nl", "ru", "zh", "ja", "ar"])
    return identifier
