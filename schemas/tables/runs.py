"""Table `runs`."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Column, Table

RUNS = Table(
    name="runs",
    description="The manifest: which version of which table belongs to a night. The newest row of a run_date counts",
    columns=(
        Column("run_id", pa.string(), "Airflow run that published it"),
        Column("sequence", pa.int64(), "Grows with each row of the table"),
        Column("published_at", TIMESTAMP, "When"),
        Column("config_hash", pa.string(), "SHA-256 of the configuration"),
        Column("code_version", pa.string(), "Version of the code, and a digest of its source"),
        Column(
            "tables",
            pa.list_(
                pa.struct(
                    [
                        ("table", pa.string()),
                        ("version", pa.int64()),
                        ("rows", pa.int64()),
                        ("content_hash", pa.string()),
                    ]
                )
            ),
            "Every table of the night",
        ),
    ),
    key=("sequence",),
)
