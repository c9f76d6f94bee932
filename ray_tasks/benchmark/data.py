"""Any pair of files, interactions and items, as a log, documents and categories.

Columns are found by their usual names; `columns` says which is which where they are called something else.
"""

import difflib
import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ray_tasks.interactions.windows import Log
from schemas.errors import SourceError

INTERACTIONS = ("interactions", "ratings", "events", "reviews")
ITEMS = ("items_enriched", "items", "movies", "products", "catalogue")
USERS = ("users",)
SUFFIXES = (".parquet", ".csv", ".dat")
ALIASES = {
    "user_id": ("user_id", "userid", "user", "reviewerid", "customer_id", "uid"),
    "item_id": ("item_id", "itemid", "item", "movie_id", "movieid", "asin", "product_id", "sku", "article_id", "iid"),
    "timestamp": ("timestamp", "time", "ts", "unixreviewtime", "date", "datetime", "t_dat", "created_at"),
    "title": ("title", "name", "product_name", "prod_name"),
    "categories": ("categories", "genres", "category", "tags", "product_type_name"),
    "brand": ("brand", "developer", "director", "publisher", "manufacturer"),
}
DAT = {"users": ["user_id", "gender", "age", "occupation", "zip_code"]}
"""Columns of MovieLens' files without a header."""
NO_TEXT = re.compile(r"(^|_)(id|url|link|image|date|price|asin|text_plot)$|id$", re.IGNORECASE)
"""Columns that tell nothing about what an item is."""
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,7});")
"""An HTML entity: the night reads them as characters, too."""
UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}
LONGEST_DOCUMENT = 1_500
MOST_GROUPS = 10
"""Values of a user attribute by which groups are compared; an attribute of more values names persons, not groups."""


@dataclass(frozen=True)
class Dataset:
    """One data set. Per item position: title, document, categories and brand ("" if unknown).

    `log` holds every event in the order of time, ties in the order of the file; its `split` is 0 throughout.
    `attributes` are user attributes by name, one label per user position ("" if unknown).
    """

    name: str
    sha256: str
    log: Log
    titles: tuple[str, ...]
    documents: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    brands: tuple[str, ...]
    attributes: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)


def load(
    folder: Path | None = None,
    *,
    interactions: Path | None = None,
    items: Path | None = None,
    users: Path | None = None,
    columns: Mapping[str, str] | None = None,
) -> Dataset:
    """Read a data set from a folder or from its files (Parquet, CSV, or folders of Parquet).

    `columns` maps our names to theirs. Raises SourceError when a file or a column is not found, or nothing is left.
    """
    events_at = interactions or _find(folder, INTERACTIONS, "interactions")
    items_at = items or _find(folder, ITEMS, "items")
    users_at = users or _find(folder, USERS)
    assert events_at is not None
    assert items_at is not None
    given = dict(columns or {})
    events, catalogue = _read(events_at), _read(items_at)
    names = {name: _column(events, events_at, name, given) for name in ("user_id", "item_id", "timestamp")}
    table = _events(events, names, events_at)
    catalogue = catalogue.drop_duplicates(_column(catalogue, items_at, "item_id", given))
    catalogue.index = pd.Index(catalogue[_column(catalogue, items_at, "item_id", given)].astype(str))
    catalogue = catalogue.reindex(sorted(set(catalogue.index) | set(table["item_id"])))
    log = _log(table, catalogue.index)
    roles = {name: _column(catalogue, items_at, name, given, required=False) for name in ALIASES}
    return Dataset(
        name=(folder or events_at.parent).name,
        sha256=_sha256([events_at, items_at]),
        log=log,
        titles=_texts(catalogue, roles["title"]),
        documents=_documents(catalogue, roles),
        categories=tuple(split_list(text) for text in _texts(catalogue, roles["categories"])),
        brands=_texts(catalogue, roles["brand"]),
        attributes=_attributes(users_at, log, given) if users_at else {},
    )


def _find(folder: Path | None, names: Sequence[str], needed: str = "") -> Path | None:
    """The first of a folder's usual files."""
    if folder is None or not folder.is_dir():
        if needed:
            raise SourceError(f"{needed}: no folder {folder}; name a folder, or the files themselves")
        return None
    for name in names:
        for suffix in SUFFIXES:
            if (folder / f"{name}{suffix}").exists():
                return folder / f"{name}{suffix}"
    if needed:
        found = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        usual = ", ".join(f"{name}.parquet" for name in names)
        raise SourceError(f"{needed}: expected one of {usual} (or .csv) in {folder}; found {found}")
    return None


def _read(path: Path) -> pd.DataFrame:
    """A file, or a folder of Parquet files, as strings and numbers."""
    if not path.exists():
        raise SourceError(f"no such file: {path}")
    try:
        if path.suffix == ".csv":
            return pd.read_csv(path)
        if path.suffix == ".dat":
            names = DAT.get(path.stem)
            return pd.read_csv(path, sep="::", engine="python", header=None, names=names, encoding="iso-8859-1")
        return pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise SourceError(f"{path} is not readable as {path.suffix[1:] or 'Parquet'}: {error}") from error


def _column(frame: pd.DataFrame, path: Path, name: str, given: Mapping[str, str], required: bool = True) -> str:
    """Their name of a column of ours; "" where it is absent and not required."""
    found = {str(column).lower(): str(column) for column in frame.columns}
    if name in given and given[name] in frame.columns:
        return given[name]
    usual = next((found[alias] for alias in ALIASES[name] if alias in found), "")
    if usual or not required:
        return usual
    near = difflib.get_close_matches(name, list(found), n=1, cutoff=0.4)
    raise SourceError(
        f"{path}: no column for {name}; expected one of {', '.join(ALIASES[name])}; "
        f"found {', '.join(map(str, frame.columns))}. Name it with --column {name}={near[0] if near else 'THEIRS'}"
    )


def _events(frame: pd.DataFrame, names: Mapping[str, str], path: Path) -> pd.DataFrame:
    """user_id, item_id (strings) and time (microseconds), in the order of time, ties as in the file.

    What came at the same time is moved a microsecond apart: everything that asks what came before sees one order.
    """
    frame = frame[list(names.values())].dropna()
    if not len(frame):
        raise SourceError(f"{path}: no row with a user, an item and a time")
    times = frame[names["timestamp"]]
    if pd.api.types.is_numeric_dtype(times):
        # Seconds since 1970 stay below 1e11 until the year 5138, milliseconds below 1e14.
        unit = next(unit for unit, limit in (("s", 1e11), ("ms", 1e14), ("us", np.inf)) if times.max() < limit)
        micros = (times.astype(np.float64) * UNITS[unit]).round().astype(np.int64)
    else:
        micros = pd.to_datetime(times, utc=True).astype("datetime64[us, UTC]").astype(np.int64)
    table = pd.DataFrame(
        {"user_id": frame[names["user_id"]].astype(str), "item_id": frame[names["item_id"]].astype(str), "time": micros}
    )
    table = table.sort_values("time", kind="stable", ignore_index=True)
    turn = np.arange(len(table))
    return table.assign(time=np.maximum.accumulate(table["time"].to_numpy() - turn) + turn)


def _log(table: pd.DataFrame, item_ids: "pd.Index[Any]") -> Log:
    user_ids, user = np.unique(table["user_id"].to_numpy(dtype=object), return_inverse=True)
    item = item_ids.get_indexer(pd.Index(table["item_id"]))
    return Log(
        user_ids,
        item_ids.to_numpy(dtype=object),
        user.astype(np.int32),
        item.astype(np.int32),
        table["time"].to_numpy(dtype=np.int64),
        np.zeros(len(table), dtype=np.int8),
        np.ones(len(table), dtype=bool),
    )


def _texts(frame: pd.DataFrame, column: str) -> tuple[str, ...]:
    if not column:
        return ("",) * len(frame)
    return tuple(_text(value) for value in frame[column])


def _text(value: Any) -> str:
    """A value as plain text: lists joined, names taken out of JSON, entities unescaped, nothing for what is missing."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, list | tuple | np.ndarray):
        return "|".join(map(_text, value))
    text = str(value).strip()
    if text.startswith("[{"):
        text = "|".join(re.findall(r'"name": "([^"]*)"', text))
    return ENTITY.sub(lambda found: html.unescape(found[0]), text)


def split_list(text: str) -> tuple[str, ...]:
    """Parts of a list written with `|`, `;` or `,`."""
    mark = next((mark for mark in "|;," if mark in text), "|")
    return tuple(part.strip() for part in text.split(mark) if part.strip())


def _documents(frame: pd.DataFrame, roles: Mapping[str, str]) -> tuple[str, ...]:
    """Title first, then every other column of text, cut at LONGEST_DOCUMENT characters."""
    others = [
        str(name)
        for name in frame.columns
        if not pd.api.types.is_numeric_dtype(frame[name]) and not NO_TEXT.search(str(name))
    ]
    ordered = [roles["title"], *(name for name in others if name not in (roles["title"], roles["item_id"]))]
    columns = [_texts(frame, name) for name in ordered if name]
    joined = (". ".join(part.replace("|", ", ") for part in parts if part) for parts in zip(*columns, strict=True))
    return tuple(text[:LONGEST_DOCUMENT] for text in joined) if columns else ("",) * len(frame)


def _attributes(path: Path, log: Log, given: Mapping[str, str]) -> dict[str, NDArray[np.object_]]:
    """User attributes that form groups: at most MOST_GROUPS values."""
    frame = _read(path)
    frame.index = pd.Index(frame[_column(frame, path, "user_id", given)].astype(str))
    frame = frame[~frame.index.duplicated()].reindex(log.user_ids)
    groups = [name for name in frame.columns if frame[name].nunique() <= MOST_GROUPS and frame[name].notna().any()]
    return {str(name): np.array(_texts(frame, name), dtype=object) for name in groups}


def _sha256(paths: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*.parquet")) if path.is_dir() else [path]:
            found.update(file.read_bytes())
    return found.hexdigest()
