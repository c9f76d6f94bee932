"""Which columns a source must have, and the one error that lists all that are missing."""

import difflib
from collections.abc import Iterable

from schemas.errors import SourceError
from schemas.source_config import ColumnMapping, EntitySource, ItemSource, UserSource

DELIMITERS = {",": "','", ";": "';'", "\t": "'\\t' (tab)", "|": "'|'", "::": "'::'"}


def mapped_columns(source: EntitySource) -> dict[str, ColumnMapping]:
    """Our column's name -> how it is read, for the columns that the configuration maps."""
    columns = source.columns  # type: ignore[attr-defined]
    return {name: getattr(columns, name) for name in type(columns).model_fields if getattr(columns, name) is not None}


def used_columns(source: EntitySource) -> list[str]:
    """All source columns that the configuration names, each once, in order."""
    names = [mapping.column for mapping in mapped_columns(source).values()]
    if isinstance(source, ItemSource):
        names += [mapping.column for mapping in source.text]
    if isinstance(source, UserSource):
        names += source.attributes
    return list(dict.fromkeys(names))


def check_columns(entity: str, source: EntitySource, found: Iterable[str]) -> None:
    """Raise SourceError listing every configured column that the source lacks, with the nearest names."""
    found = list(found)
    missing = [name for name in used_columns(source) if name not in found]
    if not missing:
        return
    lines = []
    for name in missing:
        near = difflib.get_close_matches(name, found, n=1, cutoff=0.5)
        lines.append(f"  - no column {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    raise SourceError(
        f"{entity}: {source.path} lacks {len(missing)} column(s) named in source.{entity}\n"
        + "\n".join(lines)
        + f"\n  columns found: {', '.join(map(repr, found)) or 'none'}"
        + _delimiter_hint(source, found)
    )


def _delimiter_hint(source: EntitySource, found: list[str]) -> str:
    if source.format != "csv" or len(found) > 2:
        return ""
    other = [shown for text, shown in DELIMITERS.items() if text != source.delimiter and any(text in n for n in found)]
    if not other:
        return ""
    return f"\n  the header seems to be delimited by {other[-1]}, not by {source.delimiter!r}: check 'delimiter'"
