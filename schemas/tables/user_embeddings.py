"""Table `user_embeddings`."""

import pyarrow as pa

from schemas.table import Column, Table, one_of

USER_EMBEDDINGS = Table(
    name="user_embeddings",
    description="Unit vectors of users' profiles, and of what users said they like",
    columns=(
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column(
            "kind", pa.string(), "profile, or stated: the newest requests and the attributes in `source.users.stated`"
        ),
        Column("text_hash", pa.string(), "SHA-256 of encoder and text: unchanged texts are not encoded again"),
        Column("vector", pa.list_(pa.float32()), "Unit length", pii=True),
    ),
    key=(
        "user_id",
        "kind",
    ),
    expectations=(one_of("kind", "profile", "stated"),),
)
