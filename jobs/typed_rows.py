"""Source rows -> our columns plus `_reason` (null: taken in) and `_source` (the mapped source columns)."""

from datetime import datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F

from jobs.clean_text import clean_text, cut_at_word
from jobs.frames import instant
from jobs.quarantine import LATE, first_reason
from jobs.read_source import MALFORMED, quoted
from jobs.source_columns import mapped_columns, used_columns
from jobs.typed_values import as_instant, as_list, as_number, as_text, source_column
from schemas.source_config import (
    ColumnMapping,
    EntitySource,
    FeedbackSource,
    InteractionSource,
    ItemSource,
    RequestSource,
    UserSource,
    label,
)

Values = dict[str, Column]
"""Our column's name -> its value, in terms of the source's columns."""

REPLACEMENT = "\ufffd"
REVIEW = 4_000
"""Characters of a review that are kept."""

NUMBERS = ("rating", "weight", "value", "rank")
LOWEST = {"weight": 0.0, "rank": 1.0}
"""Numbers that the table's contract bounds, whatever the configuration says."""


def interactions(raw: DataFrame, source: InteractionSource, as_of: datetime) -> DataFrame:
    """Typed `interactions`; rows with unknown items and duplicates are not judged yet."""
    absent = {"rating": _null("double"), "weight": _null("double"), "event_type": _null("string")}
    values = {**absent, "review": _null("string"), **_values(raw, source)}
    judged = _judged(raw, source, values, as_of).withColumn("weight", F.coalesce("weight", F.lit(1.0)))
    if source.columns.review is None:
        return judged
    written = cut_at_word(clean_text(F.col("review")), REVIEW)
    return judged.withColumn("review", F.nullif(written, F.lit("")))


def items(raw: DataFrame, source: ItemSource) -> DataFrame:
    """Typed `items`; duplicates are not judged yet."""
    mapping = source.columns.categories
    categories = _list(raw, mapping) if mapping else F.array().cast("array<string>")
    values = {"description": _null("string"), **_values(raw, source), "categories": categories}
    return _judged(raw, source, {**values, "texts": _fields(raw, _text_fields(source))}, None)


def users(raw: DataFrame, source: UserSource) -> DataFrame:
    """Typed `users`; duplicates are not judged yet."""
    attributes = _fields(raw, [(label(name), ColumnMapping(column=name)) for name in source.attributes])
    return _judged(raw, source, {**_values(raw, source), "attributes": attributes}, None)


def feedback(raw: DataFrame, source: FeedbackSource, as_of: datetime) -> DataFrame:
    """Typed `feedback`; rows with unknown items and duplicates are not judged yet."""
    absent = {"value": _null("double"), "rank": _null("double"), "detail": _null("string")}
    judged = _judged(raw, source, {**absent, **_values(raw, source)}, as_of)
    ours = F.create_map(*[F.lit(name) for pair in source.all_kinds.items() for name in pair])
    unknown = F.when(F.col("kind").isNull(), F.lit("unknown_kind"))
    typed = judged.withColumn("kind", F.try_element_at(ours, F.col("kind"))).withColumn(
        "rank", F.col("rank").cast("int")
    )
    return typed.withColumn("_reason", F.coalesce("_reason", unknown))


def requests(raw: DataFrame, source: RequestSource, as_of: datetime) -> DataFrame:
    """Typed `requests`; duplicates are not judged yet."""
    return _judged(raw, source, _values(raw, source), as_of)


def without_unknown_items(judged: DataFrame, catalogue: DataFrame) -> DataFrame:
    """Give rows whose item is not among the catalogue's accepted rows their reason."""
    known = catalogue.where(F.col("_reason").isNull()).select("item_id", F.lit(True).alias("_known"))
    unknown = F.when(F.col("_known").isNull(), F.lit("unknown_item"))
    joined = judged.join(known, "item_id", "left")
    return joined.withColumn("_reason", F.coalesce("_reason", unknown)).drop("_known")


def without_duplicates(judged: DataFrame, key: tuple[str, ...], preference: tuple[Column, ...]) -> DataFrame:
    """Give all but the first accepted row of a key, by preference, their reason; ties go by the source row's hash."""
    hashable = "_source" if '"map"' not in judged.schema["_source"].dataType.json() else F.to_json("_source")
    order = Window.partitionBy("_accepted", *key).orderBy(*preference, F.xxhash64(hashable))
    numbers = judged.withColumn("_accepted", F.col("_reason").isNull()).withColumn("_copy", F.row_number().over(order))
    surplus = F.when(F.col("_accepted") & (F.col("_copy") > 1), F.lit("duplicate"))
    return numbers.withColumn("_reason", F.coalesce("_reason", surplus)).drop("_accepted", "_copy")


def _null(kind: str) -> Column:
    return F.lit(None).cast(kind)


def _values(raw: DataFrame, source: EntitySource) -> Values:
    """The mapped columns, each read as what its name says it is; lists are the caller's."""
    values: Values = {}
    for name, mapping in mapped_columns(source).items():
        column, kind = source_column(raw, mapping.column)
        if name == "timestamp":
            values[name] = as_instant(column, kind, mapping.unit)
        elif name in NUMBERS:
            values[name] = as_number(column, kind)
            values[f"_{name}_given"] = as_text(column, kind).isNotNull()
        elif name != "categories":
            values[name] = as_text(column, kind)
    return values


def _judged(raw: DataFrame, source: EntitySource, values: Values, as_of: datetime | None) -> DataFrame:
    """The values as columns, and the first reason not to take the row in."""
    whole = F.struct(*[F.col(quoted(name)) for name in used_columns(source)], F.col(MALFORMED))
    typed = raw.select(whole.alias("_source"), *[value.alias(name) for name, value in values.items()])
    checks = [("malformed", F.col(f"_source.{MALFORMED}").isNotNull())]
    for name, mapping in mapped_columns(source).items():
        if name == "timestamp":
            checks.append(("unparsable_timestamp", F.col(name).isNull()))
            checks.append((LATE, F.col(name) >= instant(as_of)) if as_of else ("malformed", F.lit(False)))
        elif name in NUMBERS:
            checks += _number_checks(name, mapping)
        elif name in ("user_id", "item_id", "title", "kind", "text"):
            checks += _text_checks(name)
    typed = typed.withColumn("_reason", first_reason(checks))
    return typed.drop(*[name for name in values if name.startswith("_")])


def _number_checks(name: str, mapping: ColumnMapping) -> list[tuple[str, Column]]:
    value = F.col(name)
    low = max(bound for bound in (mapping.min, LOWEST.get(name), float("-inf")) if bound is not None)
    high = mapping.max if mapping.max is not None else float("inf")
    outside = (value < low) | (value > high)
    return [(f"unparsable_{name}", F.col(f"_{name}_given") & value.isNull()), (f"{name}_out_of_range", outside)]


def _text_checks(name: str) -> list[tuple[str, Column]]:
    checks = [(f"null_{name}", F.col(name).isNull())]
    if name in ("user_id", "item_id", "title"):
        checks.append(("invalid_encoding", F.col(name).contains(REPLACEMENT)))
    return checks


def _list(raw: DataFrame, mapping: ColumnMapping) -> Column:
    return as_list(*source_column(raw, mapping.column), mapping.split)


def _text_fields(source: ItemSource) -> list[tuple[str, ColumnMapping]]:
    """Label and reading of the fields that describe an item; a column we map keeps our name and separator."""
    ours = {name: m for name, m in mapped_columns(source).items() if name != "item_id"}
    if not source.text:
        return [(name, ours[name]) for name in ("title", "categories", "description") if name in ours]
    named = {mapping.column: (name, mapping) for name, mapping in ours.items()}
    fields = []
    for field in source.text:
        name, mapping = named.get(field.column, (label(field.column), field))
        fields.append((name, field if field.split else mapping))
    return fields


def _fields(raw: DataFrame, fields: list[tuple[str, ColumnMapping]]) -> Column:
    """array<struct<field, text>> of the fields that are not empty; lists are joined by commas."""
    entries = []
    for name, mapping in fields:
        column, kind = source_column(raw, mapping.column)
        text = F.array_join(as_list(column, kind, mapping.split), ", ") if mapping.split else as_text(column, kind)
        entries.append(F.struct(F.lit(name).alias("field"), F.when(text != "", text).alias("text")))
    if not entries:
        return F.array().cast("array<struct<field:string,text:string>>")
    return F.filter(F.array(*entries), lambda entry: entry["text"].isNotNull())
