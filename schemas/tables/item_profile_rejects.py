"""Table `item_profile_rejects`."""

import pyarrow as pa

from schemas.table import Column, Table

ITEM_PROFILE_REJECTS = Table(
    name="item_profile_rejects",
    description="Outputs of the model for item profiles that were not accepted, with the reason",
    columns=(
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column("reason", pa.string(), "Which check failed, one term"),
        Column("output", pa.string(), "What the model wrote, cut at 2,000 characters"),
        Column("generation_key", pa.string(), "Key of the attempt"),
        Column("model", pa.string(), "Generator name"),
        Column("prompt_version", pa.string(), "Version of the prompt"),
        Column("generated_on", pa.date32(), "Night of the attempt"),
    ),
    key=("item_id",),
    may_be_empty=True,
)
