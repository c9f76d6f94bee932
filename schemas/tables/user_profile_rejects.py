"""Table `user_profile_rejects`."""

import pyarrow as pa

from schemas.table import Column, Table
from schemas.tables.generation import reject_columns

USER_PROFILE_REJECTS = Table(
    name="user_profile_rejects",
    description="Outputs of the model for user profiles that were not accepted, one row per attempt",
    columns=(
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        *reject_columns(pii=True),
    ),
    key=("user_id", "attempt"),
    may_be_empty=True,
)
