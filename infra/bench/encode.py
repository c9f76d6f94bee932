"""How fast texts become vectors, against sentence-transformers' own `encode` (`make bench-encode DATA=folder`).

Titles are the short texts, documents the long ones, of any data set that `make bench-ranking` reads. Both sides encode
the same texts in the same process, by turns whose order changes; ratios are within a turn, medians over the turns.
`peak_fraction` is the share of this machine's product of matrices in the packed encoder's numbers that its useful
operations reach: those that the texts' own tokens need, without padding. `float32` tells the same of the encoder in
float32, where it multiplies in bfloat16 here. Both sides have the allocator's settings of the night's workers: without
them, what one side frees between its turns is zeroed again by the system for the other.

Then the same encoder runs a long job of many texts, once as a bare loop on all cores and once as the night runs it, in
Ray actors: `ray_efficiency` is the ratio of their texts a second, Ray's start and the loading of models included.
"""

import argparse
import hashlib
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from sentence_transformers import SentenceTransformer

from measurement import written
from ray_tasks.benchmark.data import load
from ray_tasks.embeddings import encode
from ray_tasks.encoder import precision_of
from ray_tasks.packed_bert import PackedBert
from ray_tasks.ray_session import ALLOCATOR, ray_session
from schemas.generation_config import Encoder

HOME = Path(__file__).resolve().parents[2]
MODEL = HOME / "build" / "assets" / "all-minilm-l6-v2"


def main() -> None:
    """Measure and write build/bench/encode.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of a data set, as for bench-ranking")
    parser.add_argument("--texts", type=int, default=1_000, help="of each length, drawn (default 1,000)")
    parser.add_argument("--repeats", type=int, default=5, help="turns (default 5)")
    parser.add_argument("--job-seconds", type=float, default=300, help="length of the job (default 300); 0: none")
    parser.add_argument("--seed", type=int, default=20_241)
    arguments = parser.parse_args()
    with_allocator()
    data = load(arguments.data)
    chance = np.random.default_rng(arguments.seed)
    texts = {
        "short": drawn(data.titles, arguments.texts, chance),
        "long": drawn(data.documents, arguments.texts, chance),
    }
    torch.set_num_threads(os.cpu_count() or 1)
    model = SentenceTransformer(str(MODEL), local_files_only=True)
    config = Encoder(path=str(MODEL))
    precision = precision_of(config)
    packed = {kind: PackedBert(model, config.batch_tokens, getattr(torch, kind)) for kind in (precision, "float32")}
    ours = packed[precision]
    told = {
        kind: {name: compared(model, one, some, arguments.repeats) for name, some in texts.items()}
        for kind, one in packed.items()
    }
    figures_of = {kind: summed_up(found) for kind, found in told.items()}
    summary = {"precision": precision, **figures_of[precision]}
    if precision != "float32":
        summary["float32"] = figures_of["float32"]
    if arguments.job_seconds:
        speed = statistics.median(turn["ours"] for turn in told[precision]["long"]["turns"])
        summary |= job(ours, texts["long"], int(speed * arguments.job_seconds))
    figures = {
        **summary,
        "turns": told,
        "texts": arguments.texts,
        "seed": arguments.seed,
        "data": data.name,
        "data_sha256": data.sha256,
        "texts_sha256": hashlib.sha256(json.dumps(texts).encode()).hexdigest(),
    }
    written(HOME, "encode", figures)
    print(json.dumps(summary, indent=2))


def with_allocator() -> None:
    """Start this process anew with the workers' allocator, which reads its settings once."""
    if any(os.environ.get(name) != value for name, value in ALLOCATOR.items()):
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **ALLOCATOR})  # noqa: S606 - itself, as it was started


def summed_up(told: dict[str, Any]) -> dict[str, Any]:
    """Ratios, the lowest cosine, and the share of the fastest product, of texts by length."""
    return {
        **{f"speedup_{name}": found["speedup"] for name, found in told.items()},
        "min_cosine": min(found["min_cosine"] for found in told.values()),
        **{f"peak_fraction_{name}": found["peak_fraction"] for name, found in told.items()},
        "peak_fraction": max(found["peak_fraction"] for found in told.values()),
        "peak_gflops": max(turn["product_gflops"] for found in told.values() for turn in found["turns"]),
    }


def drawn(texts: tuple[str, ...], most: int, chance: np.random.Generator) -> list[str]:
    """Distinct texts, in no order of length."""
    known = sorted({text for text in texts if text})
    return [known[place] for place in chance.permutation(len(known))[:most]]


def compared(model: SentenceTransformer, ours: PackedBert, texts: list[str], repeats: int) -> dict[str, Any]:
    """Texts a second of both sides by turns, the lowest cosine between their vectors, useful operations a second."""
    sides = {"ours": ours.encode, "sentence_transformers": lambda some: model.encode(some, show_progress_bar=False)}
    vectors = {name: np.asarray(side(texts), dtype=np.float64) for name, side in sides.items()}  # warm as well
    unit = [found / np.linalg.norm(found, axis=1, keepdims=True) for found in vectors.values()]
    lengths = [
        len(ids) for ids in model.tokenizer(texts, truncation=True, max_length=model.max_seq_length)["input_ids"]
    ]
    turns = []
    for number in range(repeats):
        turn = {"product_gflops": round(product_gflops(ours.kind), 1)}
        for name in sorted(sides, reverse=bool(number % 2)):
            started = time.perf_counter()
            sides[name](texts)
            turn[name] = round(len(texts) / (time.perf_counter() - started), 2)
        print(f"{number + 1}/{repeats}, {np.mean(lengths):.0f} tokens a text: {turn}", flush=True)
        turns.append(turn)
    useful = useful_operations(model, lengths) / len(texts) / 1e9
    return {
        "tokens_per_text": round(float(np.mean(lengths)), 1),
        "speedup": round(statistics.median(turn["ours"] / turn["sentence_transformers"] for turn in turns), 3),
        "min_cosine": round(float((unit[0] * unit[1]).sum(axis=1).min()), 8),
        "useful_gflops": round(statistics.median(turn["ours"] for turn in turns) * useful, 1),
        "peak_fraction": round(statistics.median(turn["ours"] * useful / turn["product_gflops"] for turn in turns), 3),
        "turns": turns,
    }


def useful_operations(model: SentenceTransformer, lengths: list[int]) -> float:
    """Multiplications and additions of the model's linear maps and attention for texts of so many tokens."""
    config = model[0].auto_model.config
    width, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    linear, attention = 2 * (4 * width**2 + 2 * width * inner), 4 * width
    return float(sum(layers * (linear * length + attention * length**2) for length in lengths))


def product_gflops(kind: torch.dtype, rows: int = 2048, tries: int = 3) -> float:
    """The fastest of several products of square matrices, in 10^9 operations a second."""
    left = right = torch.full((rows, rows), 0.5, dtype=kind)
    seconds = []
    for _ in range(tries):
        started = time.perf_counter()
        torch.mm(left, right)
        seconds.append(time.perf_counter() - started)
    return 2 * rows**3 / min(seconds) / 1e9


def job(ours: PackedBert, texts: list[str], count: int) -> dict[str, Any]:
    """One long job of `count` different texts, bare and in Ray; texts a second of each."""
    many = [f"{texts[at % len(texts)]} {at}" for at in range(count)]
    started = time.perf_counter()
    ours.encode(many)
    bare = time.perf_counter() - started
    print(f"job of {count:,} texts: {bare:.0f} s as a bare loop", flush=True)
    table = pa.table({"text_hash": [hashlib.sha256(text.encode()).hexdigest() for text in many], "text": many})
    started = time.perf_counter()
    with ray_session():
        encoded = encode(table, Encoder(path=str(MODEL)))
    in_ray = time.perf_counter() - started
    assert len(encoded) == count
    return {
        "ray_efficiency": round(bare / in_ray, 3),
        "job": {"texts": count, "bare_seconds": round(bare, 1), "ray_seconds": round(in_ray, 1)},
    }


if __name__ == "__main__":
    main()
