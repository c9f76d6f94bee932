"""Parts of a ranking benchmark's result whose shape is not fixed, as rows, tables and trade-offs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ray_tasks.benchmark.report.figures import METRIC
from ray_tasks.benchmark.report.words import cell, finite, label


def records(found: Any, path: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Rows of a part whose shape is not fixed: mappings by name, or lists of rows. `name` tells where a row was."""
    if isinstance(found, list | tuple):
        return [row for one in found if isinstance(one, Mapping) for row in records(one, path)]
    own = {key: value for key, value in found.items() if not _holds_rows(value) and not _is_series(value)}
    deeper = [row for key, value in found.items() if _holds_rows(value) for row in records(value, [*path, key])]
    named = {"name": ", ".join(path)} if path else {}
    return ([{**named, **own}] if own else []) + deeper


def record_table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`columns` and `rows` of texts; the first column names the row."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    texts = [[cell(row.get(c), c) if c in row else "" for c in columns] for row in rows]
    return {"columns": columns, "rows": [[label(first), *others] for first, *others in texts]}


def row_name(row: Mapping[str, Any]) -> str:
    """What a row is called: its first text, or its first value with the value's name."""
    text = next((value for value in row.values() if isinstance(value, str)), "")
    return text or next((f"{label(key)} {cell(value, key)}" for key, value in row.items()), "")


def trade_off(rows: Iterable[Mapping[str, Any]]) -> tuple[str, list[tuple[float, float, str]]]:
    """Diversity against NDCG@10 of final lists: the name of the first axis, and points."""
    rows = list(rows)
    across = next(
        (key for row in rows for key in row if key.startswith("diversity") and key != "diversity"), "diversity"
    )
    points = []
    for row in rows:
        x, y = finite(row.get(across)), finite(row.get(METRIC, row.get("ndcg10")))
        if x is not None and y is not None:
            points.append((x, y, row_name(row)))
    return across, points


def _holds_rows(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "value" not in value
    return isinstance(value, list) and any(isinstance(one, Mapping) for one in value)


def _is_series(value: Any) -> bool:
    """Many numbers, which no cell of a table can show."""
    return isinstance(value, list) and len(value) != 2 and all(finite(one) is not None for one in value)
