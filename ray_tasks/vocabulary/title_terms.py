"""Words and pairs of words of titles that say what items are: for a catalogue that tells nothing but titles.

No tagger and no model: a title is read as phrases (`Dove Body Wash, Cucumber, 24 Ounce`), parted by punctuation,
numbers, units and function words. A product is known by its place at the end of a phrase of several words, and before
the first comma rather than after it; a maker's name by its place at the beginning or after `by`; words that belong
together by their pointwise mutual information, normalised to [-1, 1] (Bouma, 2009).
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ray_tasks.text import words
from ray_tasks.vocabulary.labels import stems
from ray_tasks.vocabulary.telling_terms import COMMON, FUNCTION_WORDS, KNOWN, description

FEWEST_TITLES = 50
"""Titles below which their words are accidents."""

STRAY = 0.01
"""Catalogues with descriptions for no more than this share of their items have none."""

BOUND, INSEPARABLE = 0.1, 0.6
"""Normalised PMI of a pair that belongs together, and of one that does wherever it stands (`nail art brush`)."""

HEAD, FIRST, EARLY = 0.35, 0.55, 0.25
"""Lowest shares of a term's occurrences at the end of a phrase and before the first comma; the latter for inseparable
pairs, which may stand anywhere in a phrase (`anti aging`)."""

NAME, FRAGMENT = 0.3, 0.5
"""Highest shares of occurrences where names stand, and beside one and the same word, of whose term it is a part."""

_BREAKS = FUNCTION_WORDS | frozenset(
    words(
        "oz ounce fluid gram gr gm mg kg lb lbs pound liter litre milliliter inch inches foot feet meter mm cm watt "
        "volt pack packs count counts ct pc pcs piece pieces set sets pair pairs box bottle tube jar bag case lot size "
        "sizes each per plus your my more new very"
    )
)
"""Function words, units and containers: they end a phrase."""

_PARTICLES = frozenset(words("in on off up out de du la le"))
"""What is before one of them is no end: `leave in conditioner`, `eau de toilette`."""

_VAGUE = frozenset(
    map(
        stems,
        words(
            "product item collection formula system line series edition version type style kit tool gift color colour "
            "supply accessory guarantee satisfaction shipping sale grade quality brand solution complex finish effect "
            "tone touch make blend combo duo trio damage"
        ),
    )
)
"""Heads that could stand for any item."""

_COMMAS = frozenset(",;:()[]|/-\u2013\u2014")
_PIECE = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*|[^\w\s]")

Row = Mapping[str, Any]


@dataclass
class _Places:
    """Where a term stands: its items, its forms, and how often at which place and beside which word."""

    items: set[str] = field(default_factory=set)
    forms: Counter[str] = field(default_factory=Counter)
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    ends: int = 0
    names: int = 0
    first: int = 0

    @property
    def seen(self) -> int:
        """Occurrences."""
        return self.forms.total()

    def is_fragment(self) -> bool:
        """Whether one word stands before or after it most of the time."""
        most = [count for beside in (self.before, self.after) for _, count in beside.most_common(1)]
        return max(most, default=0) > FRAGMENT * self.seen

    def is_placed(self, ease: float, inseparable: bool = False) -> bool:
        """Whether it stands where products do and names do not."""
        head, first = (0.0, EARLY) if inseparable else (HEAD, FIRST)
        enough = self.ends >= head * ease * self.seen and self.first >= first * ease * self.seen
        return enough and self.names <= NAME * self.seen


def title_terms(documents: Sequence[Row], fewest: int, known: Collection[str] = ()) -> dict[str, float]:
    """Terms of one or two words and how much they tell: items times their information, -log of their share of items.

    Nothing for a catalogue with categories or descriptions, which tell more than titles do. A single word stays where
    most items with it have none of the pairs that it is in; a pair needs `fewest` items. `known` are terms of the night
    before, which need half of the items and less of the rest to stay.
    """
    if len(documents) < FEWEST_TITLES or any(row["categories"] for row in documents):
        return {}
    if sum(1 for row in documents if description(row)) > STRAY * len(documents):
        return {}
    total, places, kept = len(documents), _places(documents), {stems(term) for term in known}
    ease = {term: KNOWN if term in kept else 1.0 for term in places}
    pairs = {
        term: found
        for term, found in places.items()
        if " " in term
        and len(found.items) >= max(2, fewest / (2 if term in kept else 1))
        and not set(term.split()) & _VAGUE
        and not found.is_fragment()
        and (bound := _bound(term, places, total)) >= BOUND * ease[term]
        and found.is_placed(ease[term], inseparable=bound >= INSEPARABLE * ease[term])
    }
    paired: defaultdict[str, set[str]] = defaultdict(set)
    for term, found in pairs.items():
        for word in term.split():
            paired[word] |= found.items
    singles = {
        term: found
        for term, found in places.items()
        if " " not in term
        and term not in _VAGUE
        and not found.is_fragment()
        and found.is_placed(ease[term])
        and len(paired[term] & found.items) <= FRAGMENT * len(found.items)
    }
    return {
        _form(found, known): len(found.items) * math.log(total / len(found.items))
        for found in (*pairs.values(), *singles.values())
        if len(found.items) <= COMMON * total
    }


def _bound(pair: str, places: Mapping[str, _Places], total: int) -> float:
    """Normalised PMI of the words of a pair."""
    both, one, other = (len(places[term].items) / total for term in (pair, *pair.split()))
    return math.log(both / (one * other)) / -math.log(both) if both < 1 else 0.0


def _form(found: _Places, known: Collection[str]) -> str:
    """The form that the night before had, else the most common one, ties by name."""
    return min(found.forms, key=lambda form: (form not in known, -found.forms[form], form))


def _places(documents: Sequence[Row]) -> dict[str, _Places]:
    """Words and pairs of neighbours inside a phrase, by their stems."""
    places: defaultdict[str, _Places] = defaultdict(_Places)
    for row in documents:
        for phrase in _phrases(row["title"]):
            forms = [stems(word) for word in phrase.words]
            for at, end in _spans(phrase.words):
                found = places[" ".join(forms[at:end])]
                found.items.add(row["item_id"])
                found.forms[" ".join(phrase.words[at:end])] += 1
                found.before.update(forms[at - 1 : at] if at else ())
                found.after.update(forms[end : end + 1])
                found.ends += end == len(forms) > end - at
                found.names += at == 0 and phrase.is_name
                found.first += phrase.is_first
    return dict(sorted(places.items()))


def _spans(phrase: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where the words and pairs of a phrase begin and end, those with a particle left out."""
    for at, word in enumerate(phrase):
        if word not in _PARTICLES:
            yield at, at + 1
            if at + 1 < len(phrase) and phrase[at + 1] not in _PARTICLES:
                yield at, at + 2


@dataclass(frozen=True)
class _Phrase:
    """Words in a row, lower case: whether a name may begin them, and whether they come before the first comma."""

    words: list[str]
    is_name: bool
    is_first: bool


def _phrases(title: str) -> Iterator[_Phrase]:
    """Phrases of a title. A compound is content if all its parts are (`anti-aging`, not `all-in-one`)."""
    found: list[str] = []
    is_name = is_first = True
    for piece in [*_PIECE.findall(title.lower().replace("\u2019", "'")), "."]:
        parts = piece.split("-")
        if all(_is_content(word) for word in parts):
            found += parts
            continue
        if found:
            yield _Phrase(found, is_name, is_first)
            is_name = False
        found, is_name, is_first = [], is_name or piece == "by", is_first and piece not in _COMMAS


def _is_content(word: str) -> bool:
    """Whether a word may stand in a phrase: no abbreviation (a word without a vowel); a particle may, to be seen."""
    if word in _PARTICLES:
        return True
    is_word = len(word) > 2 and word.replace("'", "").isalpha() and re.search("[aeiouy]|[^a-z']", word) is not None
    return is_word and word not in _BREAKS
