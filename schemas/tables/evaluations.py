"""Table `evaluations`."""

import pyarrow as pa

from schemas.table import Column, Table, between

EVALUATIONS = Table(
    name="evaluations",
    description="Offline metrics by model and slice",
    columns=(
        Column("model", pa.string(), "ranker, or a baseline's name"),
        Column(
            "protocol",
            pa.string(),
            "time_split: train, validation and test by time; full catalogue, seen items removed",
        ),
        Column("slice", pa.string(), "all, warm_users, new_users, warm_items or new_items"),
        Column("metric", pa.string(), "ndcg@10, recall@20 or coverage@10"),
        Column("value", pa.float64(), "Mean over users (coverage: share of the catalogue)"),
        Column("n_users", pa.int64(), "Users in the mean"),
    ),
    key=(
        "model",
        "protocol",
        "slice",
        "metric",
    ),
    may_be_empty=True,
    expectations=(between("value", 0, 1),),
)
