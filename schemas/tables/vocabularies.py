"""Table `vocabularies`."""

import pyarrow as pa

from schemas.table import Column, Expect, Table, between, one_of

VOCABULARIES = Table(
    name="vocabularies",
    description="The closed sets of labels that profiles may use, one row per label",
    columns=(
        Column("kind", pa.string(), "theme, mood or aspect"),
        Column("label", pa.string(), "The label, lower case"),
        Column("terms", pa.list_(pa.string()), "Words in texts and categories that speak for it, the label included"),
        Column("n_items", pa.int64(), "Items whose text or categories speak for it; for aspects, reviews"),
        Column("origin", pa.string(), "category, term, lexicon, review or user"),
        Column("version", pa.string(), "SHA-256 of all labels and their terms, the same in every row"),
    ),
    key=("kind", "label"),
    may_be_empty=True,
    expectations=(
        one_of("kind", "theme", "mood", "aspect"),
        one_of("origin", "category", "term", "lexicon", "review", "user"),
        between("n_items", 0),
        Expect("ExpectColumnValueLengthsToBeBetween", column="label", min_value=1, max_value=40),
    ),
)
