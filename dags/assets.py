"""Delta tables as Airflow Assets, and what a task published as metadata of their events."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from airflow.sdk import Asset, Context

from schemas.tables import TABLES


def asset(table: str) -> Asset:
    """The Asset of a table. Its URI names the table and not the lake, which is only known when a night runs."""
    contract = TABLES[table]
    return Asset(
        name=table,
        # Airflow leaves URIs alone whose scheme begins with x-.
        uri=f"x-nightrec://lake/{table}",
        group="nightrec",
        extra={"description": contract.description, "owner": contract.owner, "key": list(contract.key)},
    )


def attach_metadata(context: Context, run_date: date, outputs: Mapping[str, Mapping[str, Any]]) -> None:
    """Add rows, version, content hash and night to the events of the Assets that the task publishes.

    `outputs` is what the task's record says: table -> rows, version, content_hash, changed.
    """
    for table, published in outputs.items():
        event = context["outlet_events"][asset(table)]
        event.extra = {"run_date": run_date.isoformat(), **published}
