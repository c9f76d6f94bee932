"""Table `benchmark_evaluations`."""

import pyarrow as pa

from schemas.table import Column, Table, between, one_of

BENCHMARK_EVALUATIONS = Table(
    name="benchmark_evaluations",
    description="The ranking benchmark on a published night: every model's metrics, and what Nightrec gains over each",
    columns=(
        Column("model", pa.string(), "nightrec, a part or variant of it, or a baseline; of a lift: nightrec"),
        Column("protocol", pa.string(), "p1: all users cut at one moment; p2: each user's last item left out"),
        Column("catalogue", pa.string(), "all items, or clean: those with five interactions or more in the history"),
        Column("slice", pa.string(), "all, or a part of users or items, as new_users, warm_items or 1-5_items"),
        Column(
            "metric",
            pa.string(),
            "ndcg@10, recall@20, ...; or lift_over:<model>, the relative difference of the mean NDCG@10 to that model",
        ),
        Column("value", pa.float64(), "Mean over users (coverage: share of the catalogue), or the lift"),
        Column("low", pa.float64(), "Lower end of its bootstrap 95% interval, where there is one", nullable=True),
        Column("high", pa.float64(), "Upper end", nullable=True),
        Column("p_value", pa.float64(), "Of a lift over a baseline: two-sided, corrected by Holm", nullable=True),
        Column("n_users", pa.int64(), "Users in the mean"),
    ),
    key=("model", "protocol", "catalogue", "slice", "metric"),
    may_be_empty=True,
    expectations=(
        one_of("protocol", "p1", "p2"),
        one_of("catalogue", "all", "clean"),
        between("p_value", 0, 1),
        between("n_users", 0),
    ),
)
