"""A causal language model on CPU through transformers: batched greedy decoding after shared examples.

The examples are read once per process and their keys and values reused by every batch, which makes a prompt cost
only its own tokens. Rows leave the batch as soon as they are finished.
"""

import copy
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from ray_tasks.generation.protocol import Generation, Prompt, TokenCounter
from ray_tasks.model_files import verify_model
from schemas.errors import ModelError

LOOP = 10
"""So many tokens with at most three different ones among them are a loop: the row ends."""

FUNCTION_WORDS = frozenset(("and", "are", "enjoy", "for", "from", "its", "that", "the", "their", "this", "who", "with"))
"""Words of more than two letters that a line may hold twice."""


def token_counter(folder: str) -> TokenCounter:
    """Count tokens with the model's tokenizer alone, which loads in a fraction of a second."""
    from tokenizers import Tokenizer

    from ray_tasks.model_files import model_revision

    model_revision(folder)  # says what is wrong when the folder is not there
    try:
        tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    except Exception as error:
        raise ModelError(f"cannot load the tokenizer in {folder}: {error}. Run `make assets`.") from error
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


class TransformersGenerator:
    """Loads safetensors from a folder and completes prompts greedily until a blank line."""

    def __init__(self, folder: str, examples: str, max_new_tokens: int, threads: int) -> None:
        """Verify and load the model, and read the examples. Raises ModelError when files are not in order."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.cache_utils import DynamicCache

        verify_model(folder)
        torch.set_num_threads(threads)
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model: Any = AutoModelForCausalLM.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, dtype=torch.float32
            ).eval()
        except Exception as error:
            raise ModelError(f"cannot load the model in {folder}: {error}. Run `make assets`.") from error
        self._max_new_tokens = max_new_tokens
        self._examples: Any = DynamicCache(config=self._model.config)
        ids = self._ids(examples)
        self._n_examples = len(ids)
        with torch.inference_mode():
            self._model(torch.tensor([ids]), past_key_values=self._examples, use_cache=True, logits_to_keep=1)
        self._single_tokens = cache(self._find_single_tokens)
        self._word = cache(lambda token: str(self._tokenizer.decode([token])).strip(" ").lower())

    def generate(self, prompts: Sequence[Prompt]) -> list[Generation]:
        """Complete a batch of prompts; the fastest batches have prompts of similar length."""
        import torch

        ids = [self._ids(prompt.text) for prompt in prompts]
        with torch.inference_mode():
            written = self._decode(ids, [self._banned(prompt.avoid) for prompt in prompts]) if ids else []
        return [
            Generation(self._text(output), len(read), len(output)) for read, output in zip(ids, written, strict=True)
        ]

    def _decode(self, ids: list[list[int]], banned: list[list[int]]) -> list[list[int]]:
        """Greedy decoding; the padding lies between the examples and each prompt, masked out."""
        import torch

        longest = max(map(len, ids))
        pad = [longest - len(row) for row in ids]
        mask = torch.tensor([[1] * self._n_examples + [0] * p + [1] * (longest - p) for p in pad])
        position = (mask.cumsum(-1) - 1)[:, self._n_examples :].clamp(min=0)
        read = torch.tensor([[self._tokenizer.pad_token_id] * p + row for p, row in zip(pad, ids, strict=True)])
        past = copy.deepcopy(self._examples)
        past.batch_repeat_interleave(len(ids))
        never = _penalty(banned, self._model.config.vocab_size)
        written: list[list[int]] = [[] for _ in ids]
        alive = list(range(len(ids)))
        for _ in range(self._max_new_tokens):
            logits = self._model(
                read, attention_mask=mask, position_ids=position, past_key_values=past, use_cache=True, logits_to_keep=1
            ).logits[:, -1]
            chosen = self._no_repeats(logits + never, [written[row] for row in alive]).argmax(-1)
            for row, token in zip(alive, chosen.tolist(), strict=True):
                written[row].append(token)
            keep = [place for place, row in enumerate(alive) if not self._is_finished(written[row])]
            if not keep:
                break
            if len(keep) < len(alive):
                kept = torch.tensor(keep)
                past.batch_select_indices(kept)
                chosen, mask, position, never = chosen[kept], mask[kept], position[kept], never[kept]
                alive = [alive[place] for place in keep]
            read, position = chosen[:, None], position[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=1)
        return written

    def _no_repeats(self, logits: Any, written: list[list[int]]) -> Any:
        """Forbid words that the line has already: small models fall into loops of them."""
        for row, tokens in enumerate(written):
            for token in reversed(tokens):
                word = self._word(token)
                if "\n" in word:
                    break
                if len(word) > 2 and word not in FUNCTION_WORDS:
                    logits[row, token] = float("-inf")
        return logits

    def _is_finished(self, tokens: list[int]) -> bool:
        """After the end token, a blank line, a loop, or a list whose entries begin to repeat."""
        if tokens[-1] == self._tokenizer.eos_token_id:
            return True
        if len(tokens) >= LOOP and len(set(tokens[-LOOP:])) <= 3:
            return True
        text = self._tokenizer.decode(tokens)
        return "\n\n" in text or _list_repeats(text)

    def _text(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True)).split("\n\n", 1)[0]

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)

    def _banned(self, words: frozenset[str]) -> list[int]:
        return [token for word in sorted(words) for token in self._single_tokens(word)]

    def _find_single_tokens(self, word: str) -> list[int]:
        """Tokens that are the whole word; the first token of a longer word may begin a harmless one."""
        forms = {f"{blank}{form}" for blank in ("", " ") for form in (word, word.capitalize())}
        return [ids[0] for form in sorted(forms) if len(ids := self._ids(form)) == 1]


def _list_repeats(text: str) -> bool:
    """Whether the last line is a list that names an entry again, or its sixth (five are kept)."""
    line = text.rsplit("\n", 1)[-1]
    if not re.match(r"(Themes|Likes): ", line):
        return False
    entries = [entry.strip().lower() for entry in line.split(":", 1)[1].split(",")[:-1]]
    return len(entries) > 5 or len(set(entries)) < len(entries)


def _penalty(banned: list[list[int]], vocabulary: int) -> Any:
    """(rows, vocabulary): minus infinity where a row must not write the token, else 0."""
    import torch

    penalty = torch.zeros(len(banned), vocabulary)
    for row, tokens in enumerate(banned):
        penalty[row, tokens] = float("-inf")
    return penalty
