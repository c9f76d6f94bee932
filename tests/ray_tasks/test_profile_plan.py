"""The plan of a night: what is stale, the most valuable first, never over budget, and a rerun generates nothing."""

import tempfile
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_tasks.evidence.pieces import Evidence, Piece
from ray_tasks.profiles.entity_files import EntityFiles, in_rounds
from ray_tasks.profiles.plan import Due, Entity, Freshness, generation_key, plan_profiles, recipe_key
from ray_tasks.profiles.prompt_file import PromptFile
from ray_tasks.profiles.publication import paid_for
from ray_tasks.profiles.rows import Answered, Outcome
from ray_tasks.profiles.wire import ANSWERS
from schemas.generation_config import Generator as GeneratorConfig

NIGHT = date(2026, 11, 22)
LABELS = frozenset({"drama", "war"})


def evidence(name: str, texts=("one", "two", "three", "four"), enough: bool = True) -> Evidence:
    pieces = tuple(Piece("recent", text, text) for text in texts)
    return Evidence(name, name, (f"Item: {name}", *texts), pieces, enough=enough)


def entity(name: str, texts=("one", "two", "three", "four"), enough=True, activity=0.0, recipe="r") -> Entity:
    found = evidence(name, texts, enough)
    return Entity(found, recipe, generation_key(recipe, found, ""), activity)


def row(of: Entity, source="llm", reason=None, age: int | None = 1, themes=("drama",)) -> dict:
    return {
        "item_id": of.entity_id,
        "source": source,
        "reason": reason,
        "recipe_key": of.recipe,
        "generation_key": of.key,
        "generated_on": None if age is None else NIGHT - timedelta(days=age),
        "prompt_tokens": 0,
        "output_tokens": 0,
        "evidence": of.evidence.rows(),
        "themes": list(themes),
        "moods": [],
    }


class Planned:
    """A plan, with what becomes of those that it neither asks about nor leaves out."""

    def __init__(self, entities, previous=(), budget=1_000, cost=lambda e: 10, full_refresh=False, night=NIGHT):
        known = {r["item_id"]: r for r in previous}
        freshness = Freshness(night, 0.3, 90, LABELS, full_refresh)
        pairs = [(e, known.get(e.entity_id)) for e in entities]
        planned = plan_profiles(iter(pairs), budget, cost, freshness)
        by_id = {e.entity_id: e for e in entities}
        self.asked, self.over_budget = ([by_id[d.entity_id] for d in p] for p in (planned.asked, planned.over_budget))
        self.too_little_evidence = [e for e in entities if not e.evidence.enough]
        self.reused = [(e, r) for e, r in pairs if e.evidence.enough and freshness.is_fresh(e, r)]
        stale = [(e, r) for e, r in pairs if e.evidence.enough and not freshness.is_fresh(e, r)]
        self.outdated = {e.entity_id: r for e, r in stale if freshness.may_serve_on(r)}


def ids(entities) -> list[str]:
    return [e.entity_id for e in entities]


def after(planned) -> list[dict]:
    """What a night that carried the plan out would have published; every third answer is rejected."""
    answered = [row(e, age=0) if n % 3 else row(e, "template", "rejected", 0, ()) for n, e in enumerate(planned.asked)]
    rest = [
        planned.outdated.get(e.entity_id) or row(e, "template", "over_budget", None, ()) for e in planned.over_budget
    ]
    little = [row(e, "template", "too_little_evidence", None, ()) for e in planned.too_little_evidence]
    return [*(r for _, r in planned.reused), *answered, *rest, *little]


drawn_entities = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(1, 60),
        st.sampled_from(["new", "same", "rejected", "changed", "old", "unknown label", "other recipe"]),
        st.integers(0, 5),
    ),
    max_size=25,
)


@given(drawn_entities, st.integers(0, 600), st.booleans())
def test_a_plan_covers_everyone_once_within_budget_and_its_rerun_asks_nobody(drawn, budget, full_refresh):
    everyone = [entity(f"{n:02d}", enough=enough, activity=a) for n, (enough, _, _, a) in enumerate(drawn)]
    price = {f"{n:02d}": cost for n, (_, cost, _, _) in enumerate(drawn)}

    def cost(e):
        return price[e.entity_id]

    def before(e, state):
        other = entity(e.entity_id, ("five", "six"), recipe="r" if state != "other recipe" else "q")
        return {
            "same": row(e),
            "rejected": row(e, "template", "rejected", themes=()),
            "changed": row(other),
            "old": row(entity(e.entity_id, ("one", "two", "three", "five")), age=200),
            "unknown label": row(e, themes=("western",)),
            "other recipe": row(other),
        }[state]

    previous = [before(e, s) for e, (enough, _, s, _) in zip(everyone, drawn, strict=True) if s != "new" and enough]
    first = Planned(everyone, previous, budget, cost, full_refresh)
    parts = [first.asked, first.over_budget, first.too_little_evidence, [e for e, _ in first.reused]]
    assert sorted(e.entity_id for part in parts for e in part) == sorted(price)
    assert sum(map(cost, first.asked)) <= budget
    again = Planned(everyone, after(first), budget, cost, full_refresh)
    assert again.asked == []
    assert {e.entity_id for e, _ in again.reused} == {e.entity_id for e, _ in first.reused} | set(ids(first.asked))
    assert set(ids(again.over_budget)) == set(ids(first.over_budget))


def test_activity_times_staleness_decides_who_is_asked_first_and_nobody_overtakes():
    old = entity("half-stale", ("one", "two", "new", "newer"), activity=9)
    busy, idle = entity("busy", activity=6), entity("idle", activity=1)
    previous = [row(entity("half-stale"))]
    assert ids(Planned([idle, old, busy], previous).asked) == ["busy", "half-stale", "idle"]
    tight = Planned([idle, old, busy], previous, 25, lambda e: 20 if e is old else 10)
    assert ids(tight.asked) == ["busy"]
    assert ids(tight.over_budget) == ["half-stale", "idle"]


def test_the_next_night_reuses_what_is_unchanged_and_spends_its_budget_on_the_next():
    everyone = [entity(name) for name in "abcd"]
    first = Planned(everyone, budget=20)
    second = Planned(everyone, after(first), 20, night=NIGHT + timedelta(days=1))
    assert ids(first.asked) == ["a", "b"]
    assert {e.entity_id for e, _ in second.reused} == {"a", "b"}
    assert ids(second.asked) == ["c", "d"]


@pytest.mark.parametrize(
    ("texts", "age", "stale"),
    [
        (("one", "two", "three", "four"), 1_000, False),  # nothing is new, however old
        (("one", "two", "three", "five"), 1, False),  # a quarter is new
        (("one", "two", "three", "five"), 90, True),  # a quarter is new, and the profile is old
        (("one", "two", "five", "six"), 1, True),  # half is new
        (("one", "two"), 1, False),  # what is gone is no news
    ],
)
def test_a_profile_is_stale_by_new_evidence_or_by_age(texts, age, stale):
    planned = Planned([entity("a", texts)], [row(entity("a"), age=age)])
    assert bool(planned.asked) == stale


def test_context_makes_no_profile_stale():
    known = entity("a")
    pieces = (*known.evidence.pieces, Piece("like", "war, drama", "z"), Piece("like", "crime", "y"))
    more = Entity(Evidence("a", "a", ("other lines",), pieces), "r", "another key")
    assert Planned([more], [row(known, age=500)]).asked == []


def test_a_stale_profile_serves_on_while_the_budget_does_not_reach_it():
    changed = entity("a", ("five",))
    planned = Planned([changed], [row(entity("a"))], budget=0)
    assert ids(planned.over_budget) == ["a"]
    assert planned.outdated["a"]["source"] == "llm"
    assert Planned([changed], [row(entity("a"), themes=("gone",))], budget=0).outdated == {}


def test_a_template_for_want_of_budget_is_never_reused():
    only = entity("a")
    assert ids(Planned([only], [row(only, "template", "over_budget", None, ())]).asked) == ["a"]


def test_too_little_evidence_is_never_asked_nor_charged():
    planned = Planned([entity("a", enough=False), entity("b")], budget=10)
    assert ids(planned.asked) == ["b"]
    assert ids(planned.too_little_evidence) == ["a"]


def test_the_key_changes_with_each_thing_that_decides_the_output():
    prompt = PromptFile("v1", "Instruction\n\nItem: a")
    config = GeneratorConfig(path="x")

    def key(config=config, revision="r", prompt=prompt, found=None, schema="{}"):
        return generation_key(recipe_key(config, revision, prompt), found or evidence("a"), schema)

    others = [
        key(revision="r2"),
        key(config.model_copy(update={"max_new_tokens": 9})),
        key(config.model_copy(update={"reasoning": True})),
        key(prompt=PromptFile("v1", "Edited\n\nItem: a")),
        key(found=evidence("a", ("other",))),
        key(schema='{"enum": ["other"]}'),
    ]
    assert len({key(), *others}) == 7
    assert key(config.model_copy(update={"nightly_token_budget": 1, "batch_size": 1, "actors": 1})) == key()


@given(st.permutations([f"u{n:02d}" for n in range(12)]), st.integers(1, 5), st.integers(1, 5), st.integers(0, 12))
def test_who_is_asked_comes_in_the_plans_order_round_by_round(order, part, size, most):
    known = [replace(entity(name), figures={"confidence": 0.5}) for name in sorted(order)]
    parts = [known[at : at + part] for at in range(0, len(known), part)]
    due = [Due(name, 1.0, 10) for name in order[:most]]
    with tempfile.TemporaryDirectory() as folder:
        files = EntityFiles(Path(folder), parts)
        assert list(files) == parts
        for one_pass in (parts, files):
            rounds = list(in_rounds(one_pass, due, size))
            assert [e for one in rounds for e in one] == [entity(name) for name in order[:most]]
            assert {len(one) for one in rounds[:-1]} <= {size}


def test_of_users_with_the_same_evidence_only_the_one_who_was_answered_is_paid_for():
    same = evidence("same")
    first, second = (Entity(replace(same, entity_id=name), "r", "key") for name in ("u1", "u2"))
    told = {"reason": None, "profile": "{}", "output": "", "prompt_tokens": 1, "output_tokens": 1}
    spool = [pa.Table.from_pylist([{"entity_id": "u1", "generation_key": "key", "attempt": 0, **told}], schema=ANSWERS)]
    assert list(paid_for(spool, [first, second])) == [("key", "u1")]


def test_packed_outcomes_are_what_was_put_in_and_the_latest_counts():
    attempts = [{"attempt": n, "reason": None if n else "too_long", "output": "é" * n} for n in range(2)]
    first, second = Outcome(tuple(attempts)), Outcome(tuple(attempts[1:]))
    answered = Answered()
    answered.add({"u1": first, "u2": first})
    answered.add({"u2": second, "u3": second})
    assert dict(answered) == {"u1": first, "u2": second, "u3": second}
    assert ("u1" in answered, "u4" in answered, answered.get("u4"), len(answered)) == (True, False, None, 3)
