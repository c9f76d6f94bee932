"""Text of a source made fit for a prompt and an encoder: no markup, no control characters, one line."""

import json
from html.entities import name2codepoint

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F

NAMED = {name: chr(point) for name, point in name2codepoint.items()} | {"apos": "'"}
ENTITY = r"&(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,7});"
AMPERSAND = r"&(amp|#0*38|#[xX]0*26);"
INVISIBLE = r"[\x{200b}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2060}-\x{2069}\x{feff}]"
"""Zero-width and text-direction characters: they hide words from a reader, not from a model."""


def clean_text(text: Column) -> Column:
    """Entities unescaped, tags and scripts stripped, control and invisible characters gone, blanks collapsed."""
    unescaped = F.when(text.contains("&"), unescape(text)).otherwise(text)
    no_scripts = F.regexp_replace(unescaped, r"(?is)<(script|style)\b.*?</\1\s*>", " ")
    no_tags = F.regexp_replace(no_scripts, r"(?s)<!--.*?-->|</?[a-zA-Z!][^<>]*>", " ")
    visible = F.regexp_replace(no_tags, INVISIBLE, "")
    return F.trim(F.regexp_replace(visible, r"[\p{Cc}\p{Z}]+", " "))


def unescape(text: Column) -> Column:
    """HTML entities, named or numbered, as the characters that they stand for. Unknown ones stay.

    Ampersands are put in last, so that `&amp;lt;` becomes `&lt;` and is not read twice.
    """
    # One literal that the optimizer folds into a map; a map of 500 literals takes it seconds to plan.
    names = F.from_json(F.lit(json.dumps(NAMED)), "map<string,string>")

    def replace(so_far: Column, name: Column) -> Column:
        character = F.when(name.startswith("#"), _numbered(name)).otherwise(F.try_element_at(names, name))
        return F.coalesce(F.replace(so_far, F.concat(F.lit("&"), name, F.lit(";")), character), so_far)

    marked = F.regexp_replace(text, AMPERSAND, "&amp;")
    found = F.array_distinct(F.regexp_extract_all(marked, F.lit(ENTITY), F.lit(1)))
    others = F.filter(found, lambda name: name != "amp")
    return F.replace(F.aggregate(others, marked, replace), F.lit("&amp;"), F.lit("&"))


def _numbered(name: Column) -> Column:
    """The character of `#233` or `#xe9`; null for what is none (surrogates, beyond Unicode)."""
    digits = F.regexp_replace(name, "^#[xX]?", "")
    is_hex = name.rlike("^#[xX]")
    decimal = F.when(is_hex, F.conv(digits, 16, 10)).otherwise(digits).try_cast("int")
    valid = decimal.between(1, 0xD7FF) | decimal.between(0xE000, 0x10FFFF)
    return F.when(valid, F.decode(F.unhex(F.lpad(F.hex(decimal), 8, "0")), "UTF-32BE"))


def cut_at_word(text: Column, characters: int) -> Column:
    """At most so many characters, without a torn last word (unless the text is one single word)."""
    head = F.substring(text, 1, characters)
    next_is_blank = F.substring(text, characters + 1, 1) == " "
    whole_words = F.when(next_is_blank, head).otherwise(F.regexp_replace(head, r" [^ ]*$", ""))
    return F.when(F.length(text) <= characters, text).otherwise(F.rtrim(whole_words))
