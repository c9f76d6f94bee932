"""Champion and challenger: who serves and why, that a night stays what it was, and that no night sees a later one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_ranker import CATALOGUE, SMALL, shop, taken_by_week_count

from ray_tasks.interactions.metrics import beats, ndcg
from ray_tasks.ranker.calibration import Calibration
from ray_tasks.ranker.champion import Measured, Version, champion_of, judge
from ray_tasks.ranker.election import Entry, Terms, elect, settle
from ray_tasks.ranker.gate import Decision, Learnt, ServingModel, fit, fold_of
from ray_tasks.ranker.ranked_lists import best, positions
from ray_tasks.ranker.reasons import examples
from ray_tasks.ranker.serialised import MODEL, digest_of, from_files, to_files
from ray_tasks.ranker.trees import FOLDS, Folds, Ranker, Training
from schemas.errors import ModelError

N = 100
FLAT = np.tile([0.2, 0.6], N // 2)
START = datetime(2026, 1, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


class FakeStore:
    """The registry in memory."""

    def __init__(self, is_down: bool = False) -> None:
        self.entries: dict[int, tuple[Version, dict[str, str]]] = {}
        self.is_down = is_down

    def versions(self) -> list[Version]:
        if self.is_down:
            raise ConnectionError("nobody answers")
        return [version for version, _ in self.entries.values()]

    def load(self, version: Version) -> ServingModel:
        return from_files(self.entries[version.number][1])

    def add(self, entry: Entry) -> Version:
        files, number = to_files(entry.model), len(self.entries) + 1
        version = Version(number, entry.as_of, digest_of(files), entry.fits)
        self.entries[number] = (version, files)
        return version

    def promote(self, version: Version, as_of: datetime, reason: str) -> None:
        files = self.entries[version.number][1]
        self.entries[version.number] = (replace(version, promoted=as_of, reason=reason), files)


def model(name: str) -> ServingModel:
    """A model that is known by the reason of its gate."""
    return ServingModel(Ranker(), Decision("ranker", 0, {"ranker": 0.4}, name))


class Nights:
    """Nights on one store; a model is worth to each user what `worth` says of its name, beside a flat 0.4."""

    def __init__(self, worth: dict[str, float], is_down: bool = False) -> None:
        self.worth, self.store = worth, FakeStore(is_down)

    def quality(self, found: ServingModel) -> np.ndarray:
        return FLAT + self.worth[found.decision.reason]

    def run(self, number: int, name: str, fits: str = "all", days: int = 30):
        """A night that learns the model of a name; returns the name of what serves, and the election."""
        learnt = Learnt(model(name), self.quality(model(name)), FLAT - 0.1, FLAT)
        election = elect(self.store, learnt, Terms(day(number), fits, days), self.quality)
        election = settle(self.store, election, Entry(learnt.model, day(number), fits, {}))
        return election.model.decision.reason, election


def test_the_first_night_makes_the_champion_and_a_challenger_takes_over_only_by_more_than_noise():
    nights = Nights({"a": 0, "b": 0, "c": 0.1, "d": 0})
    assert [nights.run(n, name)[0] for n, name in enumerate("abcd")] == ["a", "a", "c", "c"]
    promoted = [version.number for version in nights.store.versions() if version.promoted]
    assert promoted == [1, 3]


def test_a_night_run_again_is_served_and_explained_as_the_first_time():
    nights = Nights({"a": 0, "b": 0, "c": 0.1})
    for number, name in enumerate("abc"):
        first, again = nights.run(number, name), nights.run(number, name)
        assert (first[0], first[1].reason, first[1].serving) == (again[0], again[1].reason, again[1].serving)
    assert len(nights.store.entries) == 3
    earlier = nights.run(1, "b")
    assert earlier[0] == "a"  # the champion of the day after is not known to this night
    assert len(nights.store.entries) == 3


def test_an_old_night_never_uses_what_a_later_one_learnt_and_does_not_unseat_it():
    nights = Nights({"new": 0.3, "old": 0})
    nights.run(10, "new")
    assert nights.run(5, "old")[0] == "old"
    assert nights.run(11, "old")[0] == "new"


def test_without_a_registry_the_challenger_serves_and_the_record_says_so():
    served, election = Nights({"a": 0}, is_down=True).run(0, "a")
    assert (served, election.serving) == ("a", "not registered")
    assert election.reason == "no registry (ConnectionError): tonight's ranker serves"


def test_a_registry_that_fails_when_the_lists_are_out_does_not_fail_the_night():
    nights = Nights({"a": 0})
    learnt = Learnt(model("a"), FLAT, FLAT, FLAT)
    election = elect(nights.store, learnt, Terms(day(0), "all", 30), nights.quality)
    nights.store.is_down = True
    settled = settle(nights.store, election, Entry(learnt.model, day(0), "all", {}))
    assert settled.model == learnt.model
    assert settled.reason.endswith("not registered (ConnectionError)")


def test_other_features_or_sources_have_another_champion():
    nights = Nights({"a": 0.3, "b": 0})
    nights.run(0, "a", fits="all")
    assert nights.run(1, "b", fits="few")[0] == "b"
    assert nights.run(2, "b", fits="all")[0] == "a"


def test_a_champion_whose_files_do_not_open_is_replaced():
    nights = Nights({"a": 0.3, "b": 0})
    nights.run(0, "a")
    nights.store.entries[1][1].pop(MODEL)
    served, election = nights.run(1, "b")
    assert (served, election.reason) == ("b", "version 1 does not open")
    assert election.version.number == 2


def test_a_night_without_enough_to_learn_from_keeps_the_champion_and_registers_nothing():
    nights, nothing = Nights({"a": 0}), ServingModel(Ranker(), Decision("ranker", 0, {}, "too few"))
    for store, served in ((nights.store, "too few"), (FakeStore(), "too few")):
        election = elect(store, Learnt(nothing, *[np.zeros(0)] * 3), Terms(day(0), "all", 30), nights.quality)
        assert settle(store, election, Entry(nothing, day(0), "all", {})).model.decision.reason == served
        assert not store.versions()
    nights.run(1, "a")
    election = elect(nights.store, Learnt(nothing, *[np.zeros(0)] * 3), Terms(day(2), "all", 30), nights.quality)
    assert (election.model.decision.reason, election.version.number) == ("a", 1)


AGES = [(0, "stays"), (30, "stays"), (31, "goes")]


@pytest.mark.parametrize(("age", "equal"), AGES)
def test_the_burden_of_proof_turns_with_age(age, equal):
    found = {ahead: judge(Measured(FLAT + ahead, FLAT, FLAT - 0.1), age, 30).replaces for ahead in (-0.1, 0.0, 0.1)}
    assert found == {-0.1: False, 0.0: equal == "goes", 0.1: True}


def test_a_champion_that_a_single_source_beats_goes_however_the_challenger_compares():
    verdict = judge(Measured(FLAT - 0.1, FLAT, FLAT + 0.1), 0, 30)
    assert (verdict.replaces, verdict.reason) == (True, "the best single source beats the champion by more than noise")


qualities = st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=2, max_size=12).map(np.array)


@given(qualities, st.integers(0, 60), st.integers(0, 60))
def test_whoever_serves_is_not_beaten_by_the_other_or_by_a_source(values, age, days):
    measured = Measured(*values.T)
    verdict = judge(measured, age, days)
    if not verdict.replaces:
        assert not beats(measured.challenger, measured.champion)
        assert not beats(measured.source, measured.champion)
    elif age <= days:
        assert beats(measured.challenger, measured.champion) or beats(measured.source, measured.champion)
    assert verdict.reason


dated = st.builds(
    lambda number, learnt, later, fits: Version(
        number, day(learnt), "", fits, None if later is None else day(learnt + later)
    ),
    st.integers(1, 99),
    st.integers(0, 9),
    st.one_of(st.none(), st.integers(0, 9)),
    st.sampled_from("ab"),
)


@given(st.lists(dated, max_size=8, unique_by=lambda version: version.number), st.integers(0, 20))
def test_a_champion_is_promoted_fits_and_comes_from_the_nights_own_past(versions, number):
    found = champion_of(versions, day(number), "a")
    if found is None:
        assert not any(v.promoted and v.promoted <= day(number) and v.fits == "a" for v in versions)
    else:
        assert found.fits == "a"
        assert found.as_of <= found.promoted <= day(number)
        later = [v for v in versions if v.promoted and v.promoted > found.promoted and v.fits == "a"]
        assert all(v.promoted > day(number) for v in later)
    assert champion_of(versions[::-1], day(number), "a") == found


@pytest.fixture(scope="module")
def learnt():
    lists, targets = taken_by_week_count(60)
    return lists, targets, fit(lists, targets, CATALOGUE, SMALL, seed=1)


def test_a_model_comes_back_from_its_files_as_it_was(learnt):
    lists, _, found = learnt
    files = to_files(found.model)
    again = from_files(files)
    assert again == found.model
    assert np.array_equal(again.score(lists), found.model.score(lists))
    assert len(files) == 1 + FOLDS
    assert digest_of(to_files(again)) == digest_of(files)
    with pytest.raises(ModelError, match=r"trees-0\.txt"):
        from_files({name: text for name, text in files.items() if name != "trees-0.txt"})
    with pytest.raises(ModelError, match="format 0"):
        from_files({**files, MODEL: files[MODEL].replace('"format": 1', '"format": 0')})


@given(
    st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1)), max_size=4).map(sorted),
    st.dictionaries(st.text(max_size=5), st.floats(0, 1), max_size=3),
    st.booleans(),
)
def test_calibration_and_decision_survive_to_the_last_bit(curve, figures, by_id):
    scores, chances = tuple(x for x, _ in curve), tuple(y for _, y in curve)
    found = ServingModel(Ranker(), Decision("ease", 3, figures, "é\n"), Calibration(scores, chances), by_id)
    assert from_files(to_files(found)) == found


def test_a_champion_is_measured_on_its_own_users_as_if_it_had_not_seen_them(learnt):
    lists, targets, found = learnt
    assert found.model.folds_by_id
    assert np.array_equal(
        ndcg(positions(lists, found.model.score_unseen(lists), 10, CATALOGUE), targets), found.quality
    )


def test_what_trees_recall_of_their_own_users_counts_for_nothing():
    lists, targets = shop(60, lambda source: None, lambda user, item, taken: (7 * user + 13 * item) % 30)
    training, fold = Training.of(lists), fold_of(lists.user_ids)
    folds = Folds(training, fold, tuple(training.booster(fold != n, SMALL, 1) for n in range(FOLDS)))
    unseen = folds.out_of_fold(25)[25]
    champion = ServingModel(folds.ranker(25), Decision("ranker", 25, {}, ""), folds_by_id=True)
    # The same trees, added up in parts: the last bits may differ, the lists do not.
    again = champion.score_unseen(lists)
    assert np.allclose(again, unseen, rtol=1e-12, atol=0)
    assert np.array_equal(positions(lists, again, 10, CATALOGUE), positions(lists, unseen, 10, CATALOGUE))
    worth, recalled = (
        ndcg(positions(lists, scores, 10, CATALOGUE), targets) for scores in (unseen, champion.score(lists))
    )
    assert beats(recalled, worth)  # nothing can be learnt here: all of the lead is memory


def test_examples_name_what_moved_the_trees_and_never_the_user(learnt):
    lists, _, found = learnt
    rows, rank = best(lists, found.model.score(lists), 1)
    shown = examples(found.model, lists, rows[rank == 1][:3])
    assert [example["example"] for example in shown] == [1, 2, 3]
    assert all({"item_week_count", "trend"} & set(list(example["reasons"])[:2]) for example in shown)
    assert not any("u0" in str(example) for example in shown)
    assert examples(model("no trees"), lists, rows) == []


def test_a_user_is_in_the_same_fold_on_every_night():
    ids = np.array([f"user {n}" for n in range(1_000)], dtype=object)
    folds = fold_of(ids)
    assert np.array_equal(fold_of(ids[::-1]), folds[::-1])
    assert np.bincount(folds, minlength=FOLDS).min() > 150


def test_folds_are_drawn_where_ids_would_leave_one_empty():
    one_fold = [n for n in range(100) if fold_of(np.array([f"u{n:02d}"]))[0] == 0][: 2 * FOLDS]
    lists, targets = shop(2 * FOLDS, lambda source: 1)
    renamed = lists.table.to_pandas()
    renamed["user_id"] = renamed["user_id"].map({f"u{n:02d}": f"u{m:02d}" for n, m in enumerate(one_fold)})
    moved = type(lists).of(lists.table.from_pandas(renamed, schema=lists.table.schema, preserve_index=False))
    found = fit(moved, targets, CATALOGUE, SMALL, seed=1)
    assert not found.model.folds_by_id
    drawn = Folds.of(Training.of(moved), SMALL, seed=1)
    assert sorted(np.bincount(drawn.fold)) == [2] * FOLDS
