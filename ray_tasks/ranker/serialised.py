"""A serving model as files: JSON and LightGBM's text form. Nothing is pickled, so that opening one runs no code."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ray_tasks.ranker.calibration import Calibration
from ray_tasks.ranker.gate import Decision, ServingModel
from ray_tasks.ranker.trees import Ranker
from schemas.errors import ModelError

FORMAT = 1
"""Changes when older files can no longer be read."""
MODEL = "model.json"


def to_files(model: ServingModel) -> dict[str, str]:
    """Contents by file name: everything but the trees as JSON, and the trees of each booster."""
    document = asdict(model)
    trees = document["ranker"].pop("models")
    named = {f"trees-{number}.txt": text for number, text in enumerate(trees)}
    return {MODEL: json.dumps({"format": FORMAT, "boosters": len(trees), **document}, indent=1), **named}


def from_files(files: Mapping[str, str]) -> ServingModel:
    """The model of `to_files`. Raises ModelError when a file is missing or says something else."""
    try:
        document = json.loads(files[MODEL])
        if document["format"] != FORMAT:
            raise ModelError(f"{MODEL} has format {document['format']}, this version of nightrec reads {FORMAT}")
        trees = tuple(files[f"trees-{number}.txt"] for number in range(document["boosters"]))
        return ServingModel(
            Ranker(models=trees, **_tuples(document["ranker"])),
            Decision(**document["decision"]),
            Calibration(**_tuples(document["calibration"])),
            document["folds_by_id"],
        )
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ModelError(f"these are not the files of a ranker: {type(error).__name__} {error}") from error


def digest_of(files: Mapping[str, str]) -> str:
    """SHA-256 of all files: equal for equal models."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _tuples(document: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows lists only; our dataclasses hold tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in document.items()}
