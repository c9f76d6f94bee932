"""How fast every user's best items are found exactly, against other libraries (`make bench-score`).

Each side lists the 100 items of the largest inner product for the same users, without 100 that each has seen: ours
(ray_tasks.search), faiss' flat index (asked for 200, the seen ones taken out), implicit's `topk`, and NumPy's product
with argpartition. A side is a process of its own, prepared before the clock starts; they take turns, and the order
rotates. Ratios are of users a second within a turn, medians over the turns. The slow sides get a quarter of the users.

Items are topics and noise, users the mean of what they have seen: so that, as in a night, the best items are those that
must be left out. `peak_fraction` is the share of this machine's fastest float32 product (NumPy's, measured in the same
turns) that ours reaches, of the dimensions the lower one: above 1 where ours screens in bfloat16. `peak_rss_mb` is that
of our process with all users searched at once, `recall` how many of the best by float64 are in our lists, where those
within 1e-6 of the last one count as equal.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measurement import written
from schemas.errors import BenchmarkError

HOME = Path(__file__).resolve().parents[2]
SCRIPT = HOME / "infra" / "bench" / "peers" / "search.py"
SIDES = {"ours": 1, "faiss": 1, "implicit": 4, "numpy": 4}
"""Each side and the part of a turn's users that it gets: one of so many."""
DIMENSIONS = (128, 384)
SEEN, TOPIC, OF_TOPICS, CHECKED = 100, 250, 4, 500
"""Items that a user has seen, items of a topic, topics of a user, users whose lists are compared with brute force."""
EQUAL = 1e-6


def main() -> None:
    """Measure by turns and write build/bench/score.json."""
    arguments = parsed()
    folder = HOME / "build" / "bench" / "score"
    folder.mkdir(parents=True, exist_ok=True)
    measured = {d: compared(folder, d, arguments) for d in DIMENSIONS}
    told = summary(measured)
    figures = told | {
        **{name: getattr(arguments, name) for name in ("users", "items", "k", "repeats", "threads", "seed")},
        "seen": SEEN,
        **{f"d{d}": details for d, details in measured.items()},
    }
    written(HOME, "score", figures)
    print(json.dumps(told, indent=2))


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--turn", type=int, default=20_000, help="users of one turn (default 20,000)")
    parser.add_argument("--k", type=int, default=100, help="items of a list (default 100)")
    parser.add_argument("--repeats", type=int, default=5, help="turns (default 5)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--product", type=int, default=2048, help="rows of the product that the peak is measured with")
    parser.add_argument("--peers", type=Path, default=HOME / ".venv-peers" / "bin" / "python")
    parser.add_argument("--seed", type=int, default=20_241)
    return parser.parse_args()


class Side:
    """A process that answers (infra/bench/peers/search.py)."""

    def __init__(self, name: str, folder: Path, arguments: argparse.Namespace) -> None:
        self.name, self._words = name, folder / f"{name}.txt"
        python = Path(sys.executable) if name == "ours" else arguments.peers
        if not python.exists():
            raise BenchmarkError(f"bench-score: no interpreter {python} for {name}; run `make peers`")
        environment = {n: value for n, value in os.environ.items() if not n.startswith("PYTHON")}
        environment["OMP_NUM_THREADS"] = str(arguments.threads)
        if name == "ours":
            environment["PYTHONPATH"] = str(HOME)
        command = [str(python), str(SCRIPT), name, str(folder), str(arguments.k), str(arguments.threads)]
        pipe = subprocess.PIPE
        with self._words.open("wb") as words:
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=words, text=True, bufsize=1, env=environment
            )
        self.prepared = self._read()

    def ask(self, start: int, stop: int, **more: str) -> dict[str, Any]:
        """Search these users; the answer has `seconds`, `peak_rss_mb` and `users_per_s`."""
        self._process.stdin.write(json.dumps({"start": start, "stop": stop, **more}) + "\n")
        told = self._read()
        return {**told, "users_per_s": (stop - start) / told["seconds"]}

    def close(self) -> None:
        """Let the process end."""
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            said = self._words.read_text(encoding="utf-8", errors="replace")[-2_000:]
            raise BenchmarkError(f"bench-score: {self.name} ended without an answer; its last words:\n{said}")
        return json.loads(line)


def compared(folder: Path, dimensions: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """All turns with vectors of so many dimensions, then one search of all users by ours."""
    digest = write_vectors(folder, dimensions, arguments)
    sides = {name: Side(name, folder, arguments) for name in SIDES}
    checked = min(CHECKED, arguments.users)
    for name, side in sides.items():
        side.ask(0, checked, save=str(folder / f"{name}.npy"))  # warm, and for the recall
    turns = [turn(sides, number, arguments, dimensions) for number in range(arguments.repeats)]
    whole = sides["ours"].ask(0, arguments.users)
    for side in sides.values():
        side.close()
    return {
        "data_hash": digest,
        "prepared": {name: side.prepared for name, side in sides.items()},
        "recall": recalls(folder, checked, arguments.k),
        "all_users": {name: round(value, 2) for name, value in whole.items()},
        "turns": turns,
    }


def turn(sides: dict[str, Side], number: int, arguments: argparse.Namespace, dimensions: int) -> dict[str, Any]:
    """Users a second of every side, and the fastest product, in 10^9 operations a second."""
    size = min(arguments.turn, arguments.users)
    start = number * size % (arguments.users - size + 1)
    found: dict[str, Any] = {"product_gflops": round(product_gflops(arguments.product), 1)}
    names = list(SIDES)
    for name in names[number % len(names) :] + names[: number % len(names)]:
        found[name] = round(sides[name].ask(start, start + max(size // SIDES[name], 1))["users_per_s"], 1)
    print(f"{number + 1}/{arguments.repeats} d={dimensions} users/s: {found}", flush=True)
    found["ours_gflops"] = round(found["ours"] * 2 * arguments.items * dimensions / 1e9, 1)
    return found


def product_gflops(rows: int, tries: int = 3) -> float:
    """The fastest of several float32 products of square matrices."""
    left = right = np.full((rows, rows), 0.5, dtype=np.float32)
    seconds = []
    for _ in range(tries):
        started = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - started)
    return 2 * rows**3 / min(seconds) / 1e9


def write_vectors(folder: Path, dimensions: int, arguments: argparse.Namespace) -> str:
    """Unit vectors of items and users, and what users have seen; returns a hash of them."""
    chance = np.random.default_rng([arguments.seed, dimensions])
    n_topics = max(arguments.items // TOPIC, 1)
    topics = chance.normal(size=(n_topics, dimensions)).astype(np.float32)
    topic = chance.integers(n_topics, size=arguments.items)
    items = unit(topics[topic] + chance.standard_normal((arguments.items, dimensions), dtype=np.float32))
    members = np.split(np.argsort(topic, kind="stable"), np.cumsum(np.bincount(topic, minlength=n_topics))[:-1])
    seen = np.empty((arguments.users, min(SEEN, arguments.items // 2)), dtype=np.int64)
    for row in seen:
        likes = chance.choice(n_topics, min(OF_TOPICS, n_topics), replace=False)
        near = np.concatenate([members[one] for one in likes])
        if len(near) < len(row):  # topics of few items: any others
            near = np.concatenate([near, np.setdiff1d(np.arange(arguments.items), near)])[: 2 * len(row)]
        row[:] = np.sort(chance.choice(near, len(row), replace=False))
    users = np.empty((arguments.users, dimensions), dtype=np.float32)
    for start in range(0, len(users), 250):
        users[start : start + 250] = unit(items[seen[start : start + 250]].mean(axis=1))
    digest = hashlib.sha256()
    for name, array in (("users", users), ("items", items), ("seen", seen)):
        np.save(folder / f"{name}.npy", array)
        digest.update(array.tobytes())
    return digest.hexdigest()


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def recalls(folder: Path, checked: int, k: int, at_once: int = 50) -> dict[str, float]:
    """Each side's share of its places that belong to the best by float64: not seen, not twice, not below the last."""
    users, items, seen = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("users", "items", "seen"))
    exact = items.astype(np.float64)
    lists = {name: np.load(folder / f"{name}.npy") for name in SIDES}
    right = dict.fromkeys(SIDES, 0)
    for start in range(0, checked, at_once):
        rows = slice(start, min(start + at_once, checked))
        scores = users[rows].astype(np.float64) @ exact.T
        np.put_along_axis(scores, seen[rows], -np.inf, axis=1)
        last = np.partition(scores, -k, axis=1)[:, -k]
        for name, found in lists.items():
            for row, line, floor in zip(scores, found[rows], last, strict=True):
                listed = np.unique(line[line >= 0])
                right[name] += int((row[listed] >= floor - EQUAL).sum())
    return {name: round(count / (checked * k), 6) for name, count in right.items()}


def summary(measured: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """The figures to compare: medians over the turns."""
    found: dict[str, Any] = {}
    for dimensions, told in measured.items():
        for name in SIDES:
            speed = statistics.median(turn[name] for turn in told["turns"])
            found[f"{name}_users_per_s_d{dimensions}"] = round(speed, 1)
        for name in list(SIDES)[1:]:
            ratios = [turn["ours"] / turn[name] for turn in told["turns"]]
            found[f"vs_{name}_d{dimensions}"] = round(statistics.median(ratios), 3)
    # The peak is of the machine: the best product of all turns, whatever ran in between.
    peak = max(turn["product_gflops"] for told in measured.values() for turn in told["turns"])
    reached = {
        f"peak_fraction_d{d}": round(statistics.median(turn["ours_gflops"] for turn in told["turns"]) / peak, 3)
        for d, told in measured.items()
    }
    return {
        **found,
        "peak_gflops": peak,
        **reached,
        "peak_fraction": min(reached.values()),
        "recall": min(told["recall"]["ours"] for told in measured.values()),
        "peak_rss_mb": max(told["all_users"]["peak_rss_mb"] for told in measured.values()),
    }


if __name__ == "__main__":
    main()
