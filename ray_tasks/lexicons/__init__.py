"""Word lists that ship with Nightrec, one YAML file each: what counts as a mood, as personal, as grounded."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml


def load(name: str) -> Any:
    """What a file says."""
    return yaml.safe_load((files(__name__) / f"{name}.yaml").read_text(encoding="utf-8"))


@cache
def lexicon(name: str) -> dict[str, tuple[str, ...]]:
    """A list of labels: label -> terms, the label one of them."""
    return {label: tuple(dict.fromkeys((label, *terms))) for label, terms in load(name).items()}
