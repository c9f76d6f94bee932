"""How likely a model begins its answer with each of some one-token answers."""

import copy
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ray_tasks.interactions.rows import Floats, steady
from ray_tasks.model_files import verify_model
from schemas.errors import ModelError

BATCH = 8


class AnswerScorer(Protocol):
    """Reads a prompt and says how likely each answer follows. Deterministic."""

    def tokens(self, text: str) -> int:
        """Tokens of a text."""
        ...

    def log_probabilities(self, prefix: str, prompts: Sequence[str], answers: Sequence[str]) -> Floats:
        """log P(answer | prefix + prompt), natural, (prompts, answers). Raises ModelError for an answer of two tokens.

        What all prompts begin with, `prefix`, is read once.
        """
        ...


class FirstTokenScorer:
    """A causal language model from a folder: an AnswerScorer that keeps the latest prefix."""

    def __init__(self, folder: str, threads: int) -> None:
        """Verify and load the model. Raises ModelError when its files are not in order."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        verify_model(folder)
        torch.set_num_threads(threads)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, dtype=torch.float32
        ).eval()
        self._prefix: str | None = None
        self._past: Any = None

    def tokens(self, text: str) -> int:
        """See AnswerScorer."""
        return len(self._ids(text))

    def log_probabilities(self, prefix: str, prompts: Sequence[str], answers: Sequence[str]) -> Floats:
        """See AnswerScorer. Prompts are read in batches of like length."""
        wanted = [self._token(answer) for answer in answers]
        self._read(prefix)
        ids = [self._ids(prompt) for prompt in prompts]
        order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
        found = np.zeros((len(ids), len(wanted)))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            found[rows] = steady(self._block([ids[at] for at in rows], wanted))
        return found

    def _block(self, ids: list[list[int]], wanted: list[int]) -> Any:
        import torch

        longest = max(map(len, ids))
        past = copy.deepcopy(self._past)
        past.batch_repeat_interleave(len(ids))
        padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
        last = torch.tensor([len(row) - 1 for row in ids])
        with torch.inference_mode():
            # Padding at the right: no token that counts can see it.
            hidden = self._model.model(padded, past_key_values=past, use_cache=True).last_hidden_state
            logits = self._model.lm_head(hidden[torch.arange(len(ids)), last])
            return torch.log_softmax(logits, dim=-1)[:, wanted].numpy()

    def _read(self, prefix: str) -> None:
        """Keep what the model computes for a prefix."""
        import torch
        from transformers.cache_utils import DynamicCache

        if prefix == self._prefix:
            return
        past: Any = DynamicCache(config=self._model.config)
        with torch.inference_mode():
            self._model(torch.tensor([self._ids(prefix)]), past_key_values=past, use_cache=True, logits_to_keep=1)
        self._prefix, self._past = prefix, past

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)

    def _token(self, answer: str) -> int:
        ids = self._ids(answer)
        if len(ids) != 1:
            raise ModelError(f"the tokenizer spells the answer {answer!r} with {len(ids)} tokens; one is needed")
        return ids[0]
