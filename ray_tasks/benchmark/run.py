"""The whole comparison on one data set: tune on validation, refit on train and validation, report test once."""

import logging
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray_tasks.benchmark.blend import (
    filled,
    learn_ranker,
    learners,
    popular_lists,
    rank_alone,
    rank_blend,
    restrict,
)
from ray_tasks.benchmark.data import Dataset
from ray_tasks.benchmark.judge import Judge, calibration_error, holm, lift
from ray_tasks.benchmark.protocols import PROTOCOLS, clean_catalogue
from ray_tasks.interactions.metrics import hits, ndcg
from ray_tasks.interactions.rows import Floats, Ints
from ray_tasks.interactions.windows import Log, Window, window
from ray_tasks.ranker.features import DATED, NAMES
from ray_tasks.ranker.gate import ServingModel
from ray_tasks.ray_session import ray_session
from ray_tasks.retrieval.candidate_blocks import Catalogue
from ray_tasks.retrieval.factory import Parameters, SourceFactory, grids
from ray_tasks.retrieval.item_texts import ItemTexts
from ray_tasks.retrieval.popularity import SAME_FOR_ALL, RecentPopularity
from ray_tasks.retrieval.scored_blocks import ScoredBlocks
from ray_tasks.retrieval.source import CandidateSource
from ray_tasks.retrieval.tuning import Tuned, tune, tuning_users
from schemas.config import SOURCES, Candidates, Ranking

log = logging.getLogger("nightrec.benchmark")

TEXT_SOURCES = ("text", "new_items", "words", "ease_text", "graph", "two_tower", "sequence_text", "generative")
UNWEIGHTED = ("item_item", "ease", "ials")
"""Sources that are baselines without recency as well, tuned apart."""
BASELINES = (
    "popularity",
    "trending",
    "transitions",
    "sequence",
    *UNWEIGHTED,
    *(f"{name}_unweighted" for name in UNWEIGHTED),
)
BLENDS = {"nightrec": SOURCES, "nightrec_no_text": tuple(s for s in SOURCES if s not in TEXT_SOURCES)}
ALL_TIME = 100_000.0
"""Days of a window that no log exceeds."""
CANDIDATES = Candidates(
    sources=SOURCES,
    per_source=50,
    tuning_users=6_000,
    ease_l2=(10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000),
    history_half_life=(0, 0.5, 1, 3, 10, 30, 100),
)
RANKING = Ranking(training_users=6_000, trees=150)
"""The one configuration for every data set and both protocols, declared before any of them was tested."""


@dataclass
class Comparison:
    """One run: the data's log under a protocol, and what has been found so far.

    `lists` holds (users, K) item positions by catalogue and model; `seconds` by model.
    """

    data: Dataset
    texts: ItemTexts
    protocol: str
    seed: int
    folder: Path
    lists: dict[str, dict[str, Ints]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Everything; the result is plain and can be written as JSON."""
        cut = PROTOCOLS[self.protocol](self.data.log)
        validation, test = window(cut, "validation"), window(cut, "test")
        log.info("%s users in validation, %s in test", len(validation.user_ids), len(test.user_ids))
        with ray_session():
            tuned, models = self.learn(validation)
            self.rank(test, tuned, models)
        return self.report(test, tuned)

    def catalogues(self, known: Log) -> dict[str, Catalogue | None]:
        """P1 has two: all items, and the clean ones; P2 has all."""
        return {"all": None} | ({"clean": clean_catalogue(known)} if self.protocol == "p1" else {})

    def learn(self, view: Window) -> tuple[dict[str, Tuned], dict[tuple[str, str], ServingModel]]:
        """Tune every model on the headline's catalogue, and train a ranker per catalogue and blend."""
        factory = SourceFactory(view.log, self.texts, CANDIDATES, self.seed)
        catalogues = self.catalogues(view.log)
        headline = list(catalogues)[-1]
        tuned = self.tune_all(restrict(view, catalogues[headline]), factory, catalogues[headline])
        fitted = {name: factory.fit(name, self.parameters(name, tuned)) for name in SOURCES}
        models: dict[tuple[str, str], ServingModel] = {}
        for catalogue, allowed in catalogues.items():
            users = learners(restrict(view, allowed), RANKING.training_users, self.seed)
            for blend, sources in BLENDS.items():
                started = time.monotonic()
                blocks = ScoredBlocks.of(users, {s: fitted[s] for s in sources}, CANDIDATES, allowed)
                folder = self.scratch(f"candidates-{catalogue}-{blend}")
                models[catalogue, blend] = learn_ranker(blocks, users, RANKING, self.features, folder, self.seed)
                self.took(blend, started)
        return tuned, models

    def tune_all(self, view: Window, factory: SourceFactory, catalogue: Catalogue | None) -> dict[str, Tuned]:
        """Sources with and without recency, each on the users that it is for."""
        tuned = {}
        for name, grid in grids(CANDIDATES).items():
            users = tuning_users(view, CANDIDATES.tuning_users, self.seed, name)
            start = None
            if name in UNWEIGHTED:
                began = time.monotonic()
                plain = tune(name, {**grid, "half_life": (0,)}, factory, users, catalogue)
                tuned[f"{name}_unweighted"] = plain
                start = {key: value for key, value in plain.parameters.items() if key != "half_life"}
                self.took(f"{name}_unweighted", began)
            if name == "ease_text":
                start = tuned["ease"].parameters
            began = time.monotonic()
            tuned[name] = tune(name, grid, factory, users, catalogue, start)
            self.took(name, began)
        return tuned

    def rank(self, view: Window, tuned: Mapping[str, Tuned], models: Mapping[tuple[str, str], ServingModel]) -> None:
        """Lists of the test users by every model, on every catalogue."""
        factory = SourceFactory(view.log, self.texts, CANDIDATES, self.seed)
        catalogues = self.catalogues(view.log)
        views = {name: restrict(view, allowed) for name, allowed in catalogues.items()}
        popularity = RecentPopularity.fit(view.log, tuned["popularity"].parameters["days"])
        popular = {n: popular_lists(views[n], popularity, allowed) for n, allowed in catalogues.items()}
        self.lists = {name: {} for name in catalogues}

        def alone(model: str, source: CandidateSource) -> None:
            for name, allowed in catalogues.items():
                ranked = rank_alone(source, views[name], CANDIDATES, allowed)
                self.lists[name][model] = filled(ranked, popular[name])

        for model in (f"{name}_unweighted" for name in UNWEIGHTED):
            alone(model, factory.fit(model.removesuffix("_unweighted"), tuned[model].parameters))
        fitted = {}
        for name in SOURCES:
            started = time.monotonic()
            alone(name, factory.fit(name, tuned[name].parameters))
            fitted[name] = factory.fit(name, self.parameters(name, tuned))
            self.took(name, started)
        for (name, blend), serving in models.items():
            started = time.monotonic()
            blocks = ScoredBlocks.of(views[name], {s: fitted[s] for s in BLENDS[blend]}, CANDIDATES, catalogues[name])
            lists, chances = rank_blend(blocks, serving, self.scratch(f"ranked-{name}-{blend}"))
            self.lists[name][blend] = filled(lists["ranker"], popular[name])
            if blend == "nightrec":
                self.lists[name]["fusion"] = filled(lists["fusion"], popular[name])
                self.describe(name, serving, lists["ranker"], chances, views[name])
            self.took(blend, started)

    def describe(self, catalogue: str, model: ServingModel, ranked: Ints, chances: Floats, view: Window) -> None:
        """What the ranker of a catalogue learnt, and what its probabilities were worth."""
        assert view.targets is not None
        taken = hits(ranked, view.targets)
        self.found[catalogue] = {
            "gate": model.decision.reason,
            "trees": model.decision.trees,
            "feature_importance": model.ranker.importance(),
            "calibration": calibration_error(chances.ravel(), taken.ravel().astype(float)),
        }

    def report(self, view: Window, tuned: Mapping[str, Tuned]) -> dict[str, Any]:
        """The result: lifts of the headline's catalogue and of all items, and every model's metrics."""
        result: dict[str, Any] = {"models": {}, "ranker": self.found}
        for name, allowed in self.catalogues(view.log).items():
            judge = Judge(restrict(view, allowed), self.texts.vectors, allowed)
            gains = {model: ndcg(ranked, judge.targets) for model, ranked in self.lists[name].items()}
            result |= self._lifts(gains, "clean_" if name == "clean" else "")
            for model, ranked in self.lists[name].items():
                row = result["models"].setdefault(model, {"parameters": self._tuned(model, tuned)})
                row["seconds"] = round(self.seconds.get(model, 0), 1)
                row["clean_metrics" if name == "clean" else "metrics"] = judge.metrics(ranked)
                row["clean_slices" if name == "clean" else "slices"] = judge.slices(ranked)
        cold = result["models"]["nightrec"]["slices"].get("new items", {})
        return {**result, "cold_item_recall20": cold.get("recall@20")}

    def _lifts(self, gains: Mapping[str, Floats], prefix: str) -> dict[str, Any]:
        best = max(BASELINES, key=lambda model: gains[model].mean())
        over = {model: lift(gains["nightrec"], gains[model], self.seed) for model in BASELINES}
        text = lift(gains["nightrec"], gains["nightrec_no_text"], self.seed)
        return {
            f"{prefix}ndcg10": float(gains["nightrec"].mean()),
            f"{prefix}best_baseline": best,
            f"{prefix}best_baseline_ndcg10": float(gains[best].mean()),
            f"{prefix}lift": over[best]["lift"],
            f"{prefix}lift_ci": over[best]["ci"],
            f"{prefix}text_lift": text["lift"],
            f"{prefix}text_lift_ci": text["ci"],
            f"{prefix}lifts": over,
            f"{prefix}p_values": holm({model: found["p"] for model, found in over.items()}),
            f"{prefix}users": len(gains[best]),
        }

    def parameters(self, name: str, tuned: Mapping[str, Tuned]) -> Parameters:
        """A source's parameters inside the blend. Where users are cut at different times, recent means later."""
        if name in SAME_FOR_ALL and self.protocol == "p2":
            return {**tuned[name].parameters, "days": ALL_TIME}
        return tuned[name].parameters

    @property
    def features(self) -> tuple[str, ...]:
        """What the ranker may know: nothing dated where users are cut at different times."""
        return NAMES if self.protocol == "p1" else tuple(name for name in NAMES if name not in DATED)

    def scratch(self, name: str) -> Path:
        """An empty folder."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    def took(self, model: str, started: float) -> None:
        """Add to a model's seconds."""
        seconds = time.monotonic() - started
        self.seconds[model] = self.seconds.get(model, 0) + seconds
        log.info("%s: %.0f s", model, seconds)

    @staticmethod
    def _tuned(model: str, tuned: Mapping[str, Tuned]) -> dict[str, Any]:
        return {**tuned[model].parameters, "validation_ndcg@10": tuned[model].ndcg} if model in tuned else {}


def summary(result: Mapping[str, Any]) -> Iterable[str]:
    """The result in lines for people."""
    headline = "clean_" if "clean_lift" in result else ""
    key = "clean_metrics" if headline else "metrics"
    yield f"{'model':24} NDCG@10  Recall@20     MRR  coverage"
    rows = sorted(result["models"].items(), key=lambda item: -item[1][key]["ndcg@10"])
    for model, row in rows:
        m = row[key]
        yield f"{model:24} {m['ndcg@10']:7.4f} {m['recall@20']:10.4f} {m['mrr@20']:7.4f} {m['coverage@10']:9.3f}"
    for name, words in (("lift", f"over {result[headline + 'best_baseline']}"), ("text_lift", "by texts")):
        low, high = result[f"{headline}{name}_ci"]
        yield f"{words}: {result[headline + name]:+.1%} [{low:+.1%}, {high:+.1%}]"
