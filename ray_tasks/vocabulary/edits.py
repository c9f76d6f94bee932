"""The user's vocabulary file: labels that are added, renamed and removed (docs/adr/0014)."""

from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ray_tasks.vocabulary.labels import Label
from schemas.errors import ConfigError, LakeError
from schemas.storage import read_text

SHORTEST, LONGEST = 2, 40
"""Characters of a label."""


def _tidy(text: str) -> str:
    label = " ".join(text.lower().split())
    if not (SHORTEST <= len(label) <= LONGEST and any(map(str.isalpha, label))):
        raise ValueError(f"a label has {SHORTEST} to {LONGEST} characters, a letter among them")
    return label


Tidy = Annotated[str, AfterValidator(_tidy)]


class KindEdits(BaseModel):
    """Edits of one kind of labels."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    add: dict[Tidy, list[str] | None] = Field({}, description="Label -> terms that speak for it besides itself")
    rename: dict[Tidy, Tidy] = Field({}, description="Induced label -> its new name; the old one stays a term")
    remove: list[Tidy] = Field([], description="Induced labels that no profile may use")

    @model_validator(mode="after")
    def _one_wish_per_label(self) -> "KindEdits":
        contradicted = (set(self.add) | set(self.rename) | set(self.rename.values())) & set(self.remove)
        if contradicted:
            raise ValueError(f"both kept and removed: {', '.join(sorted(contradicted))}")
        return self

    def applied(self, labels: list[Label]) -> list[Label]:
        """Labels of this kind, the best first, after removals and renamings; equal names become one label."""
        merged: dict[str, Label] = {}
        for one in labels:
            name = self.rename.get(one.label, one.label)
            if one.label not in self.remove:
                merged[name] = _joined(merged.get(name), one, name)
        return list(merged.values())

    def known(self, labels: set[str]) -> set[str]:
        """Labels of an earlier night by the names that they are induced by."""
        return labels | {old for old, new in self.rename.items() if new in labels}


def _joined(first: Label | None, second: Label, name: str) -> Label:
    if first is None:
        return Label(second.kind, name, tuple(dict.fromkeys((name, *second.terms))), second.n_items, second.origin)
    terms = tuple(dict.fromkeys((*first.terms, *second.terms)))
    return Label(first.kind, name, terms, max(first.n_items, second.n_items), first.origin)


class Edits(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    themes: KindEdits = KindEdits()
    moods: KindEdits = KindEdits()
    aspects: KindEdits = KindEdits()

    def of(self, kind: str) -> KindEdits:
        """Edits of `theme`, `mood` or `aspect`."""
        return {"theme": self.themes, "mood": self.moods, "aspect": self.aspects}[kind]


def read_edits(path: str) -> Edits:
    """Read the user's file. Raises ConfigError naming the file and everything in it that is not understood."""
    try:
        found: Any = yaml.safe_load(read_text(path))
    except LakeError as error:
        raise ConfigError(path, [f"vocabulary.path: {error}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(path, [f"not readable as YAML: {error}"]) from error
    if not isinstance(found, dict | None):
        wanted = "expected a mapping with themes, moods or aspects at the top"
        raise ConfigError(path, [f"{wanted}, found {type(found).__name__}"])
    try:
        return Edits.model_validate(found or {})
    except ValidationError as error:
        raise ConfigError(path, [_explained(problem) for problem in error.errors()]) from error


def _explained(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    if problem["type"] == "extra_forbidden":
        known = Edits.model_fields if len(problem["loc"]) == 1 else KindEdits.model_fields
        return f"{place}: unknown; known are {', '.join(known)}"
    return f"{place}: {problem['msg']}; found {problem['input']!r}"
