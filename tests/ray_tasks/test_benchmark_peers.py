"""Peers are asked through files, keep the rules, and are tuned as Nightrec's own sources are."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from small_log import Event, log_of

from ray_tasks.benchmark.blend import K, restrict
from ray_tasks.benchmark.metric_check import metric_check
from ray_tasks.benchmark.peer_files import read_lists
from ray_tasks.benchmark.peers import TARGETS, TRAINING, Peers, epoch_seconds, grids
from ray_tasks.interactions.metrics import ndcg
from ray_tasks.interactions.rows import Rows
from ray_tasks.interactions.windows import window
from ray_tasks.retrieval.candidate_blocks import Users, proposals
from ray_tasks.retrieval.tuning import Tuned
from schemas.errors import BenchmarkError

ROOT = Path(__file__).resolve().parents[2]
FAKE, METRICS = (Path(__file__).parent / name for name in ("fake_peer.py", "fake_metrics.py"))
REAL = ROOT / ".venv-peers" / "bin" / "python"
SPLITS = ("train", "train", "train", "validation", "test")
EVENTS = [Event(u, (u * u + n) % 8, 10 * n + u, SPLITS[n]) for u in range(6) for n in range(5)]
EVENTS += [Event(7, 0, 60, "validation"), Event(8, 1, 95, "test")]
ALLOWED = np.arange(8) < 5


def peers_of(folder, **rounds) -> Peers:
    return Peers(Path(sys.executable), FAKE, folder, seed=1, tuning_users=100, grids=lambda log: rounds)


def by_popularity(view, catalogue, factor):
    """What the fake ranks, worked out here; nothing for users without a history."""
    counts = np.bincount(view.log.item, minlength=8)
    scores = np.tile((100 + factor * counts).astype(np.float32), (len(view.user_ids), 1))
    ranked = proposals(scores, Users.of(view).history, K, catalogue)
    ranked[view.history.lengths == 0] = -1
    return ranked


def test_a_peer_is_tuned_on_validation_users_with_a_history(tmp_path):
    view = window(log_of(EVENTS), "validation")
    assert view.user_ids[view.history.lengths == 0].tolist() == ["u07"]
    tuned = peers_of(tmp_path, peer_fake=({"factor": (-1, 1, 2)},)).tune(view, None)["peer_fake"]
    known = view.history.lengths > 0
    worth = {f: ndcg(by_popularity(view, None, f), view.targets)[known].mean() for f in (-1, 1)}
    assert worth[-1] != worth[1]
    # 2 ranks as 1 does: ties go to the first tried.
    assert tuned.parameters == {"factor": max(worth, key=worth.get)}
    assert tuned.ndcg == pytest.approx(max(worth.values()))


def test_a_peer_ranks_every_catalogue_by_one_fit_on_the_log_of_the_window(tmp_path):
    view, catalogues = window(log_of(EVENTS), "test"), {"all": None, "clean": ALLOWED}
    views = {name: restrict(view, one) for name, one in catalogues.items()}
    peers = peers_of(tmp_path, peer_fake=())
    found = peers.rank(views, {"peer_fake": Tuned({"factor": 1.0}, 0)}, catalogues)
    for name, catalogue in catalogues.items():
        assert found[name]["peer_fake"].tolist() == by_popularity(views[name], catalogue, 1).tolist()
    assert peers.costs["peer_fake"].peak_rss_mb > 10
    assert set(peers.versions) == {"python", "numpy"}
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_peer_that_dies_is_an_error_with_its_last_words(tmp_path):
    view = window(log_of(EVENTS), "test")
    with pytest.raises(BenchmarkError, match=r"peer_dead.* ended with 1 and no answer(?s:.)*no memory left"):
        peers_of(tmp_path, peer_dead=()).rank({"all": view}, {"peer_dead": Tuned({}, 0)}, {"all": None})
    with pytest.raises(BenchmarkError, match="make peers"):
        Peers(tmp_path / "python", FAKE, tmp_path, 1, 100).tune(window(log_of(EVENTS), "validation"), None)


@pytest.mark.parametrize(
    ("user", "items", "words"),
    [
        ([0], [[6]], "1 items outside the catalogue"),
        ([0], [[0]], "1 items already taken"),
        ([0], [[2, 2]], "twice in a list"),
        ([0, 0], [[2], [2]], "one list"),
        ([7], [[2]], "one list"),
        ([0], [[*range(K + 1)]], "at most 20"),
    ],
)
def test_lists_that_break_the_rules_are_refused(user, items, words):
    view = window(log_of([Event(0, 0, 1, "train"), Event(0, 1, 2, "test"), Event(7, 2, 1, "train")]), "test")
    assert read_lists(answer([0], [[2, 1]]), view, ALLOWED, "peer")[0, :3].tolist() == [2, 1, -1]
    assert (read_lists(answer([], []), view, ALLOWED, "peer") == -1).all()
    with pytest.raises(BenchmarkError, match=words):
        read_lists(answer(user, items), view, ALLOWED, "peer")


def answer(user, items) -> pa.Table:
    return pa.table({"user": pa.array(user, pa.int64()), "items": pa.array(items, pa.list_(pa.int64()))})


def test_a_second_implementation_of_the_metrics_agrees_or_fails_the_benchmark(tmp_path):
    chance = np.random.default_rng(3)
    targets = Rows.of(
        np.repeat(np.arange(40), 12), np.concatenate([chance.permutation(30)[:12] for _ in range(40)]), 40
    )
    ranked = np.array([chance.permutation(30)[:K] for _ in range(40)])
    ranked[3, 5:], ranked[4] = -1, -1
    found = metric_check(Path(sys.executable), METRICS, tmp_path / "check", {"a": ranked}, targets)
    assert found.pop("max_abs_difference") < 1e-12
    assert found == {"library": "fake", "version": "1", "models": ["a"], "users": 40}
    with pytest.raises(BenchmarkError, match="off: mrr@20 of user"):
        metric_check(Path(sys.executable), METRICS, tmp_path / "check", {"a": ranked, "off": ranked}, targets)


def test_of_many_users_a_sample_is_checked_and_a_user_is_named_by_the_place_among_all(tmp_path, monkeypatch):
    monkeypatch.setattr("ray_tasks.benchmark.metric_check.MOST_USERS", 4)
    targets = Rows.of(np.arange(10), np.zeros(10, dtype=np.int64), 10)
    ranked = np.tile(np.arange(K), (10, 1))
    found = metric_check(Path(sys.executable), METRICS, tmp_path / "check", {"a": ranked}, targets)
    assert found["users"] == 4
    with pytest.raises(BenchmarkError, match=r"off: mrr@20 of user [0369] "):
        metric_check(Path(sys.executable), METRICS, tmp_path / "check", {"off": ranked}, targets)


def test_epochs_are_quarters_of_a_budget_that_larger_logs_use_up_sooner():
    small, rest = log_of(EVENTS), {"split": np.zeros(400_000, dtype=np.int64), "relevant": np.ones(400_000, dtype=bool)}
    size = {"user": np.arange(400_000) % 6_000, "item": np.arange(400_000) % 4_000, "time": np.arange(400_000)}
    large = replace(small, **size, **rest)
    for model in ("peer_rectools_sasrec", "peer_rectools_bert4rec"):
        few, many = (grids(log)[model][0]["epochs"] for log in (large, small))
        assert many == [6, 12, 18, 24]
        assert few[0] >= 1
        assert few[-1] < 24
        assert few[-1] * epoch_seconds(large, TARGETS[model]) <= TRAINING


@pytest.mark.skipif(not REAL.exists(), reason="the peers' environment is not installed: make peers")
def test_the_real_peers_and_ranx_answer(tmp_path):
    view = window(log_of(EVENTS), "test")
    scripts = ROOT / "infra" / "bench" / "peers"
    peers = Peers(REAL, scripts / "rank.py", tmp_path, 1, 100)
    first = {
        model: {key: values[0] for grid in rounds for key, values in grid.items()}
        for model, rounds in grids(view.log).items()
    }
    catalogues = {"all": None, "clean": ALLOWED}
    views = {name: restrict(view, one) for name, one in catalogues.items()}
    found = peers.rank(views, {model: Tuned(best, 0) for model, best in first.items()}, catalogues)
    for name, view in views.items():
        assert all((ranked[view.history.lengths > 0, 0] >= 0).all() for ranked in found[name].values())
    agreed = metric_check(REAL, scripts / "check.py", tmp_path / "check", found["all"], views["all"].targets)
    assert agreed["library"] == "ranx"
