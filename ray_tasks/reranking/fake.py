"""An answer scorer without a model, for tests: a function of prompt and answer stands for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ray_tasks.interactions.rows import Floats


@dataclass(frozen=True)
class FakeAnswerScorer:
    """Scores by a rule; a token is a word. Keeps in `asked` every prefix and prompt that it was given."""

    rule: Callable[[str, str], float]
    asked: list[tuple[str, str]] = field(default_factory=list)

    def tokens(self, text: str) -> int:
        """See AnswerScorer."""
        return len(text.split())

    def log_probabilities(self, prefix: str, prompts: Sequence[str], answers: Sequence[str]) -> Floats:
        """See AnswerScorer: log-softmax of the rule's values over the answers."""
        self.asked.extend((prefix, prompt) for prompt in prompts)
        values = np.array([[self.rule(prompt, answer) for answer in answers] for prompt in prompts], dtype=float)
        values = values.reshape(len(prompts), len(answers))
        return values - np.log(np.exp(values).sum(axis=1, keepdims=True))
