"""The benchmark's task on a small published night: what it reads, measures, publishes and keeps."""

import json
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shadow_night import publish_small_night
from small_log import AS_OF, START, Event, item_id, log_of, splits_table
from test_ranking_tasks import CANDIDATES, ITEMS, NIGHT, SETTINGS, SHOP, tables

from ray_tasks import benchmark_ranking
from ray_tasks.benchmark import blend, published, run
from ray_tasks.benchmark.protocols import PROTOCOLS
from ray_tasks.interactions.windows import window
from ray_tasks.retrieval.factory import SourceFactory
from schemas.benchmark import Benchmark, load_benchmark, save_benchmark
from schemas.champions import mlflow_client
from schemas.config import freeze
from schemas.contracts import audit
from schemas.errors import ConfigError, LakeError, NothingToDo
from schemas.lake import Lake
from schemas.night import Task, night_task, run_folder, save_config, task_records
from schemas.published import PublishedNight
from schemas.ranking_config import Evaluation
from schemas.tables import TABLES

SOURCES = ("popularity", "ease", "text")
TABLE = "benchmark_evaluations"


def small_config(folder, run_id="benchmark", **sections):
    """Three sources with tiny grids."""
    small = {"candidates": {**CANDIDATES, "sources": SOURCES}, "ranking": {"top_k": 10, "trees": 5}}
    document = {"source": SHOP, **SETTINGS, **small, **sections}
    store = f"sqlite:///{folder}/mlflow/mlflow.db"
    return freeze(document, run_date=NIGHT, lake=str(folder / "lake"), mlflow_tracking_uri=store, run_id=run_id)


def night_of(config, **changed) -> PublishedNight:
    """A published night: the small one, or with other rows in its tables."""
    publish_small_night(config, {**tables(config), **changed})
    return PublishedNight.last(Task("t", config, Lake(config.lake), {}, "t"))


def splits(events):
    return [row | {"weight": 1.0} for row in splits_table(events).to_pylist()]


def run_task(config) -> dict[str, Any]:
    uri = save_config(config)
    with night_task("benchmark_ranking", uri) as task:
        benchmark_ranking.benchmark_ranking(task, load_benchmark(config))
    return task_records(config)["benchmark_ranking"]


def write_plainly(blocks, uri) -> None:
    """What `write_blocks` writes, in this process: Ray's own part is tested with the night's tasks."""
    Path(uri).mkdir(parents=True)
    for number in range(blocks.count):
        pq.write_table(blocks.table(number), f"{uri}/{number}.parquet")


def tune_plainly(trials, factory, catalogue=None):
    return {trial.name: trial.run(factory, catalogue) for trial in trials}


def fit_plainly(factory, models, work):
    return {name: work(factory.fit(*model)) for name, model in models.items()}


def fit_all_plainly(factory, parameters):
    return {name: factory.fit(name, own) for name, own in parameters.items()}


def learn_plainly(folder, view, variants, *settings):
    return {name: blend.learn_blend(folder, view, sources, *settings) for name, sources in variants.items()}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Both protocols, and then a rerun; returns (configuration, rows, first record, second record)."""
    config = small_config(tmp_path_factory.mktemp("benchmark"))
    publish_small_night(config, tables(config))
    save_benchmark(config, Benchmark(protocols=("p1", "p2")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "tune_all", tune_plainly)
        patch.setattr(run, "fit_all", fit_all_plainly)
        patch.setattr(run, "each_fitted", fit_plainly)
        patch.setattr(run, "learn_blends", learn_plainly)
        for module in (run, blend):
            patch.setattr(module, "write_blocks", write_plainly)
        for module in (run, benchmark_ranking):
            patch.setattr(module, "ray_session", nullcontext)
        patch.setattr(SourceFactory, "in_store", property(lambda factory: factory))
        records = [run_task(config) for _ in range(2)]
    return config, Lake(config.lake).snapshot(TABLE, NIGHT), *records


def test_every_model_is_measured_under_both_protocols(done):
    rows = done[1].read().to_pylist()
    assert audit(TABLES[TABLE], done[1].dataset()) == []
    models = {(row["protocol"], row["catalogue"], row["model"]) for row in rows if row["metric"] == "ndcg@10"}
    named = {"nightrec", "nightrec_no_text", "fusion", *SOURCES}
    for place in (("p1", "clean"), ("p1", "all"), ("p2", "all")):
        assert named <= {model for *found, model in models if tuple(found) == place}
    lifts = [row for row in rows if row["metric"] == "lift_over:ease"]
    assert len(lifts) == 3
    assert all(row["low"] <= row["value"] <= row["high"] and 0 <= row["p_value"] <= 1 for row in lifts)


def test_a_rerun_publishes_nothing_new_and_writes_into_the_same_mlflow_run(done):
    _, _, first, again = done
    assert first["outputs"][TABLE]["changed"]
    assert not again["outputs"][TABLE]["changed"]
    assert again["counters"] == first["counters"]
    assert set(first["inputs"]) == {"splits", "items", "item_documents", "item_embeddings"}


def test_page_json_plots_and_metrics_are_kept(done):
    config, snapshot, record, _ = done
    folder = Path(run_folder(config.lake, config.run_id))
    value = json.loads((folder / "benchmark-p1.json").read_text())["models"]["nightrec"]["clean_metrics"]["ndcg@10"]
    assert f"{value:.4f}" in (folder / "benchmark-p1.html").read_text()
    assert not list(folder.glob("scratch-*"))
    client = mlflow_client(config.mlflow_tracking_uri)
    tracked = client.get_run(record["counters"]["mlflow_run"])
    assert tracked.data.metrics["p1.clean.nightrec.ndcg_10"] == value
    assert tracked.data.metrics["p2.all.nightrec.lift_over_ease"] is not None
    assert tracked.data.tags["nightrec.kind"] == "benchmark"
    assert tracked.data.params["night"] == NIGHT.isoformat()
    assert {entry.path for entry in client.list_artifacts(tracked.info.run_id)} == {
        f"benchmark-{protocol}{ending}"
        for protocol in ("p1", "p2")
        for ending in (".json", ".html", "-ndcg.png", "-lifts.png")
    }
    assert client.get_experiment(tracked.info.experiment_id).name == "nightrec/small/benchmark"
    assert value in [row["value"] for row in snapshot.read().to_pylist()]


@dataclass
class FakeComparison:
    """Remembers what it was given."""

    data: Any
    texts: Any
    protocol: str
    seed: int
    folder: Path
    candidates: Any = None
    ranking: Any = None

    def run(self):
        assert self.folder.is_dir()
        FakeComparison.last = self
        return {"models": {}}


def test_the_comparison_gets_the_nights_data_and_the_runs_settings(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark_ranking, "Comparison", FakeComparison)
    monkeypatch.setattr(benchmark_ranking, "ray_session", nullcontext)
    config = small_config(tmp_path, seed=5)
    save_config(config)
    result = benchmark_ranking.compare(night_of(config), config, "p1", 10)
    given = FakeComparison.last
    assert (given.candidates, given.ranking, given.seed) == (config.candidates, config.ranking, 5)
    assert len(window(PROTOCOLS["p1"](given.data.log), "test").user_ids) == 10
    assert given.texts.vectors.any(axis=1).all()
    assert (result["data"], result["users_asked"], result["seed"]) == ("small", 10, 5)
    assert tuple(result["configuration"]["candidates"]["sources"]) == SOURCES


def test_the_night_is_read_up_to_its_own_midnight(tmp_path):
    config = small_config(tmp_path / "plain")
    plain = published.read_dataset(night_of(config), "small", None)
    after = (AS_OF - START).total_seconds() / 3_600
    future = [Event(user, user % ITEMS, after + hour, "test") for user in range(50) for hour in (0, 1)]
    config = small_config(tmp_path / "planted")
    planted = night_of(config, splits=[*tables(config)["splits"], *splits(future)])
    # A task of a later date reads the same night.
    later = replace(planted, task=replace(planted.task, config=config.model_copy(update={"run_date": None})))
    found = published.read_dataset(later, "small", None)
    assert found.titles == plain.titles
    for name in ("user_ids", "item_ids", "user", "item", "time", "split", "relevant"):
        np.testing.assert_array_equal(getattr(found.log, name), getattr(plain.log, name))
    assert (np.diff(found.log.time) >= 0).all()


def test_texts_brands_and_categories_stand_at_their_items(tmp_path):
    config = small_config(tmp_path)
    items = tables(config)["items"]
    items[3] |= {"categories": ["Drama", "War"], "texts": [{"field": "developer", "text": "Valve"}]}
    found = published.read_dataset(night_of(config, items=items, item_documents=[]), "small", None)
    assert (found.categories[3], found.brands[3], found.brands[4]) == (("Drama", "War"), "Valve", "")
    assert set(found.documents) == {""}
    assert found.log.item_ids.tolist() == [item_id(n) for n in range(ITEMS)]


def test_a_night_without_texts_is_measured_by_ids_alone(tmp_path):
    config = small_config(tmp_path)
    night = night_of(config, item_embeddings=[], item_documents=[])
    data = published.read_dataset(night, "small", None)
    assert published.read_item_texts(night, data, "p1", config.evaluation).empty


def test_profiles_that_quote_what_is_kept_back_are_not_read(tmp_path):
    config = small_config(tmp_path)
    documents = tables(config)["item_embeddings"]
    profiles = [row | {"kind": "profile"} for row in documents]
    night = night_of(config, item_embeddings=[*documents, *profiles])
    data = published.read_dataset(night, "small", None)

    def read(protocol, **shares):
        return bool(published.read_item_texts(night, data, protocol, Evaluation(**shares)).profiles.any())

    assert read("p1")
    assert not read("p1", test_share=0.05)
    assert not read("p2")


EVENT = st.builds(Event, st.integers(0, 9), st.integers(0, 7), st.integers(0, 999), st.just("train"))
EVENTS = st.lists(EVENT, min_size=5, max_size=60)


@given(EVENTS, st.sampled_from(["p1", "p2"]), st.integers(1, 9), st.integers(0, 3))
def test_measuring_some_users_changes_nothing_but_who_is_tested(events, protocol, most, seed):
    log = log_of(sorted(events, key=lambda e: e.hour))
    cut = PROTOCOLS[protocol]
    whole, part = cut(log), cut(published.measured(log, protocol, most, seed))
    for name in ("user", "item", "time", "split"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(part, name))
    everybody, some = window(whole, "test"), window(part, "test")
    assert len(some.user_ids) == min(most, len(everybody.user_ids))
    rows = np.searchsorted(everybody.user_ids, some.user_ids)
    np.testing.assert_array_equal(everybody.targets.take(rows).items, some.targets.items)
    np.testing.assert_array_equal(window(whole, "validation").targets.items, window(part, "validation").targets.items)


@pytest.mark.parametrize("protocol", ["p1", "p2"])
def test_a_night_in_which_nobody_can_be_measured_says_so(tmp_path, protocol):
    config = small_config(tmp_path)
    night = night_of(config, splits=splits([Event(0, 1, 1, "train"), Event(1, 2, 2, "train")]))
    with pytest.raises(NothingToDo, match=f"protocol {protocol}: none of 2 users"):
        benchmark_ranking.compare(night, config, protocol, None)


def test_without_a_published_night_there_is_nothing_to_measure(tmp_path):
    config = small_config(tmp_path)
    with night_task("benchmark_ranking", save_config(config)) as task, pytest.raises(LakeError, match="no night up to"):
        benchmark_ranking.benchmark_ranking(task, Benchmark())


def test_blocks_that_this_process_would_not_find_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark_ranking, "resolve", lambda uri: (None, uri))
    monkeypatch.setattr(benchmark_ranking, "_machines", lambda: 2)
    with pytest.raises(ConfigError, match="2 machines"), benchmark_ranking.scratch(small_config(tmp_path)):
        pass
