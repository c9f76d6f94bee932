"""Table `users`."""

import pyarrow as pa

from schemas.table import Column, Table

USERS = Table(
    name="users",
    description="Users that the source describes, one row per user",
    columns=(
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column(
            "attributes",
            pa.list_(pa.struct([("field", pa.string()), ("text", pa.string())])),
            "Attributes that the configuration names",
            pii=True,
        ),
    ),
    key=("user_id",),
    may_be_empty=True,
)
