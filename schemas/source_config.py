"""The part of the configuration that users write: where their data is, and which of their columns are ours."""

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

ENTITIES = ("interactions", "items", "users", "feedback", "requests")
FeedbackKind = Literal[
    "impression",
    "click",
    "skip",
    "conversion",
    "dwell",
    "like",
    "dislike",
    "helpful",
    "unhelpful",
    "hide_item",
    "hide_theme",
    "comment",
]
FEEDBACK_KINDS: tuple[str, ...] = get_args(FeedbackKind)
"""What feedback may be. `value` of `dwell` is seconds; `detail` is a hidden theme, or a comment's words."""
DEMOGRAPHIC = frozenset(
    ("age", "birth", "birthday", "ethnicity", "gender", "income", "marital", "nationality", "race", "religion", "sex")
)
"""Words of attributes that say who a user is, not what the user likes: no list is ever made of them."""


def label(name: str) -> str:
    """What a source column is called in texts: RecBole's files write `name:type`."""
    return name.split(":", 1)[0]


class Section(BaseModel):
    """A frozen part of the configuration that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ColumnMapping(Section):
    """How one of our columns is read from a source column.

    In YAML a plain string is short for `{column: that string}`.
    """

    column: str = Field(description="Name of the source's column")
    unit: Literal["s", "ms", "us", "iso"] | None = Field(
        None, description="Timestamps: Unix seconds, milliseconds, microseconds, or ISO 8601 text (the default)"
    )
    split: str | None = Field(None, description="Lists: the separator inside the source's text")
    min: float | None = Field(None, description="Numbers: smaller values are quarantined")
    max: float | None = Field(None, description="Numbers: larger values are quarantined")


def _as_mapping(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


Mapped = Annotated[ColumnMapping, BeforeValidator(_as_mapping)]


class EntitySource(Section):
    """Where the rows of one entity are, and how they are encoded."""

    format: Literal["csv", "jsonl", "parquet", "delta"] = Field(description="tsv is csv with delimiter '\\t'")
    path: str = Field(description="File, folder, glob or URI; relative to the configuration file")
    delimiter: str = Field(",", min_length=1, description="csv: one or more characters")
    header: bool = Field(True, description="csv: the first line names the columns")
    names: tuple[str, ...] = Field((), description="csv without header: the columns' names in order")
    encoding: str = Field("utf-8", description="csv, jsonl: for example iso-8859-1")

    @model_validator(mode="after")
    def _names_for_headless_files(self) -> "EntitySource":
        if self.format == "csv" and not self.header and not self.names:
            raise ValueError("a csv without a header line needs 'names'")
        return self


class InteractionColumns(Section):
    """Our columns of `interactions`, read from the source's."""

    user_id: Mapped
    item_id: Mapped
    timestamp: Mapped
    rating: Mapped | None = None
    weight: Mapped | None = None
    event_type: Mapped | None = None
    review: Mapped | None = None


class ItemColumns(Section):
    """Our columns of `items`, read from the source's."""

    item_id: Mapped
    title: Mapped
    description: Mapped | None = None
    categories: Mapped | None = None


class UserColumns(Section):
    """Our columns of `users`, read from the source's."""

    user_id: Mapped


class FeedbackColumns(Section):
    """Our columns of `feedback`, read from the source's."""

    user_id: Mapped
    item_id: Mapped
    timestamp: Mapped
    kind: Mapped
    value: Mapped | None = None
    rank: Mapped | None = None
    detail: Mapped | None = None


class RequestColumns(Section):
    """Our columns of `requests`, read from the source's."""

    user_id: Mapped
    timestamp: Mapped
    text: Mapped


class InteractionSource(EntitySource):
    """Source of `interactions`."""

    columns: InteractionColumns


class ItemSource(EntitySource):
    """Source of `items`."""

    columns: ItemColumns
    text: tuple[Mapped, ...] = Field(
        (), description="Source columns that describe an item, in order; default: title, categories, description"
    )


class UserSource(EntitySource):
    """Source of `users`."""

    columns: UserColumns
    attributes: tuple[str, ...] = Field((), description="Source columns to keep as attributes")
    stated: tuple[str, ...] = Field(
        (), description="Those of the attributes in which users say what they like: favourite_genres"
    )

    @property
    def stated_fields(self) -> tuple[str, ...]:
        """What the table `users` calls the stated attributes."""
        return tuple(label(name) for name in self.stated)

    @model_validator(mode="after")
    def _stated_are_tastes_among_the_attributes(self) -> "UserSource":
        unknown = [name for name in self.stated if name not in self.attributes]
        if unknown:
            raise ValueError(f"'stated' names {unknown}, which 'attributes' does not")
        personal = [name for name in self.stated if DEMOGRAPHIC & set(re.split(r"[^a-z]+", label(name).lower()))]
        if personal:
            raise ValueError(f"'stated' names {personal}: who a user is decides no list, only what the user likes")
        return self


class FeedbackSource(EntitySource):
    """Source of `feedback`."""

    columns: FeedbackColumns
    kinds: dict[str, FeedbackKind] = Field(
        {"thumbs_up": "like", "thumbs_down": "dislike", "hide": "hide_item"},
        description="Your kinds of feedback: ours; a kind that is called as ours needs no entry",
    )

    @property
    def all_kinds(self) -> dict[str, str]:
        """Every kind that a row may have: what it is called here."""
        return {**{kind: kind for kind in FEEDBACK_KINDS}, **self.kinds}


class RequestSource(EntitySource):
    """Source of `requests`."""

    columns: RequestColumns


class Sources(Section):
    """The user's data: interactions and items are required."""

    name: str = Field(description="Short name of the data set, shown in reports")
    interactions: InteractionSource
    items: ItemSource
    users: UserSource | None = None
    feedback: FeedbackSource | None = None
    requests: RequestSource | None = None
