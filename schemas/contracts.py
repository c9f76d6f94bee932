"""From a table's declaration to a Great Expectations suite, and the audit of staged rows with it.

Great Expectations takes seconds to import: only processes that audit import this module.
"""

import os
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
from great_expectations.data_context.types.base import ProgressBarsConfig

from schemas.table import Expect, Table


def expectations(table: Table) -> list[Expect]:
    """All expectations of a table: not-null columns and the unique key, then its own."""
    not_null = [Expect("ExpectColumnValuesToNotBeNull", column=c.name) for c in table.columns if not c.nullable]
    if len(table.key) == 1:
        unique = Expect("ExpectColumnValuesToBeUnique", column=table.key[0])
    else:
        unique = Expect("ExpectCompoundColumnsToBeUnique", column_list=list(table.key))
    rows = [] if table.may_be_empty else [Expect("ExpectTableRowCountToBeBetween", min_value=1)]
    return [*rows, *not_null, unique, *table.expectations]


def audit(table: Table, frame: Any) -> list[str]:
    """Validate a pandas or Spark DataFrame of staged rows; returns the failures in words, empty if none.

    Results hold counts only, never values: rows may be personal data.
    """
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources
    is_pandas = type(frame).__module__.startswith("pandas")
    asset = (source.add_pandas("staged") if is_pandas else source.add_spark("staged")).add_dataframe_asset(table.name)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(table.name)
    for expect in expectations(table):
        suite.add_expectation(getattr(gx.expectations, expect.kind)(**expect.arguments))
    outcome = batch.validate(suite, result_format="BOOLEAN_ONLY" if frame_is_empty(frame) else "SUMMARY")
    return [_describe(result) for result in outcome.results if not result.success]


def frame_is_empty(frame: Any) -> bool:
    """True for a DataFrame without rows, of either engine."""
    return bool(frame.empty) if hasattr(frame, "empty") else bool(frame.isEmpty())


def _describe(result: Any) -> str:
    config = result.expectation_config
    arguments = {k: v for k, v in config.kwargs.items() if k not in ("batch_id", "result_format")}
    found = result.result or {}
    count = found.get("unexpected_count", found.get("observed_value", "?"))
    trouble = (result.exception_info or {}).get("exception_message")
    detail = f"raised {trouble}" if trouble else f"unexpected: {count} of {found.get('element_count', '?')} rows"
    return f"{config.type} {arguments}: {detail}"
