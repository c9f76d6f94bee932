"""Text of the catalogue made fit for a prompt: data that cannot pose as part of the prompt."""

import re
import unicodedata

MARKERS = (
    "Summary",
    "Audience",
    "Themes",
    "Likes",
    "Facts",
    "Recent",
    "Earlier",
    "Disliked",
    "Often",
    "Said",
    "Review",
    "Reviews",
    "Like",
    "Profile",
    "Item",
    "Chosen",
    "Because",
    "Also",
    "Explanation",
)
_MARKER = re.compile(rf"\b({'|'.join(MARKERS)})\s*:", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_FIELD = re.compile(r"(?:^|\. )([A-Za-z][A-Za-z0-9_ ]{0,30}): ")
_ARTICLE = re.compile(r"^(.*\S), (The|A|An|Les?|La|Das|Der|Die|El|Il)( \(.*\))?$")


CODE = re.compile(r"\b(?=[A-Z0-9-]*\d)(?=[A-Z0-9-]*[A-Z]{2})[A-Z0-9]{2,}(?:-[A-Z0-9]+)+\b")
"""A code such as a key or a token: it is no word of a sentence about an item."""

_ORDER = re.compile(
    r"\b(?:ignore|disregard|forget|override|repeat|reveal|print)\b.{0,40}"
    r"\b(?:instruction|prompt|rule|format|token|password|secret|after me)|\bsystem prompt\b|\bas an ai\b",
    re.IGNORECASE,
)


def as_data(text: str, characters: int) -> str:
    """One line of plain text, at most `characters` long, without markers of the prompt or of the model's format.

    Brackets and bars go because special tokens and JSON are spelled with them; a marker loses its colon. Signs of
    trademarks go because they would become letters of the word before them.
    """
    text = unicodedata.normalize("NFKC", re.sub(r"[\u2120\u2122]", "", text[: 20 * characters]))
    text = "".join(" " if unicodedata.category(char).startswith("C") else char for char in text)
    text = re.sub(r"[{}\[\]<>|`#*\"\\]+", " ", text)
    text = " ".join(_MARKER.sub(r"\1", text).split())
    if len(text) <= characters:
        return text
    return text[: characters + 1].rsplit(" ", 1)[0][:characters].rstrip(" ,;:.")


def is_order(text: str) -> bool:
    """Whether a text speaks to a model instead of naming something: it may be evidence, but is never quoted."""
    return bool(_ORDER.search(text) or CODE.search(text))


def natural_title(title: str) -> str:
    """A title with a library's article put back in front: `Grass Harp, The` is `The Grass Harp`."""
    found = _ARTICLE.match(title)
    return f"{found[2]} {found[1]}{found[3] or ''}" if found else title


def words(text: str) -> list[str]:
    """Words of a text, lower case, in order."""
    return [word.lower().replace("\u2019", "'") for word in _WORD.findall(text)]


def document_fields(document: str) -> list[tuple[str, str]]:
    """(field, text) of an item's document, which reads `field: text. field: text`."""
    pieces = _FIELD.split(document)
    fields = list(zip(pieces[1::2], pieces[2::2], strict=True))
    return fields or [("text", document)]
