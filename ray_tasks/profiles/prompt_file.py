"""A prompt as a versioned file: an instruction and examples, shared by all prompts of a version."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from ray_tasks.evidence.pieces import Evidence
from ray_tasks.text import words
from schemas.errors import ConfigError


@dataclass(frozen=True)
class PromptFile:
    """An instruction and examples, separated by blank lines; `version` is the file's name without `.txt`."""

    version: str
    text: str

    @classmethod
    def load(cls, version: str) -> "PromptFile":
        """The file of a version, as shipped with the package. Raises ConfigError when there is none."""
        folder = files("ray_tasks") / "prompts"
        try:
            return cls(version, (folder / f"{version}.txt").read_text(encoding="utf-8").strip())
        except FileNotFoundError as error:
            known = sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".txt"))
            raise ConfigError("generator", [f"no prompt {version!r}; there are {', '.join(known)}"]) from error

    @property
    def prefix(self) -> str:
        """What every prompt begins with."""
        return f"{self.text}\n\n"

    @property
    def digest(self) -> str:
        """SHA-256 of the text: an edited file is another prompt, even under its old name."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def shots(self) -> tuple[str, ...]:
        """The examples, without the instruction."""
        return tuple(self.text.split("\n\n")[1:])

    @cached_property
    def own_words(self) -> frozenset[str]:
        """Words of exactly one example: its content, which another profile must not copy."""
        counts = Counter(word for shot in self.shots for word in set(words(shot)))
        return frozenset(word for word, shots in counts.items() if shots == 1 and len(word) > 3)

    @cached_property
    def answer_mark(self) -> str:
        """What stands before every answer: as the examples have it, else `Profile:`."""
        mark, has_answer, _ = self.text.rpartition("\n")[2].partition("{")
        return mark if has_answer else "Profile:"

    def prompt(self, evidence: Evidence) -> str:
        """The text that the model completes after `prefix`."""
        return f"{evidence.text}\n{self.answer_mark}"
