"""How fast the default backend writes profiles, against plain `model.generate` (`make bench-generate`).

Both sides get the same item prompts of ML-100K, the same batch size, the same most tokens and the same threads, in
one process, by turns. The plain side is what transformers does out of the box: the whole prompt of every row, padded
to the longest, greedy, until every row has ended. A second plain side has the grammar's logits processor. An output
passes when the night's own check accepts it.
"""

import argparse
import hashlib
import json
import os
import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from measurement import written
from ray_tasks.evidence.items import item_evidence
from ray_tasks.evidence.pieces import Evidence
from ray_tasks.generation.factory import make_token_counter
from ray_tasks.generation.protocol import Generation, Request
from ray_tasks.generation.transformers_backend import TransformersGenerator
from ray_tasks.profiles.checks import Grounds, Rejected, check_item
from ray_tasks.profiles.kinds import ITEM
from ray_tasks.profiles.prompt_file import PromptFile
from ray_tasks.vocabulary.induction import induce
from schemas.generation_config import Generator, Vocabulary

HOME = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Work:
    """Evidence and requests of the items, and what their outputs are checked with."""

    evidence: list[Evidence]
    requests: list[Request]
    prompt: PromptFile
    grounds: Grounds

    def passed(self, generations: list[Generation]) -> float:
        """Share of outputs that the check accepts."""
        found = [
            generation.error is None and not isinstance(check_item(generation.text, one, self.grounds), Rejected)
            for generation, one in zip(generations, self.evidence, strict=True)
        ]
        return sum(found) / len(found)


def main() -> None:
    """Measure by turns and write build/bench/generate.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=128, help="items (default 128)")
    parser.add_argument("--repeats", type=int, default=5, help="paired runs (default 5)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    config = Generator(path=f"{os.environ['NIGHTREC_ASSETS']}/smollm2-135m-instruct")
    work = items(arguments.prompts, config)
    ours = TransformersGenerator(config, work.prompt.prefix, arguments.threads)
    plain = Plain(config, work.prompt.prefix)
    sides = {"ours": ours.generate, "baseline": plain.generate, "constrained_baseline": plain.constrained}
    runs: list[dict[str, Any]] = []
    for repeat in range(arguments.repeats):
        run = {}
        for name, generate in sides.items():
            if name == "constrained_baseline" and repeat:
                continue  # once is enough to know its place
            run[name] = measure(generate, work)
            print(f"{repeat + 1}/{arguments.repeats} {name}: {run[name]}", flush=True)
        runs.append(run)
    figures = summary(runs) | {
        "prompts": arguments.prompts,
        "batch_size": config.batch_size,
        "max_new_tokens": config.max_new_tokens,
        "threads": arguments.threads,
        "seed": None,
        "data_hash": hashlib.sha256("".join(r.text for r in work.requests).encode()).hexdigest(),
        "runs": runs,
    }
    written(HOME, "generate", figures)
    told = ("profiles_per_s", "baseline_profiles_per_s", "speedup", "pass_rate", "baseline_pass_rate", "peak_rss_mb")
    print(json.dumps({name: figures[name] for name in told}, indent=2))


def items(n: int, config: Generator) -> Work:
    """Requests for `n` items of ML-100K, evenly spread over the catalogue."""
    import pandas as pd

    path = Path(os.environ["NIGHTREC_ASSETS"]) / "ml-100k" / "ml-100k.item"
    frame = pd.read_csv(path, sep="\t", dtype=str)
    frame.columns = [name.split(":")[0] for name in frame.columns]
    documents = [
        {
            "item_id": row["item_id"],
            "title": row["movie_title"],
            "categories": row["class"].split(),
            "document": f"title: {row['movie_title']}. class: {row['class']}. release year: {row['release_year']}",
        }
        for row in frame.to_dict("records")
    ]
    vocabulary = induce(documents, {}, Vocabulary())
    prompt, count = PromptFile.load(config.item_prompt), make_token_counter(config)
    grounds = Grounds(prompt.shots, vocabulary.words())
    chosen = documents[:: max(1, len(documents) // n)][:n]
    evidence = [item_evidence(row, vocabulary, "movie", count, config.evidence_tokens) for row in chosen]
    requests = []
    for one in evidence:
        foreign = frozenset(word for word in prompt.own_words if word not in one.text.lower())
        requests.append(Request(prompt.prompt(one), ITEM.form(one, config, grounds), grounds.avoid(one) | foreign))
    return Work(evidence, requests, prompt, grounds)


class Plain:
    """transformers' own `generate`, 32 padded prompts at a time."""

    def __init__(self, config: Generator, prefix: str) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._config, self._prefix = config, prefix
        self._tokenizer: Any = AutoTokenizer.from_pretrained(config.path, local_files_only=True, padding_side="left")
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            config.path, local_files_only=True, dtype=torch.float32
        ).eval()

    def generate(self, requests: list[Request], schemas: bool = False) -> list[Generation]:
        """Complete the prompts, batch by batch."""
        import torch

        found = []
        for at in range(0, len(requests), self._config.batch_size):
            batch = requests[at : at + self._config.batch_size]
            read = self._tokenizer([self._prefix + one.text for one in batch], return_tensors="pt", padding=True)
            with torch.inference_mode():
                written = self._model.generate(
                    **read,
                    max_new_tokens=self._config.max_new_tokens,
                    do_sample=False,
                    logits_processor=[self._grammars(batch, read["input_ids"].shape[1])] if schemas else None,
                )
            for row in written[:, read["input_ids"].shape[1] :].tolist():
                text = self._tokenizer.decode(row, skip_special_tokens=True)
                found.append(Generation(text.split("\n", 1)[0], 0, len(row)))
        return found

    def constrained(self, requests: list[Request]) -> list[Generation]:
        """The same, with each row held to its schema."""
        return self.generate(requests, schemas=True)

    def _grammars(self, batch: list[Request], start: int) -> Any:
        """A logits processor that holds each row to its schema."""
        import llguidance.hf

        from ray_tasks.generation.constraint import Constraint, allowed_tokens

        tokens = llguidance.hf.from_tokenizer(self._tokenizer)
        rows = [Constraint(tokens, one.schema, (), str) for one in batch]
        end = self._tokenizer.eos_token_id
        forced: list[list[int]] = [[] for _ in rows]

        def process(ids: Any, scores: Any) -> Any:
            for place, row in enumerate(rows):
                if forced[place]:  # the last token was one of them, and is known to the grammar
                    forced[place] = forced[place][1:]
                elif ids.shape[1] > start and not row.is_complete:
                    forced[place] = row.accept(int(ids[place, -1]))
            allowed = allowed_tokens(rows, scores.shape[1])
            for place, row in enumerate(rows):
                if forced[place]:
                    allowed[place] = False
                    allowed[place, forced[place][0]] = True
                elif row.is_complete:
                    allowed[place] = False
                    allowed[place, end] = True
            return scores.masked_fill(~allowed, float("-inf"))

        return process


class Peak(threading.Thread):
    """The most resident memory of this process while the context is open, sampled every 20 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes, self._done = 0, threading.Event()

    def __enter__(self) -> "Peak":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()

    def run(self) -> None:
        """Sample until the context closes."""
        while True:
            self.bytes = max(self.bytes, psutil.Process().memory_info().rss)
            if self._done.wait(0.02):
                return


def measure(generate: Any, work: Work) -> dict[str, float]:
    """One run of one side: profiles and output tokens a second, share that passes, peak memory.

    Both sides' weights are loaded all the time: the peaks of the two compare, and each is above what it needs alone.
    """
    with Peak() as peak:
        started = time.perf_counter()
        found = generate(work.requests)
        seconds = time.perf_counter() - started
    return {
        "seconds": round(seconds, 2),
        "profiles_per_s": round(len(found) / seconds, 3),
        "tokens_per_s": round(sum(one.prompt_tokens + one.output_tokens for one in found) / seconds, 1),
        "pass_rate": round(work.passed(found), 4),
        "peak_rss_mb": round(peak.bytes / 2**20),
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the paired runs; the speed-up is the median of the pairs' ratios."""

    def median(side: str, figure: str) -> float:
        return float(statistics.median(run[side][figure] for run in runs))

    ratios = [run["ours"]["profiles_per_s"] / run["baseline"]["profiles_per_s"] for run in runs]
    return {
        "profiles_per_s": median("ours", "profiles_per_s"),
        "baseline_profiles_per_s": median("baseline", "profiles_per_s"),
        "speedup": round(statistics.median(ratios), 2),
        "pass_rate": median("ours", "pass_rate"),
        "baseline_pass_rate": median("baseline", "pass_rate"),
        "constrained_baseline": runs[0]["constrained_baseline"],
        "tokens_per_s": median("ours", "tokens_per_s"),
        "peak_rss_mb": max(run["ours"]["peak_rss_mb"] for run in runs),
        "baseline_peak_rss_mb": max(run["baseline"]["peak_rss_mb"] for run in runs),
    }


if __name__ == "__main__":
    main()
