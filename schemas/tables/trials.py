"""What tables of trials share: a figure of one arm of a comparison, in long form."""

import pyarrow as pa

from schemas.table import Column, Table, between, one_of

COLUMNS = (
    Column("trial", pa.string(), "What was compared: tuning or shadow"),
    Column("arm", pa.string(), "Which way of writing: template, prompting, lora, champion, candidate, ..."),
    Column("model", pa.string(), "Generator name; null for a template", nullable=True),
    Column("revision", pa.string(), "SHA-256 that names the weights; null for a template", nullable=True),
    Column("prompt_version", pa.string(), "Version of the prompt; null for a template", nullable=True),
    Column("kind", pa.string(), "item or user: what was written about"),
    Column("task", pa.string(), "What was asked: labels, next_item, profile, or training"),
    Column("metric", pa.string(), "micro_f1, auc, validity, grounding, seconds_per_answer, ..."),
    Column("value", pa.float64(), "The figure"),
    Column("low", pa.float64(), "Lower end of its bootstrap 95% interval, where there is one", nullable=True),
    Column("high", pa.float64(), "Upper end", nullable=True),
    Column("n", pa.int64(), "Rows that it is taken over"),
    Column("note", pa.string(), "What a reader must know about it", nullable=True),
)


def trials_table(trial: str, description: str) -> Table:
    """The table of one kind of trial."""
    return Table(
        name=f"{trial}_trials",
        description=description,
        columns=COLUMNS,
        key=("trial", "arm", "kind", "task", "metric"),
        may_be_empty=True,
        expectations=(
            one_of("trial", trial),
            one_of("kind", "item", "user"),
            between("n", 0),
        ),
    )
