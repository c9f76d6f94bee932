"""Is a text grounded? Titles, names, numbers and genres must occur in its evidence, and it must be a text of its own.

The rules are lexical: each points at the words that break it, costs microseconds, and errs on the side of refusing,
since a refused profile is replaced by a template while an invented one is published. What they catch and miss is
measured on outputs labelled by hand: docs/adr/0016-grounding.md.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache

from ray_tasks.lexicons import lexicon
from ray_tasks.profiles import originality
from ray_tasks.text import words
from ray_tasks.vocabulary.labels import stems

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

LONGEST = 300
"""Characters of the longest sentence."""

RETOLD = 0.4
"""Share of a text's words that need not be those of evidence which tells what happens: it may be put differently."""

OTHERS = ("everyday", "plot", "plain")
"""Lists of the lexicon that are no claims."""

_DIGITS = "2 3 4 5 6 7 8 9 10 11 12 20 30 40 50 60 70 80 90"
_SPELT = "two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty seventy eighty "
NUMBERS = dict(zip(words(_SPELT + "ninety"), _DIGITS.split(" "), strict=True))
"""Number words; `one` is rather a pronoun."""

_ASTRAY = frozenset(("facts", "heart", "sensual", "erotic", "dating", "childrens"))
"""Words for no closed sentence: beginnings of a phrase that it cannot end, and what says more than its genre does."""

_QUOTED = re.compile(r"[\"\u201c\u2018]([^\"\u201d\u2019]{2,60})[\"\u201d\u2019]")
_NAME = re.compile(r"(?:^|(?<=[a-z,;(] )|(?<=\())[A-Z][\w'-]*(?: (?:(?:of|the|and|in|a) )*[A-Z][\w'-]*)*")
_HAPPENS = re.compile(r"\b(movie|film|story|book|game|man|woman|boy|one) (who|whose|where)\b")
_LATELY = re.compile(r"\b(lately|recently)\b", re.IGNORECASE)
_SUCH_AS = re.compile(r"(.*?),? such as ([^.]+(?:\.[^.]+)*)", re.IGNORECASE)
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
        (
            "repetition",
            lambda: (
                any(originality.repeats(_apart(text, own, title), vocabulary) for text, own in pairs)
                or originality.alike(texts)
            ),
        ),
        ("wrong_language", lambda: originality.is_foreign(whole, told)),
        ("copied_example", lambda: originality.copies(texts, told, shots)),
        ("echoed_prompt", lambda: any(originality.echoes(text, told) for text in texts)),
        *_inventions(pairs, vocabulary, is_told),
        ("off_topic", lambda: _is_off(texts[0], told)),
    )
    return next((reason for reason, is_wrong in rules if is_wrong()), None)


def invention(text: str, evidence: str, vocabulary: frozenset[str] = frozenset()) -> str | None:
    """The first thing that a text says and its evidence does not, one of REASONS from number to plot."""
    rules = _inventions([(_plain(text), _plain(evidence))], vocabulary, is_told=False)
    return next((reason for reason, is_wrong in rules if is_wrong()), None)


def _inventions(
    pairs: Sequence[tuple[str, str]], vocabulary: frozenset[str], is_told: bool
) -> list[tuple[str, Callable[[], bool]]]:
    """By reason, whether one of the texts says what the evidence beside it does not."""
    return [
        ("ungrounded_number", lambda: any(_numbers(text) - _numbers(own) for text, own in pairs)),
        ("ungrounded_title", lambda: any(not _has(own, part) for text, own in pairs for part in _titles(text))),
        ("ungrounded_name", lambda: any(_misnames(*pair) for pair in pairs)),
        ("ungrounded_genre", lambda: any(_claims(*pair, vocabulary) or _is_mistyped(*pair) for pair in pairs)),
        ("ungrounded_plot", lambda: any(_invents(*pair, is_told) for pair in pairs)),
    ]


@lru_cache(1_000)
def words_to_avoid(evidence: str, vocabulary: frozenset[str], is_told: bool) -> frozenset[str]:
    """Words that would claim what the evidence does not say: other genres, kinds of things, moods, and plots."""
    known = _parts(evidence)
    claims = frozenset().union(*_groups().values()) - _implied(known) - frozenset(lexicon("grounding")["everyday"])
    plot = frozenset() if is_told else frozenset(lexicon("grounding")["plot"])
    return frozenset(word for word in vocabulary | claims | plot if not _is_known(word, known))


@lru_cache(1_000)
def words_to_use(facts: str, vocabulary: frozenset[str]) -> frozenset[str]:
    """Content words of which a grounded sentence can be made: those of the facts, what they imply, and plain ones.

    `facts` is the evidence without its title, whose words say little about the item one by one.
    """
    told = {word for word in _parts(facts) if word.isascii() and word.replace("-", "").replace("'", "").isalpha()}
    content = frozenset(lexicon("grounding")["plain"]) | told | _implied(_parts(facts))
    return content - words_to_avoid(facts, vocabulary, is_told=False) - _ASTRAY


@cache
def _groups() -> dict[str, frozenset[str]]:
    """Words that are claimed together, by name of the group; and every mood, which the words of its group speak for."""
    groups = {name: frozenset(some) for name, some in lexicon("grounding").items() if name not in OTHERS}
    return groups | {f"mood {mood}": frozenset([mood]) for mood in lexicon("moods")}


@cache
def _harmless() -> frozenset[str]:
    """Words that claim nothing: English function words, and the common words of profiles."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    first_person = {"i", "me", "my", "mine", "myself", "we", "us", "our", "ours"}
    return frozenset(lexicon("grounding")["plain"]) | (ENGLISH_STOP_WORDS - first_person - {"fire", "cry", "bill"})


@lru_cache(1_000)
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
    return not known.isdisjoint(_forms(word))


@lru_cache(100_000)
def _forms(word: str) -> frozenset[str]:
    return frozenset((word, word.rstrip("s"), f"{word}s", word.removesuffix("'s"), f"{word}'s"))


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


def _numbers(text: str) -> frozenset[str]:
    """Numbers in digits, with the decades of years: `1994` speaks for `1990s` and `90s`, `seven` for `7`."""
    found = {number.replace(",", "") for number in re.findall(r"\d+(?:,\d{3})*(?:s\b)?", text)}
    found |= {NUMBERS[word] for word in words(text) if word in NUMBERS}
    decades = {f"{number[at:3]}0s" for number in found if re.fullmatch(r"\d{4}", number) for at in (0, 2)}
    return frozenset(found | decades)


def _titles(text: str) -> list[str]:
    """What a text quotes or gives as examples."""
    found = _SUCH_AS.match(text)
    return _QUOTED.findall(text) + (re.split(r", (?:and )?| and ", found[2].strip(" .")) if found else [])


def _has(own: str, part: str) -> bool:
    """Whether evidence has a phrase, its article left out; common words need none."""
    phrase = stems(re.sub(r"^(the|an?) ", "", part, flags=re.IGNORECASE))
    return f" {phrase} " in f" {stems(own)} " or (part.islower() and not _unknown(part, own))


def _misnames(text: str, own: str) -> bool:
    """Whether a text has a capitalised word that evidence has not. A capital at the start makes none."""
    for found in _NAME.finditer(text):
        parts = found[0].split()
        if found.start() == 0 and (len(parts) == 1 or parts[0].lower() in _harmless()):
            parts = parts[1:]
        if _unknown(" ".join(parts), own, shortest=2):
            return True
    return False


def _apart(text: str, own: str, title: str) -> str:
    """A text without the titles of evidence, which may say a word twice."""
    found = _SUCH_AS.match(text)
    text = found[1] if found and _has(own, found[2]) else text
    return text.replace(title, "") if title else text


def _claims(text: str, own: str, vocabulary: frozenset[str]) -> bool:
    """Whether a text brings up a genre, kind or mood that the evidence does not speak for."""
    return bool(words_to_avoid(own, vocabulary, is_told=True) & _parts(text))


def _is_mistyped(text: str, own: str) -> bool:
    """Whether `drama, such as Alien` names an item of evidence that is none of these."""
    found = _SUCH_AS.match(text)
    if not found:
        return False
    said, title = set(stems(found[1]).split()), stems(found[2].strip(" ."))
    listed = [set(stems(labels).split()) for name, labels in _PIECE.findall(own) if title in stems(name)]
    return bool(listed) and not any(labels & said for labels in listed)


def _invents(text: str, own: str, is_told: bool) -> bool:
    """Whether a text has words that neither evidence nor the common words of profiles account for."""
    if _blames(text, own) or {"i", "me", "my"} & set(words(text)) - set(words(own)):
        return True
    unknown = _unknown(text, own)
    if is_told:
        return len(unknown) > RETOLD * len([word for word in words(text) if len(word) > 2])
    plot = {word for word in lexicon("grounding")["plot"] if not _is_known(word, _parts(own))}
    return bool(unknown or plot & _parts(text) or _HAPPENS.search(text))


def _blames(text: str, own: str) -> bool:
    """Whether a text praises what reviews criticise."""
    praised, criticised = re.search(r"praised for ([^.;]+)", text), re.search(r"criticised ([^;\n]+)", own)
    return bool(praised and criticised and set(words(praised[1])) & set(words(criticised[1])) - _harmless())


def _unknown(text: str, own: str, shortest: int = 3) -> list[str]:
    """Words of a text that neither evidence, nor what it implies, nor the common words of profiles account for."""
    known = _parts(own)
    allowed, beginnings = _implied(known) | _harmless(), {word[:6] for word in known}
    return [
        word
        for word in words(text)
        if len(word) >= shortest
        and not _is_known(word, known | allowed)
        and not (len(word) > 6 and word[:6] in beginnings)
        and not all(_is_known(part, known | allowed) for part in word.split("-"))
    ]


def _is_off(sentence: str, own: str) -> bool:
    """Whether a sentence shares no content word with the evidence, nor says what a word of it implies."""
    implied = " ".join(_implied(_parts(own)))
    known, said = (
        {word[:5] for word in words(text.replace("-", " ")) if len(word) > 2 and word not in _harmless()}
        for text in (f"{own} {implied}", sentence)
    )
    return not known & said
