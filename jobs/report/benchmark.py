"""The newest ranking benchmark, prepared for the page. All pure.

`benchmark_evaluations` holds one figure of one model per row; the page shows NDCG@10 of every model on the headline's
catalogue of each protocol, and what Nightrec gains over each. All else is on the benchmark's own page.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

Row = Mapping[str, Any]

NIGHTREC = "nightrec"
METRIC, LIFT = "ndcg@10", "lift_over:"
HEADLINE = ("clean", "all")
"""Catalogues, that of the headline first: the first one that a protocol has is shown."""


def benchmark_view(published: tuple[date, Iterable[Row]] | None) -> dict[str, Any] | None:
    """A benchmark as the template shows it; None where none has been published or it is empty."""
    rows = [row for row in published[1] if row["slice"] == "all"] if published else []
    if not published or not rows:
        return None
    protocols = sorted({row["protocol"] for row in rows})
    panels = [_panel(protocol, [row for row in rows if row["protocol"] == protocol]) for protocol in protocols]
    return {"run_date": published[0].isoformat(), "panels": panels}


def _panel(protocol: str, rows: Sequence[Row]) -> dict[str, Any]:
    """One protocol: its models by NDCG@10, best first, each with Nightrec's lift over it."""
    catalogue = next(name for name in HEADLINE if any(row["catalogue"] == name for row in rows))
    own = [row for row in rows if row["catalogue"] == catalogue]
    lifts = {row["metric"].removeprefix(LIFT): row for row in own if row["metric"].startswith(LIFT)}
    ranked = sorted((row for row in own if row["metric"] == METRIC), key=lambda row: (-row["value"], row["model"]))
    top = max((row["value"] for row in ranked), default=0) or 1
    return {
        "protocol": protocol,
        "catalogue": catalogue,
        "users": max((row["n_users"] for row in ranked), default=0),
        "rows": [
            {
                "model": row["model"],
                "value": f"{row['value']:.4f}",
                "share": row["value"] / top,
                "kind": "ranker" if row["model"] == NIGHTREC else "plain",
                "lift": _lift(lifts.get(row["model"])),
            }
            for row in ranked
        ],
    }


def _lift(row: Row | None) -> dict[str, str] | None:
    if row is None:
        return None
    known = row["low"] is not None and row["high"] is not None
    return {"value": f"{row['value']:+.1%}", "interval": f"{row['low']:+.1%} to {row['high']:+.1%}" if known else ""}
