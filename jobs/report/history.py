"""Earlier nights, from the summaries that their reports left in the lake."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from schemas.config import RunConfig
from schemas.errors import LakeError
from schemas.storage import list_files, read_text

Summary = Mapping[str, Any]


def read_summaries(lake: str) -> list[dict[str, Any]]:
    """All summaries below the lake, in no particular order; one that cannot be read is left out."""
    found = []
    for uri in list_files(f"{lake.rstrip('/')}/_runs", "/summary.json"):
        try:
            found.append(json.loads(read_text(uri)))
        except (LakeError, ValueError):
            continue  # a damaged summary of an old night is no reason to have no report of this one
    return found


def earlier_nights(summaries: Iterable[Summary], config: RunConfig, limit: int = 13) -> list[Summary]:
    """The newest run of each earlier night of the same source, oldest night first, at most `limit` nights."""
    nights: dict[str, Summary] = {}
    for summary in sorted(summaries, key=lambda s: (s.get("started_at") or "", s.get("run_id", ""))):
        if summary.get("source") == config.source.name and summary.get("run_date", "9") < config.night.isoformat():
            nights[summary["run_date"]] = summary
    return [nights[night] for night in sorted(nights)][-limit:]


def dig(summary: Summary, *path: str) -> float | None:
    """A figure inside a summary, None where the path does not lead to a number."""
    value: Any = summary
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
