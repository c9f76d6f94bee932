"""The years that a request speaks of."""

import re
from dataclasses import dataclass

_TENS = {"twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70, "eighties": 80}
_TENS |= {"nineties": 90}
_YEAR = r"(?:1[89]|20)\d\d"
_DECADE = rf"(?:(?:(?:1[89]|20)\d|['\u2019]?[2-9])0['\u2019]?s|{'|'.join(_TENS)})"
_TIME = rf"(?:(?P<part>early|mid|late)[ -]+)?(?:the +)?(?P<time>{_DECADE}|{_YEAR})\b"
_RANGE = re.compile(
    rf"\b(?:(?:between|from)\s+)?(?P<first>{_YEAR})\s*(?:-|\u2013|to|and|until|till)\s*(?P<last>{_YEAR})\b",
    re.IGNORECASE,
)
_BOUND = {
    "before": ("last", -1),
    "older than": ("last", -1),
    "earlier than": ("last", -1),
    "until": ("last", 0),
    "till": ("last", 0),
    "up to": ("last", 0),
    "no later than": ("last", 0),
    "not after": ("last", 0),
    "after": ("first", 1),
    "newer than": ("first", 1),
    "later than": ("first", 1),
    "since": ("first", 0),
    "no older than": ("first", 0),
    "not older than": ("first", 0),
    "not before": ("first", 0),
}
_BOUNDED = re.compile(
    rf"\b(?P<bound>{'|'.join(sorted(_BOUND, key=len, reverse=True))})\s+(?:the\s+)?{_TIME}", re.IGNORECASE
)
_OPEN = re.compile(
    rf"(?:\bfrom\s+)?(?<!\d)(?P<time>{_YEAR})\s+(?:or|and)\s+(?P<way>later|newer|after|earlier|older|before)\b",
    re.IGNORECASE,
)
_PLAIN = re.compile(rf"(?:\b(?:from|in|of|the|made in)\s+)*(?<![\w]){_TIME}", re.IGNORECASE)
_PARTS = {"early": (0, 4), "mid": (3, 6), "late": (5, 9)}


@dataclass(frozen=True)
class Era:
    """Bounds, both included, and the characters that tell them."""

    first: int | None
    last: int | None
    start: int
    end: int


def era(text: str) -> Era | None:
    """The first of the spans of years that a text tells; None where it tells none."""
    if found := _RANGE.search(text):
        first, last = sorted((int(found["first"]), int(found["last"])))
        return Era(first, last, *found.span())
    if found := _OPEN.search(text):
        year, later = int(found["time"]), found["way"].lower() in ("later", "newer", "after")
        return Era(year if later else None, None if later else year, *found.span())
    if found := _BOUNDED.search(text):
        return _bounded(found)
    if found := _PLAIN.search(text):
        return Era(*_years(found["part"], found["time"]), *found.span())
    return None


def _bounded(found: re.Match[str]) -> Era:
    side, shift = _BOUND[" ".join(found["bound"].lower().split())]
    first, last = _years(found["part"], found["time"])
    if side == "last":  # `before the 60s` ends with 1959, `until the 60s` with 1969
        return Era(None, first - 1 if shift else last, *found.span())
    return Era(last + 1 if shift else first, None, *found.span())


def _years(part: str | None, time: str) -> tuple[int, int]:
    """First and last year of a year or a decade, of which `part` is early, mid or late."""
    plain = time.lower().strip("'\u2019").removesuffix("s").rstrip("'\u2019")
    if re.fullmatch(_YEAR, time):
        return int(time), int(time)
    tens = _TENS.get(time.lower())
    first = 1900 + tens if tens is not None else int(plain) if len(plain) == 4 else 1900 + int(plain)
    low, high = _PARTS[part.lower()] if part else (0, 9)
    return first + low, first + high
