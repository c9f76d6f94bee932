"""Table `recommendations`."""

import pyarrow as pa

from schemas.table import Column, Table, between

RECOMMENDATIONS = Table(
    name="recommendations",
    description="The list for each user: what consumers read",
    columns=(
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("rank", pa.int32(), "From 1"),
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column("score", pa.float64(), "Ranker's score; higher is better, comparable within a user only"),
        Column(
            "probability",
            pa.float64(),
            "Calibrated chance that a user who takes anything new takes the item, within a time as long as the "
            "validation window; null for users without a history, pinned items, and where nothing was learnt",
            nullable=True,
        ),
        Column("arm", pa.string(), "Experiment arm"),
        Column(
            "sources",
            pa.list_(pa.string()),
            "Candidate sources that proposed the item; first the one without which its score would lose most",
        ),
        Column("ranker_rank", pa.int32(), "Place in the list's own order; another one than `rank` where it was drawn"),
        Column(
            "propensity",
            pa.float64(),
            "Chance that the item stands at this place: 1, or one over the list's length where the order was drawn",
        ),
        Column(
            "challenger_rank",
            pa.int32(),
            "In a drawn list, the item's place among these by the ranker that tonight's election kept from serving",
            nullable=True,
        ),
    ),
    key=(
        "user_id",
        "rank",
    ),
    expectations=(between("rank", 1), between("probability", 0, 1), between("propensity", 0, 1)),
)
