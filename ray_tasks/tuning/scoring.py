"""How sure a model is of yes: the difference of the log-probabilities of two one-token answers."""

import copy
from collections.abc import Sequence
from typing import Any

from ray_tasks.model_files import verify_model
from ray_tasks.tuning.next_item import NO, YES
from schemas.errors import ModelError

BATCH = 16


class YesNoScorer:
    """A causal language model from a folder, with what all prompts begin with read once."""

    def __init__(self, folder: str, prefix: str, threads: int) -> None:
        """Verify and load the model. Raises ModelError when its files are not in order, or an answer is two tokens."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.cache_utils import DynamicCache

        verify_model(folder)
        torch.set_num_threads(threads)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, dtype=torch.float32
        ).eval()
        self._answers = [self._token(YES), self._token(NO)]
        self._past: Any = DynamicCache(config=self._model.config)
        ids = self._ids(prefix)
        self._n_prefix = len(ids)
        with torch.inference_mode():
            self._model(torch.tensor([ids]), past_key_values=self._past, use_cache=True, logits_to_keep=1)

    def scores(self, prompts: Sequence[str]) -> list[float]:
        """log P(yes) - log P(no) of each prompt, in order."""
        ids = [self._ids(prompt) for prompt in prompts]
        order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
        found = [0.0] * len(ids)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            for at, score in zip(rows, self._block([ids[at] for at in rows]), strict=True):
                found[at] = score
        return found

    def _block(self, ids: list[list[int]]) -> list[float]:
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
        yes, no = (logits[:, token] for token in self._answers)
        return [float(score) for score in yes - no]

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)

    def _token(self, answer: str) -> int:
        ids = self._ids(answer)
        if len(ids) != 1:
            raise ModelError(f"the tokenizer spells the answer {answer!r} with {len(ids)} tokens; one is needed")
        return ids[0]
