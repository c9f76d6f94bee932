"""Table `evaluations`."""

import pyarrow as pa

from schemas.table import Column, Table, between

EVALUATIONS = Table(
    name="evaluations",
    description="Offline metrics by model and slice",
    columns=(
        Column("model", pa.string(), "ranker, or a baseline's name; off_policy: ranker or challenger"),
        Column(
            "protocol",
            pa.string(),
            "time_split: train, validation and test by time; full catalogue, seen items removed. off_policy: clicks on "
            "lists of the last 28 nights whose order was drawn, weighed as the order of ranker or challenger has them",
        ),
        Column("slice", pa.string(), "all, warm_users, new_users, warm_items or new_items"),
        Column(
            "metric",
            pa.string(),
            "ndcg@10, recall@20 or coverage@10; off_policy: click_rate_logged as it was, _ips by inverse propensity, "
            "_snips normalised, _dr doubly robust",
        ),
        Column("value", pa.float64(), "Mean over users (coverage: share of the catalogue; click rates: per place)"),
        Column("n_users", pa.int64(), "Users in the mean"),
        Column("low", pa.float64(), "Lower end of the 95% interval between users; off_policy alone", nullable=True),
        Column("high", pa.float64(), "Upper end", nullable=True),
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
