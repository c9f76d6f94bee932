"""Which items of the catalogue a request names."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ray_tasks.lexicons import load
from ray_tasks.requests.clauses import Piece, pieces, starts_with
from ray_tasks.text import natural_title

_YEAR = re.compile(r"\(?\b(?:1[89]|20)\d\d\)?\s*$")
_ASIDE = re.compile(r"\(([^()]*)\)")
_SUBTITLE = re.compile(r"(?:\s+or)?\s*:\s|\s+-\s")
_ARTICLES = ("the", "a", "an")
_LONGEST = 12
"""Words of a title that are compared."""


@dataclass(frozen=True)
class Named:
    """An item that the words from `start` to before `end` name."""

    start: int
    end: int
    item_id: str


class Titles:
    """The catalogue's titles, whole and without articles, years and subtitles."""

    def __init__(self, titles: Iterable[tuple[str, str, int]]) -> None:
        """From (item id, title, times taken): of two items with one name the one taken more is meant."""
        ranked: dict[tuple[str, ...], tuple[int, int, str]] = {}
        for item_id, title, count in titles:
            for rank, name in enumerate(variants(title)):
                best = ranked.get(name)
                found = (rank, -count, item_id)
                if best is None or found < best:
                    ranked[name] = found
        self._items: Mapping[tuple[str, ...], str] = {name: found[2] for name, found in ranked.items()}
        lists = load("requests")
        self._points = [tuple(phrase.split()) for phrase in lists["points"]]
        self._vibes = frozenset(lists["vibes"])

    def named(self, words: Sequence[Piece]) -> Iterator[Named]:
        """Items that a request names, the longest names first from the left.

        A name of two words or more counts where it is written with capitals; any name where the words before it point
        at an item (`like`, `similar to`), or where it stands between quotation marks. One word counts with a capital.
        """
        at, pointed = 0, False
        while at < len(words):
            if self._pointing(words, at):
                pointed = True
            found = next((one for one in self._at(words, at) if self._is_meant(words, one, pointed)), None)
            if found is None:
                pointed = pointed and words[at].text.lower() in (*_ARTICLES, "and", "or", ",", '"', "\u201c", "movie")
                pointed = pointed or self._pointing(words, at)
                at += 1
                continue
            yield found
            at, pointed = found.end, True  # `like this one and that one`

    def _pointing(self, words: Sequence[Piece], at: int) -> bool:
        """Whether a phrase that points at an item ends with the word at `at`."""
        return any(
            at - len(phrase) + 1 >= 0 and starts_with(words, at - len(phrase) + 1, phrase) for phrase in self._points
        )

    def _at(self, words: Sequence[Piece], at: int) -> Iterator[Named]:
        """Names that begin at a word, the longest first."""
        for end in range(min(len(words), at + _LONGEST), at, -1):
            name = tuple(piece.stem for piece in words[at:end] if piece.stem[:1].isalnum())
            if words[end - 1].stem[:1].isalnum() and (item_id := self._items.get(name)):
                yield Named(at, end, item_id)

    def _is_meant(self, words: Sequence[Piece], one: Named, pointed: bool) -> bool:
        own = [piece for piece in words[one.start : one.end] if piece.stem[:1].isalnum()]
        telling = [piece for piece in own if piece.text.lower() not in (*_ARTICLES, "of", "and", "in", "to")]
        quoted = one.start > 0 and words[one.start - 1].text in ('"', "\u201c")
        vibes = one.end < len(words) and words[one.end].text.lower() in self._vibes
        capitals = all(piece.is_capital for piece in telling)
        if len(own) == 1:
            return quoted or (capitals and pointed) or vibes
        return quoted or pointed or vibes or (capitals and len(telling) > 1)


def variants(title: str) -> list[tuple[str, ...]]:
    """Names of an item as stems, the fullest first: `Matrix, The (1999)` is the matrix, and matrix."""
    bare = _YEAR.sub("", title).strip()
    whole = _ASIDE.sub("", bare).strip()
    names = [natural_title(whole), whole, _SUBTITLE.split(natural_title(whole))[0]]
    names += [natural_title(aside.removeprefix("a.k.a.").strip()) for aside in _ASIDE.findall(bare)]
    found: dict[tuple[str, ...], None] = {}
    for name in names:
        stems = tuple(piece.stem for piece in pieces(name) if piece.stem[:1].isalnum())
        for one in (stems, stems[1:] if stems[:1] and stems[0] in _ARTICLES else stems):
            if one and not (len(one) == 1 and one[0].isdigit() and len(one[0]) < 3):
                found.setdefault(one)
    return list(found)
