"""The whole comparison on one data set: tune on validation, refit on train and validation, report test once."""

import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from ray_tasks.benchmark.blend import (
    Blend,
    RankedBlocks,
    filled,
    learn_blends,
    learners,
    popular_lists,
    rank_all,
    rank_alone,
    restrict,
)
from ray_tasks.benchmark.data import Dataset
from ray_tasks.benchmark.judge import Judge, calibration_error, holm, lift
from ray_tasks.benchmark.metric_check import metric_check
from ray_tasks.benchmark.peers import Peers
from ray_tasks.benchmark.protocols import PROTOCOLS, clean_catalogue
from ray_tasks.benchmark.rerank import Plan, Ranked, rerank
from ray_tasks.benchmark.settings import BASELINES, CANDIDATES, DOCUMENTS, NO_TEXT, RANKING, UNWEIGHTED, WHOLE, blends
from ray_tasks.interactions.metrics import hits, ndcg
from ray_tasks.interactions.rows import Floats, Ints
from ray_tasks.interactions.user_blocks import write_blocks
from ray_tasks.interactions.windows import Log, Window, window
from ray_tasks.ranker.features import DATED, NAMES
from ray_tasks.ray_session import ray_session
from ray_tasks.retrieval.candidate_blocks import Catalogue
from ray_tasks.retrieval.factory import Parameters, SourceFactory
from ray_tasks.retrieval.item_texts import ItemTexts
from ray_tasks.retrieval.popularity import SAME_FOR_ALL, RecentPopularity
from ray_tasks.retrieval.scored_blocks import ScoredBlocks
from ray_tasks.retrieval.side_by_side import Trial, each_fitted, fit_all, trials_of, tune_all
from ray_tasks.retrieval.source import CandidateSource
from ray_tasks.retrieval.tuning import Tuned
from ray_tasks.statistics import draws
from schemas.candidates_config import Candidates
from schemas.ranking_config import FinalList, Ranking

log = logging.getLogger("nightrec.benchmark")

S = TypeVar("S")
T = TypeVar("T")

ALL_TIME = 100_000.0
"""Days of a window that no log exceeds."""


@dataclass
class Comparison:
    """One run: the data's log under a protocol, and what has been found so far.

    `peers` are models of other libraries, `plan` what a language model may spend on re-ranking; None leaves them out.
    `lists` holds (users, K) item positions by catalogue and model; `validated` the whole blend's lists of the
    validation users, each by trees that have not seen the user; `seconds` by stage.
    """

    data: Dataset
    texts: ItemTexts
    protocol: str
    seed: int
    folder: Path
    candidates: Candidates = CANDIDATES
    ranking: Ranking = RANKING
    explore: int = FinalList().explore
    peers: Peers | None = None
    plan: Plan | None = None
    lists: dict[str, dict[str, Ints]] = field(default_factory=dict)
    validated: dict[str, Ranked] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Everything; the result is plain and can be written as JSON."""
        cut = PROTOCOLS[self.protocol](self.data.log)
        validation, test = window(cut, "validation"), window(cut, "test")
        log.info("%s users in validation, %s in test", len(validation.user_ids), len(test.user_ids))
        with ray_session():
            tuned, learnt = self.learn(validation)
            self.rank(test, tuned, learnt)
        with self.timed("rerank"):
            reranked = self.reranked(cut, test)
        return {**self.report(test, tuned), "rerank": reranked}

    def catalogues(self, known: Log) -> dict[str, Catalogue | None]:
        """P1 has two: all items, and the clean ones; P2 has all."""
        return {"all": None} | ({"clean": clean_catalogue(known)} if self.protocol == "p1" else {})

    def learn(self, view: Window) -> tuple[dict[str, Tuned], dict[str, dict[str, Blend]]]:
        """Tune every model on the headline's catalogue, and train a ranker per catalogue and blend."""
        factory = SourceFactory(view.log, self.texts, self.candidates, self.seed)
        catalogues = self.catalogues(view.log)
        headline = list(catalogues)[-1]
        users = restrict(view, catalogues[headline])
        with self.timed("tune"):
            tuned, of_peers = both(
                lambda: tune_all(self.trials(users, factory), factory.in_store, catalogues[headline]),
                lambda: self.peers.tune(users, catalogues[headline]) if self.peers else {},
            )
            tuned |= of_peers
        with self.timed("fit"):
            fitted = fit_all(factory.in_store, self.parameters(tuned))
        learnt: dict[str, dict[str, Blend]] = {}
        for name, allowed in catalogues.items():
            users = learners(restrict(view, allowed), self.ranking.training_users, self.seed)
            with self.timed("learn"):
                blocks = ScoredBlocks.of(users, fitted, self.candidates, allowed)
                folder = self.scratch(f"candidates-{name}")
                write_blocks(blocks, str(folder))
                variants = blends(self.candidates.used)
                learnt[name] = learn_blends(folder, users, variants, self.ranking, self.features, self.seed)
                self.validated[name] = Ranked(users, learnt[name][WHOLE].unseen)
        return tuned, learnt

    def trials(self, view: Window, factory: SourceFactory) -> list[Trial]:
        """What is tuned: every source, and without recency those that are baselines without it as well."""
        found = []
        for trial in trials_of(view, factory):
            start = trial.start_from
            if trial.source in UNWEIGHTED:
                start = f"{trial.source}_unweighted"
                found.append(replace(trial, name=start, grid={**trial.grid, "half_life": (0,)}))
            elif trial.source == "ease_text" and "ease" in self.candidates.used:
                start = "ease_unweighted"
            found.append(replace(trial, start_from=start))
        return found

    def rank(self, view: Window, tuned: Mapping[str, Tuned], learnt: Mapping[str, dict[str, Blend]]) -> None:
        """Lists of the test users by every model, on every catalogue."""
        factory = SourceFactory(view.log, self.texts, self.candidates, self.seed)
        popularity = RecentPopularity.fit(view.log, tuned["popularity"].parameters["days"])
        inside = self.parameters(tuned)
        catalogues = self.catalogues(view.log)
        views = {name: restrict(view, allowed) for name, allowed in catalogues.items()}
        with self.timed("fit"):
            fitted, others = both(
                lambda: fit_all(factory.in_store, inside),
                lambda: self.peers.rank(views, tuned, catalogues) if self.peers else {},
            )
        with self.timed("rank"):
            alone = self.alone(views, tuned, factory, catalogues)
        for name, allowed in catalogues.items():
            users = views[name]
            popular = popular_lists(users, popularity, allowed)
            with self.timed("rank"):
                blocks = RankedBlocks(
                    ScoredBlocks.of(users, fitted, self.candidates, allowed), learnt[name], self.explore
                )
                lists, chances = rank_all(blocks, self.scratch(f"ranked-{name}"))
                lists |= others.get(name, {}) | alone[name]
            self.lists[name] = {model: filled(ranked, popular) for model, ranked in lists.items()}
            self.describe(name, learnt[name][WHOLE], self.lists[name][WHOLE], chances, users)

    def alone(
        self,
        views: Mapping[str, Window],
        tuned: Mapping[str, Tuned],
        factory: SourceFactory,
        catalogues: Mapping[str, Catalogue | None],
    ) -> dict[str, dict[str, Ints]]:
        """Lists by the models that are no part of the blend, or are with other parameters, by catalogue and model."""
        inside, settings = self.parameters(tuned), self.candidates
        models = {
            model: (model.removesuffix("_unweighted"), found.parameters)
            for model, found in tuned.items()
            if not model.startswith("peer_") and inside.get(model) != found.parameters
        }

        def ranked(source: CandidateSource) -> dict[str, Ints]:
            return {name: rank_alone(source, view, settings, catalogues[name]) for name, view in views.items()}

        found = each_fitted(factory.in_store, models, ranked)
        return {name: {model: lists[name] for model, lists in found.items()} for name in catalogues}

    def reranked(self, cut: Log, view: Window) -> dict[str, Any]:
        """What a language model's re-ranking of the headline's lists is worth; {} if it may spend nothing."""
        if not self.plan:
            return {}
        allowed = self.catalogues(view.log)
        name = list(allowed)[-1]
        test = Ranked(restrict(view, allowed[name]), self.lists[name][WHOLE])
        return rerank(self.data, self.texts, cut, self.validated[name], test, self.plan)

    def describe(self, catalogue: str, blend: Blend, ranked: Ints, chances: Floats, view: Window) -> None:
        """What the ranker of a catalogue learnt, and what its probabilities were worth."""
        assert view.targets is not None
        taken = hits(ranked, view.targets)
        self.found[catalogue] = {
            "gate": blend.model.decision.reason,
            "trees": blend.model.decision.trees,
            "feature_importance": blend.model.ranker.importance(),
            "calibration": calibration_error(chances.ravel(), taken.ravel().astype(float)),
        }

    def report(self, view: Window, tuned: Mapping[str, Tuned]) -> dict[str, Any]:
        """The result: lifts of the headline's catalogue and of all items, and every model's metrics."""
        result: dict[str, Any] = {"models": {}, "ranker": self.found, "stage_seconds": self.seconds}
        for name, allowed in self.catalogues(view.log).items():
            judge = Judge(restrict(view, allowed), self.texts.vectors, allowed, self.data.attributes)
            gains = {model: ndcg(ranked, judge.targets) for model, ranked in self.lists[name].items()}
            prefix = "clean_" if name == "clean" else ""
            result |= self._lifts(gains, prefix)
            result[f"{prefix}fairness"] = judge.fairness(self.lists[name][WHOLE], self.seed)
            result |= self._checked(name, judge, prefix)
            for model, ranked in self.lists[name].items():
                row = result["models"].setdefault(model, _tuned(model, tuned))
                row[f"{prefix}metrics"], row[f"{prefix}slices"] = judge.metrics(ranked), judge.slices(ranked)
        cold = result["models"]["explore"]["slices"].get("new items", {})
        return {**result, "cold_item_recall20": cold.get("recall@20")}

    def _checked(self, catalogue: str, judge: Judge, prefix: str) -> dict[str, Any]:
        """The metrics by a second implementation, on every model's lists, and what the peers took."""
        if not self.peers:
            return {}
        check = self.peers.script.with_name("check.py")
        lists = self.lists[catalogue]
        found = metric_check(self.peers.python, check, self.scratch("check"), lists, judge.targets)
        costs = {model: asdict(cost) for model, cost in self.peers.costs.items()}
        return {f"{prefix}metric_check": found, "peer_costs": costs, "peer_versions": self.peers.versions}

    def _lifts(self, gains: Mapping[str, Floats], prefix: str) -> dict[str, Any]:
        """Of the whole blend: over every baseline, over itself without texts, and without profiles."""
        rivals = [model for model in gains if model in BASELINES or model.startswith("peer_")]
        best = max(rivals, key=lambda model: gains[model].mean())
        weights = draws(len(gains[WHOLE]), self.seed)
        over = {model: lift(gains[WHOLE], gains[model], weights) for model in rivals}
        found: dict[str, Any] = {
            "ndcg10": float(gains[WHOLE].mean()),
            "best_baseline": best,
            "best_baseline_ndcg10": float(gains[best].mean()),
            "lift": over[best]["lift"],
            "lift_ci": over[best]["ci"],
            "lifts": over,
            "p_values": holm({model: found["p"] for model, found in over.items()}),
            "users": len(gains[best]),
        }
        for name, rival in (("text_lift", NO_TEXT), ("profile_lift", DOCUMENTS), ("explore_cost", "explore")):
            if rival in gains:
                difference = lift(gains[WHOLE], gains[rival], weights)
                found |= {name: difference["lift"], f"{name}_ci": difference["ci"]}
        return {prefix + name: value for name, value in found.items()}

    def parameters(self, tuned: Mapping[str, Tuned]) -> dict[str, Parameters]:
        """The sources' parameters inside the blend. Where users are cut at different times, recent means later."""
        found = {name: tuned[name].parameters for name in self.candidates.used}
        if self.protocol == "p2":
            found |= {name: {**found[name], "days": ALL_TIME} for name in SAME_FOR_ALL if name in found}
        return found

    @property
    def features(self) -> tuple[str, ...]:
        """What the ranker may know: nothing dated where users are cut at different times."""
        return NAMES if self.protocol == "p1" else tuple(name for name in NAMES if name not in DATED)

    def scratch(self, name: str) -> Path:
        """An empty folder."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add to a stage's seconds."""
        started = time.monotonic()
        yield
        self.seconds[stage] = round(self.seconds.get(stage, 0) + time.monotonic() - started, 1)
        log.info("%s: %.0f s so far", stage, self.seconds[stage])


def both(one: Callable[[], S], other: Callable[[], T]) -> tuple[S, T]:
    """What two functions return that run at the same time, each on the cores that Ray gives it."""
    with ThreadPoolExecutor(1) as beside:
        begun = beside.submit(other)
        return one(), begun.result()


def _tuned(model: str, tuned: Mapping[str, Tuned]) -> dict[str, Any]:
    if model not in tuned:
        return {"parameters": {}, "seconds": 0}
    found = tuned[model]
    return {"parameters": {**found.parameters, "validation_ndcg@10": found.ndcg}, "seconds": round(found.seconds, 1)}


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
