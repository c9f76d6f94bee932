"""Models of other libraries in the benchmark: asked through files, in processes and an environment of their own.

They get the window's log, the users and the allowed items, and nothing else: the split, the metrics, the users they are
tuned on and the discipline (tuned on validation, refitted on train and validation, tested once) are Nightrec's.
"""

import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_tasks.benchmark.blend import K
from ray_tasks.benchmark.peer_files import read_lists, run_beside, write_request
from ray_tasks.interactions.metrics import ndcg
from ray_tasks.interactions.rows import Ints
from ray_tasks.interactions.windows import Log, Window
from ray_tasks.retrieval.candidate_blocks import Catalogue
from ray_tasks.retrieval.factory import Parameters
from ray_tasks.retrieval.tuning import MOST_BEYOND, Tuned, beyond, on_edge, tuning_users, warn_of_edges

log = logging.getLogger("nightrec.benchmark")

Grid = Mapping[str, Sequence[float]]
GRIDS: Mapping[str, tuple[Grid, ...]] = {
    "peer_implicit_als": (
        {"factors": (32,), "alpha": (1, 4, 16, 64), "regularization": (0.1, 10, 100)},
        {"factors": (8, 16, 64, 128, 256)},
    ),
    "peer_implicit_bm25": (
        {"neighbours": (100,), "k1": (0.05, 0.2, 1.2, 10), "b": (0, 0.25, 0.5, 0.75, 1)},
        {"neighbours": (20, 50, 300, 1_000, 3_000)},
    ),
    "peer_lenskit_ease": ({"regularization": (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)},),
}
"""By model the rounds of its tuning: each tries all combinations of its values, the rest as the round before left it.

Where the best value lies on an edge, the grid goes on. The most epochs are what the budget allows, so they do not.
What is not tuned is said beside each model in infra/bench/peers.
"""
TARGETS = {"peer_rectools_sasrec": 1.0, "peer_rectools_bert4rec": 0.4}
"""Models tuned by the epochs of one training, with the share of a sequence's items that they learn to foretell."""
SLOWEST_FIRST = ("peer_rectools_bert4rec", "peer_rectools_sasrec", "peer_lenskit_ease")
"""Begun before the others, so that no core waits for one of them at the end."""
LONGEST = 100
"""Items of a sequence that these models see at most."""
TRAINING = 260.0
"""Seconds of CPU that one training of theirs may take, as estimated by `epoch_seconds`."""
MOST_EPOCHS = 24


def grids(log: Log) -> dict[str, tuple[Grid, ...]]:
    """The rounds of every model; numbers of epochs are the quarters of what the budget allows on this log."""
    found = dict(GRIDS)
    for model, share in TARGETS.items():
        most = min(max(int(TRAINING / epoch_seconds(log, share)), 1), MOST_EPOCHS)
        found[model] = ({"epochs": sorted({math.ceil(most * quarter / 4) for quarter in (1, 2, 3, 4)})},)
    return found


def epoch_seconds(log: Log, share: float) -> float:
    """Seconds of CPU of one epoch, from sizes alone, so that a rerun trains as long: measured constants.

    Every target is scored against every item; every place of a padded sequence passes through the layers.
    """
    lengths = np.minimum(np.unique(log.user, return_counts=True)[1], LONGEST)
    places = len(lengths) * float(np.percentile(lengths, 95)) if len(lengths) else 1.0
    return 16e-9 * share * float(lengths.sum()) * len(np.unique(log.item)) + 25e-6 * places


@dataclass(frozen=True)
class Cost:
    """What a model's processes took: seconds by the clock and of CPU, summed, and the largest resident memory."""

    seconds: float = 0
    cpu_seconds: float = 0
    peak_rss_mb: float = 0

    def plus(self, told: Mapping[str, Any]) -> "Cost":
        """With one more process."""
        seconds, cpu = self.seconds + told["seconds"], self.cpu_seconds + told["cpu_seconds"]
        return Cost(round(seconds, 2), round(cpu, 2), max(self.peak_rss_mb, told["peak_rss_mb"]))


@dataclass
class Peers:
    """The models that `grids` names for a log, run as `python script FOLDER` (infra/bench/peers/rank.py).

    As many models as there are cores run side by side, with a thread each: at these sizes a second thread hardly helps.
    `run` is how: where others keep the cores busy too, it waits for one (`ray_session.on_a_core`).
    `costs` by model and `versions` by library are filled while they run.
    """

    python: Path
    script: Path
    folder: Path
    seed: int
    tuning_users: int
    grids: Callable[[Log], Mapping[str, tuple[Grid, ...]]] = field(default_factory=lambda: grids)
    beside: int = os.cpu_count() or 1
    run: Callable[[Path, Path, Path, str], float] = run_beside
    costs: dict[str, Cost] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def tune(self, view: Window, catalogue: Catalogue | None) -> dict[str, Tuned]:
        """The best of every grid by NDCG@10 on validation users with a history, ties to the first tried."""
        grids = self.grids(view.log)
        return self._side_by_side(grids, lambda name: self._tuned(name, grids[name], view, catalogue))

    def _tuned(self, name: str, rounds: Sequence[Grid], view: Window, catalogue: Catalogue | None) -> Tuned:
        users = tuning_users(view, self.tuning_users, self.seed, name)
        best, tried = Tuned({}, -1.0), dict[str, list[float]]()
        targets = users.targets
        assert targets is not None

        def better(asked: list[Parameters]) -> Tuned:
            lists = self._ask(name, asked, {"": users}, {"": catalogue})
            scores = [float(ndcg(ranked, targets).mean()) for ranked in lists[""]]
            return max([best, *map(Tuned, asked, scores)], key=lambda one: one.ndcg or 0)

        for values in rounds:
            for key, some in values.items():
                tried.setdefault(key, []).extend(some)
            best = better(
                [{**best.parameters, **dict(zip(values, some, strict=True))} for some in product(*values.values())]
            )
        for _ in range(MOST_BEYOND):
            edges = {key: beyond(key, tried[key], best.parameters[key]) for key in self._edges(tried, best)}
            if not edges:
                break
            for key, further in edges.items():
                tried[key].append(further)
            best = better([{**best.parameters, key: further} for key, further in edges.items()])
        log.info("%s: %s, NDCG@10 %.4f on %s users", name, best.parameters, best.ndcg, len(users.user_ids))
        warn_of_edges(name, tried, best.parameters)
        return best

    @staticmethod
    def _edges(tried: Grid, best: Tuned) -> list[str]:
        """The parameters whose best value may lie beyond those tried, and may be tried."""
        edges = [key for key, at in best.parameters.items() if on_edge(key, tried[key], at)]
        return [key for key in edges if key != "epochs" or best.parameters[key] < max(tried[key])]

    def _side_by_side(self, names: Iterable[str], work: Callable[[str], Any]) -> dict[str, Any]:
        """What `work` makes of each name; the slowest models are begun first."""
        turns = {name: turn for turn, name in enumerate(SLOWEST_FIRST)}
        order = sorted(names, key=lambda name: turns.get(name, len(turns)))
        with ThreadPoolExecutor(self.beside) as pool:
            return dict(zip(order, pool.map(work, order), strict=True))

    def rank(
        self, views: Mapping[str, Window], tuned: Mapping[str, Tuned], catalogues: Mapping[str, Catalogue | None]
    ) -> dict[str, dict[str, Ints]]:
        """(users, K) item positions by catalogue and model, seen items removed; -1 for empty places.

        Views are of one log, one for each catalogue; a model is fitted once for all of them.
        """
        models = self.grids(next(iter(views.values())).log)
        found = self._side_by_side(models, lambda one: self._ask(one, [tuned[one].parameters], views, catalogues))
        return {name: {model: lists[name][0] for model, lists in found.items()} for name in catalogues}

    def _ask(
        self,
        model: str,
        tried: Sequence[Parameters],
        views: Mapping[str, Window],
        catalogues: Mapping[str, Catalogue | None],
    ) -> dict[str, list[Ints]]:
        """By catalogue a (users, K) array for each of the parameters."""
        folder = self.folder / model
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        told = {"model": model, "parameters": tried, "k": K, "seed": self.seed, "threads": 1}
        write_request(folder, told, views, catalogues)
        seconds = self.run(self.python, self.script, folder, model)
        answer = json.loads((folder / "answer.json").read_text(encoding="utf-8")) | {"seconds": seconds}
        self.costs[model] = self.costs.get(model, Cost()).plus(answer)
        self.versions |= answer["versions"]
        log.info("%s: %.0f s, %.0f s of CPU", model, answer["seconds"], answer["cpu_seconds"])
        table = pq.read_table(folder / "lists.parquet")
        shutil.rmtree(folder)
        found = {}
        for part, name in enumerate(catalogues):
            own = table.filter(pa.compute.equal(table["part"], part))
            found[name] = [
                read_lists(own.filter(pa.compute.equal(own["parameters"], n)), views[name], catalogues[name], model)
                for n in range(len(tried))
            ]
        return found
