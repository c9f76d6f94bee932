"""A request cut into words and marks, and what of it is meant as a refusal."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from ray_tasks.lexicons import load
from ray_tasks.vocabulary.labels import stems

_PIECE = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*|[.,;:!?()\"\u201c\u201d\u2014]")
_ENDS = frozenset(".;:!?()\u2014")


@dataclass(frozen=True)
class Piece:
    """A word or a mark of a request. `stem` is what labels are compared by; a mark's is the mark."""

    text: str
    stem: str

    @property
    def is_capital(self) -> bool:
        """Written as a name is."""
        return self.text[:1].isupper() or self.text[:1].isdigit()


def pieces(text: str) -> list[Piece]:
    """Words and marks of a text, in order."""
    return [Piece(found, stems(found) or found) for found in _PIECE.findall(text)]


def starts_with(words: Sequence[Piece], at: int, phrase: Sequence[str]) -> bool:
    """True if the words from `at` on are those of a phrase, lower case."""
    return len(words) >= at + len(phrase) and all(
        piece.text.lower().replace("\u2019", "'") == word for piece, word in zip(words[at:], phrase, strict=False)
    )


def refused(words: Sequence[Piece], mentions: Sequence[int | None]) -> list[bool]:
    """For each word whether the request refuses it.

    `mentions` numbers the words that name a label or an item, by which of them. A refusal holds from its cue to the end
    of the clause, to a word that turns it (`but`, `just`, ...), or, after `less` and its like, to the end of the first
    label. It goes on behind a comma only in a list that ends with `or` or `nor`.
    """
    cues, turns = _cues()
    found = [False] * len(words)
    scope = ""
    met: int | None = None
    at = 0
    while at < len(words):
        cue = next((cue for cue in cues if starts_with(words, at, cue)), None)
        if cue is not None:
            scope, met = cues[cue], None
            at += len(cue)
            continue
        word = words[at].text.lower()
        ends = word in _ENDS or word in turns or (word == "," and not _list_goes_on(words, mentions, at + 1))
        if ends or (scope == "first" and met not in (None, mentions[at])):
            scope = ""
        found[at] = scope in ("clause", "first")
        met = mentions[at] if met is None else met
        at += 1
    return found


def _list_goes_on(words: Sequence[Piece], mentions: Sequence[int | None], at: int) -> bool:
    """Whether nothing but labels and items follows until `or` or `nor`."""
    for place in range(at, len(words)):
        word = words[place].text.lower()
        if word in ("or", "nor"):
            return True
        if not (mentions[place] is not None or word == ","):
            return False
    return False


@cache
def _cues() -> tuple[dict[tuple[str, ...], str], frozenset[str]]:
    """Phrases that refuse with how far they reach, the longest first; and words that end a refusal."""
    lists = load("requests")
    reach = {**dict.fromkeys(lists["refuses"], "clause"), **dict.fromkeys(lists["refuses_first"], "first")}
    reach |= dict.fromkeys(lists["refuses_nothing"], "")
    cues = {tuple(phrase.split()): how for phrase, how in reach.items()}
    return dict(sorted(cues.items(), key=lambda cue: (-len(cue[0]), cue[0]))), frozenset(lists["turns"])
