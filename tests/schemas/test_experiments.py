"""Users are in one arm for good, in the shares asked for, and never in two experiments of a layer."""

import hashlib
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import binom, chi2_contingency

from schemas.config import freeze, with_changes
from schemas.errors import ConfigError
from schemas.experiments import Arm, Experiment, Experiments, units

NIGHT = date(2026, 11, 22)
USERS = [f"u{number}" for number in range(20_000)]
salts = st.text(max_size=8)
COLUMNS = {"user_id": "u", "item_id": "i", "timestamp": "t"}
SOURCE = {
    "name": "toy",
    "interactions": {"format": "csv", "path": "events.csv", "columns": COLUMNS},
    "items": {"format": "csv", "path": "items.csv", "columns": {"item_id": "i", "title": "t"}},
}


def arms(*weights: float) -> tuple[Arm, ...]:
    return tuple(Arm(name=name, weight=weight) for name, weight in zip("abcdef", weights, strict=False))


def experiment(name: str = "one", **settings) -> Experiment:
    return Experiment(**{"name": name, "arms": arms(1, 1), "start": NIGHT, **settings})


@given(st.lists(st.text(max_size=12), max_size=40, unique=True), salts, st.integers(0, 13), st.randoms())
def test_an_arm_is_the_same_every_night_and_whoever_else_is_asked_for(users, salt, nights, chance):
    one = experiment(salt=salt, traffic=0.7, arms=arms(1, 2, 1))
    every = Experiments(planned=(one,), holdout=0.1)
    first = dict(zip(users, every.labels(users, NIGHT), strict=True))
    shuffled = chance.sample(users, len(users))
    assert dict(zip(shuffled, every.labels(shuffled, NIGHT + timedelta(days=nights)), strict=True)) == first


@settings(max_examples=10)
@given(salts, st.floats(0.05, 1), st.lists(st.floats(0.5, 3), min_size=2, max_size=4))
def test_arms_get_their_shares_within_binomial_error(salt, traffic, weights):
    one = experiment(salt=salt, layer="shares", traffic=traffic, arms=arms(*weights))
    numbers = one.arm_numbers(USERS)
    expected = [traffic * share for share in one.shares.values()]
    for number, share in enumerate(expected):
        low, high = binom.interval(1 - 1e-7, len(USERS), share)
        assert low <= (numbers == number).sum() <= high


@given(st.floats(0.05, 0.9), st.floats(0.01, 0.9), salts)
def test_experiments_of_a_layer_share_no_user(middle, width, salt):
    one = experiment("one", traffic=middle, salt=salt)
    other = experiment("other", offset=middle, traffic=min(width, 1 - middle), salt=salt)
    found = Experiments(planned=(one, other)).arms(USERS[:500], NIGHT)
    assert not ((found["one"] >= 0) & (found["other"] >= 0)).any()


def test_layers_and_experiments_are_independent_of_each_other():
    both = Experiments(planned=(experiment("one"), experiment("other", layer="second")))
    later = experiment("later", start=NIGHT + timedelta(days=20))
    drawn = {**both.arms(USERS, NIGHT), "later": later.arm_numbers(USERS)}
    for one, other in (("one", "other"), ("one", "later"), ("other", "later")):
        table = np.histogram2d(drawn[one], drawn[other], 2)[0]
        assert chi2_contingency(table).pvalue > 0.001


@given(st.floats(0, 0.9), salts)
def test_the_holdout_is_in_no_experiment(share, salt):
    users = USERS[:300]
    every = Experiments(holdout=share, holdout_salt=salt, planned=(experiment(), experiment("other", layer="second")))
    held = every.labels(users, NIGHT) == "holdout"
    assert all((numbers[held] == -1).all() for numbers in every.arms(users, NIGHT).values())
    assert (held == (units(f"holdout:{salt}", users) < share)).all()


def test_the_hash_is_the_one_that_sql_engines_compute():
    expected = int(hashlib.sha256(b"arm:one::u1").hexdigest()[:13], 16) / 2**52
    assert units("arm:one:", ["u1"]) == [expected]
    assert units("arm:one:", []).shape == (0,)


def test_labels_say_which_settings_make_a_users_list():
    short = (Arm(name="long"), Arm(name="short", changes={"ranking__top_k": 5}))
    mixed = (Arm(name="plain"), Arm(name="mixed", changes={"final_list__diversity": 0.3}))
    planned = (experiment("size", arms=short), experiment("mix", layer="second", arms=mixed, traffic=0.5))
    every = Experiments(planned=planned)
    labels = set(every.labels(USERS[:300], NIGHT))
    assert labels == {*(f"{m}size/{s}" for m in ("mix/plain+", "mix/mixed+", "") for s in ("long", "short"))}
    assert every.changes("mix/mixed+size/short") == {"final_list__diversity": 0.3, "ranking__top_k": 5}
    assert every.changes("default") == every.changes("holdout") == every.changes("size/long") == {}


@pytest.mark.parametrize(("days", "running"), [(-1, False), (0, True), (13, True), (14, False)])
def test_an_experiment_runs_from_its_start_for_its_nights(days, running):
    labels = Experiments(planned=(experiment(),)).labels(USERS[:5], NIGHT + timedelta(days=days))
    assert set(labels) <= ({"one/a", "one/b"} if running else {"default"})


def test_every_problem_of_an_experiment_is_told_at_once():
    with pytest.raises(ValidationError) as failure:
        experiment(
            arms=arms(1, 1)[:1] * 2, offset=0.5, traffic=0.6, primary="ctr", guardrails=("ctr", "dwell", "dwell")
        )
    for problem in ("share a name", "beyond the layer's end", "primary and guardrail", "named twice"):
        assert problem in str(failure.value)


def test_every_clash_between_experiments_is_told_at_once():
    change = (Arm(name="a"), Arm(name="b", changes={"ranking__top_k": 5}))
    planned = (
        experiment("one", arms=change),
        experiment("other", offset=0.5, traffic=0.2, arms=change),
        experiment("third", layer="second", arms=change),
        experiment("later", start=NIGHT + timedelta(days=14), arms=change),
        experiment("later", start=NIGHT + timedelta(days=90)),
    )
    with pytest.raises(ValidationError) as failure:
        Experiments(planned=planned)
    text = str(failure.value)
    assert "two experiments are named later" in text
    assert "one and other share 0.2 of layer default" in text
    assert "one and third change ['ranking__top_k']" in text
    assert "one and later" not in text


@pytest.fixture
def document(monkeypatch):
    for name in ("NIGHTREC_LAKE", "NIGHTREC_ASSETS", "NIGHTREC_MLFLOW"):
        monkeypatch.setenv(name, f"/somewhere/{name.lower()}")
    return {"source": SOURCE, "run_date": NIGHT}


def planned(*changes: dict, start: date = NIGHT) -> dict:
    found = [{"name": name} for name in ("a", "b", "c")[: 1 + len(changes)]]
    for arm, change in zip(found[1:], changes, strict=True):
        arm["changes"] = change
    return {"planned": [{"name": "one", "arms": found, "start": str(start)}]}


def test_arms_are_checked_against_the_configuration_before_the_night_begins(document):
    broken = planned({"ranking__topk": 3}, {"ranking__top_k": 0})
    with pytest.raises(ConfigError) as failure:
        freeze({**document, "experiments": broken})
    text = str(failure.value)
    assert "experiment one, arm b: ranking.topk: unknown key; did you mean 'top_k'?" in text
    assert "experiment one, arm c: ranking.top_k" in text
    over = planned({"ranking__topk": 3}, start=NIGHT - timedelta(days=14))
    assert freeze({**document, "experiments": over}).experiments.planned


@pytest.mark.parametrize("key", ["source__name", "evaluation__min_rating", "seed", "generator__model", "ranking__arm"])
def test_an_arm_changes_only_what_is_made_for_each_user(document, key):
    with pytest.raises(ConfigError, match="expected section__setting"):
        freeze({**document, "experiments": planned({key: 1})})


def test_the_settings_of_an_arm_are_the_nights_with_its_changes(document):
    night = freeze({**document, "experiments": planned({"ranking__top_k": 5})})
    arm = with_changes(night, night.experiments.changes("one/b"))
    assert arm.ranking.top_k == 5
    same = {"experiments", "ranking"}
    assert arm.model_dump(exclude=same) == night.model_dump(exclude=same)
