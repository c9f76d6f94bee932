"""Reads a request: which labels, items and years it names, and which of them it refuses.

Words are compared with the vocabulary's terms and the catalogue's titles. What no term names may be linked by the
encoder (`links.py`) or asked of the language model (`asking.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from ray_tasks.lexicons import lexicon, load
from ray_tasks.requests.clauses import Piece, pieces, refused
from ray_tasks.requests.constraints import Constraints
from ray_tasks.requests.eras import era
from ray_tasks.requests.titles import Named, Titles
from ray_tasks.vocabulary.labels import Vocabulary, stems

KINDS = ("theme", "mood")
"""Kinds of labels that a request may ask for, that which wins where a word speaks for both first."""


@dataclass(frozen=True)
class Mention:
    """Labels that the words from `start` to before `end` name."""

    start: int
    end: int
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """What was understood of a request, and what was not.

    `unsupported` are moods that it speaks of, asked for or refused, and that no label of this catalogue is. `rest` are
    runs of words that no term explains, each with whether it is refused.
    """

    constraints: Constraints
    unsupported: tuple[str, ...] = ()
    rest: tuple[tuple[str, bool], ...] = ()


class Reader:
    """Knows a vocabulary and the titles of a catalogue."""

    def __init__(self, vocabulary: Vocabulary, titles: Titles) -> None:
        self._titles = titles
        lists = load("requests")
        self._known = {one.label for one in vocabulary.entries if one.kind in KINDS}
        self._terms = _terms(vocabulary, lists["other_words"])
        self._longest = max(map(len, self._terms), default=0)
        cues = (lists[name] for name in ("refuses", "refuses_first", "turns", "points", "vibes", "plain"))
        self._plain = frozenset(stems(word) for cue in cues for phrase in cue for word in phrase.split())

    def read(self, text: str) -> Reading:
        """What a request asks for. Labels that it both asks for and refuses are refused."""
        years = era(self._without_titles(text))
        words = pieces(text if years is None else f"{text[: years.start]} {text[years.end :]}")
        named = list(self._titles.named(words))
        taken = {place for one in named for place in range(one.start, one.end)}
        mentions = list(self._mentions(words, taken))
        marked: list[Named | Mention] = [*named, *mentions]
        spans = {place: n for n, one in enumerate(marked) for place in range(one.start, one.end)}
        against = refused(words, [spans.get(place) for place in range(len(words))])
        exclude = {label for one in mentions if against[one.start] for label in one.labels}
        include = {label for one in mentions if not against[one.start] for label in one.labels} - exclude
        constraints = Constraints(
            tuple(sorted(include & self._known)),
            tuple(sorted(exclude & self._known)),
            _ids(named, against, wanted=False),
            _ids(named, against, wanted=True),
            years.first if years else None,
            years.last if years else None,
        )
        return Reading(
            constraints, tuple(sorted((include | exclude) - self._known)), tuple(self._rest(words, spans, against))
        )

    def _without_titles(self, text: str) -> str:
        """The text with titles that hold a number blanked: `2001: A Space Odyssey` is no year."""
        words = pieces(text)
        for one in self._titles.named(words):
            for piece in words[one.start : one.end]:
                if piece.text.isdigit():
                    text = text.replace(piece.text, " " * len(piece.text), 1)
        return text

    def _mentions(self, words: Sequence[Piece], taken: set[int]) -> Iterable[Mention]:
        """Labels named outside titles, the longest term at each place."""
        at = 0
        while at < len(words):
            for length in range(min(self._longest, len(words) - at), 0, -1):
                if taken.isdisjoint(range(at, at + length)):
                    found = self._terms.get(tuple(piece.stem for piece in words[at : at + length]))
                    if found:
                        yield Mention(at, at + length, found)
                        at += length - 1
                        break
            at += 1

    def _rest(
        self, words: Sequence[Piece], spans: Mapping[int, int], against: Sequence[bool]
    ) -> Iterable[tuple[str, bool]]:
        """Runs of words that nothing explains and that may mean something, each with whether it is refused."""
        run: list[Piece] = []
        for place, piece in enumerate([*words, Piece(".", ".")]):
            tells = piece.stem[:1].isalpha() and len(piece.stem) > 2 and piece.stem not in self._plain
            if place not in spans and tells and piece.text.lower() not in ENGLISH_STOP_WORDS:
                run.append(piece)
            elif run:
                yield " ".join(one.text.lower() for one in run), against[place - 1]
                run = []


def _terms(vocabulary: Vocabulary, other_words: dict[str, list[str]]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Labels by the stems of the terms that name them; of a theme and a mood with one term the theme."""
    known = {one.label for one in vocabulary.entries if one.kind in KINDS}
    moods = lexicon("moods")
    found: dict[tuple[str, ...], tuple[str, ...]] = {
        tuple(stems(term).split()): (mood,) for mood, terms in moods.items() if mood not in known for term in terms
    }
    for kind in reversed(KINDS):
        for one in reversed([one for one in vocabulary.entries if one.kind == kind]):
            for term in one.terms:
                found[tuple(stems(term).split())] = (one.label,)
    for kind in reversed(KINDS):  # a label is named by itself, whatever other label has it for a term
        found |= {tuple(stems(name).split()): (name,) for name in vocabulary.labels(kind)}
    for phrase, meant in other_words.items():
        options = (tuple(sorted(part.strip() for part in option.split("+"))) for option in meant)
        labels = next((option for option in options if known.issuperset(option)), None)
        key = tuple(stems(phrase).split())
        if labels and not (len(key) == 1 and found.get(key, ("",))[0] in vocabulary.labels("theme")):
            found[key] = labels
    found.pop((), None)
    return found


def _ids(named: Sequence[Named], against: Sequence[bool], *, wanted: bool) -> tuple[str, ...]:
    return tuple(sorted({one.item_id for one in named if against[one.start] == wanted}))
