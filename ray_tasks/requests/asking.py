"""Labels for words that no term names: the language model is asked, and may answer with labels of a short list only."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from ray_tasks.generation.protocol import Generator, Request
from ray_tasks.privacy.scrubbing import scrub
from ray_tasks.profiles.prompt_file import PromptFile
from ray_tasks.text import as_data

PROMPT = "request.v1"
CHARACTERS = 200
MOST = 3
"""Labels of one kind of answer."""


class Answer(BaseModel):
    """What the model says that a request asks for and refuses."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    include: tuple[str, ...]
    exclude: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """A request and the labels that its answer may name."""

    text: str
    labels: tuple[str, ...]

    @property
    def prompt(self) -> str:
        """What the model completes."""
        return f"Request: {as_data(scrub(self.text), CHARACTERS)}\nLabels: {', '.join(self.labels)}\nAnswer:"

    @property
    def schema(self) -> str:
        """JSON schema of the answer."""
        part = {"type": "array", "items": {"enum": list(self.labels)}, "maxItems": MOST}
        return json.dumps(
            {
                "type": "object",
                "properties": {"include": part, "exclude": part},
                "required": ["include", "exclude"],
                "additionalProperties": False,
            }
        )


def examples() -> str:
    """What precedes every question."""
    return PromptFile.load(PROMPT).prefix


def asked(questions: Sequence[Question], generator: Generator) -> list[Answer | None]:
    """The model's answer to each question; None where it gave none that its schema allows."""
    found = generator.generate([Request(one.prompt, one.schema) for one in questions])
    return [_answer(one.text, question.labels) for one, question in zip(found, questions, strict=True)]


def _answer(text: str, labels: Sequence[str]) -> Answer | None:
    try:
        answer = Answer.model_validate_json(text)
    except ValidationError:
        return None
    return answer if set(answer.include) | set(answer.exclude) <= set(labels) else None
