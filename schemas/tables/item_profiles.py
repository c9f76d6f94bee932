"""Table `item_profiles`."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Column, Table
from schemas.tables.generation import ORIGIN, PROFILE_EXPECTATIONS, evidence_column, sentence
from schemas.tables.item_reviews import ASPECT

ITEM_PROFILES = Table(
    name="item_profiles",
    description="What an item is and for whom, one row per item",
    columns=(
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column("as_of", TIMESTAMP, "Built only from what was known before this instant"),
        Column("summary", pa.string(), "One sentence"),
        Column("audience", pa.string(), "Who it is for, by interest; never by age, gender or another protected trait"),
        Column("themes", pa.list_(pa.string()), "Themes of the vocabulary, most fitting first, at most 4"),
        Column("moods", pa.list_(pa.string()), "Moods of the vocabulary, most fitting first, at most 4"),
        Column("aspects", pa.list_(ASPECT), "What reviews of the training period judge, with sentiment and support"),
        evidence_column(),
        *ORIGIN,
    ),
    key=("item_id",),
    expectations=(*PROFILE_EXPECTATIONS, sentence("summary"), sentence("audience")),
)
