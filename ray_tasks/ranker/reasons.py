"""Why the ranker puts an item first, on a few examples. They are numbered: who they are stays in the lake."""

from typing import Any

from ray_tasks.interactions.rows import Ints
from ray_tasks.ranker.features import Lists
from ray_tasks.ranker.gate import ServingModel

EXAMPLES = 5
"""Users whose first place is explained."""
Example = dict[str, Any]
"""`example` (from 1), `item_id`, `reasons`: by how much each of the strongest features moved the trees' score."""


def examples(model: ServingModel, lists: Lists, rows: Ints) -> list[Example]:
    """SHAP values of some rows, in their order; none where no trees serve."""
    if model.decision.serving != "ranker" or not model.ranker.models:
        return []
    items = lists.table["item_id"].take(rows).to_pylist()
    reasons = model.ranker.reasons(lists, rows)
    return [{"example": n, "item_id": i, "reasons": r} for n, (i, r) in enumerate(zip(items, reasons, strict=True), 1)]
