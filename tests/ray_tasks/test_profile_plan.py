"""The budget plan: the most valuable first, never over budget, and a rerun generates nothing."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from ray_tasks.profiles.plan import Entity, generation_key, plan_profiles
from ray_tasks.profiles.prompts import Evidence, PromptFile, item_evidence
from schemas.config import Generator as GeneratorConfig

NIGHT, BEFORE = date(2026, 11, 22), date(2026, 11, 21)


def entity(name: str, enough: bool = True, key: str | None = None) -> Entity:
    return Entity(Evidence(name, (f"Item: {name}",), name, (), enough=enough), key or f"key-{name}")


def row(name: str, source: str = "llm", reason: str | None = None, on: date = BEFORE, key: str | None = None) -> dict:
    return {
        "item_id": name,
        "source": source,
        "reason": reason,
        "generation_key": key or f"key-{name}",
        "generated_on": on,
    }


def plan(entities, previous=(), budget=100, cost=lambda e: 10, full_refresh=False):
    known = {r["item_id"]: r for r in previous}
    return plan_profiles(entities, known, NIGHT, budget, cost, full_refresh=full_refresh)


def after(planned, night=NIGHT) -> list[dict]:
    """What a night that carried the plan out would have published; every third answer is rejected."""
    answered = [
        row(e.entity_id, on=night) if n % 3 else row(e.entity_id, "template", "rejected", night)
        for n, e in enumerate(planned.asked)
    ]
    rest = [row(e.entity_id, "template", "over_budget", None) for e in planned.over_budget]
    little = [row(e.entity_id, "template", "too_little_evidence", None) for e in planned.too_little_evidence]
    return [*planned.reused, *answered, *rest, *little]


entities = st.lists(
    st.tuples(st.booleans(), st.integers(1, 60), st.sampled_from(["new", "old", "rejected", "stale"])), max_size=25
)


@given(entities, st.integers(0, 600), st.booleans())
def test_a_plan_covers_everyone_once_within_budget_and_its_rerun_asks_nobody(drawn, budget, full_refresh):
    all_ = [entity(str(n), enough) for n, (enough, _, _) in enumerate(drawn)]
    price = {str(n): cost for n, (_, cost, _) in enumerate(drawn)}
    made = {"old": ("llm", None, None), "rejected": ("template", "rejected", None), "stale": ("llm", None, "other")}
    previous = [
        row(str(n), made[state][0], made[state][1], key=made[state][2])
        for n, (enough, _, state) in enumerate(drawn)
        if state in made and enough
    ]

    def cost(e):
        return price[e.entity_id]

    first = plan(all_, previous, budget, cost, full_refresh)
    parts = [first.asked, first.over_budget, first.too_little_evidence]
    ids = [e.entity_id for part in parts for e in part] + [r["item_id"] for r in first.reused]
    assert sorted(ids) == sorted(price)
    assert sum(map(cost, first.asked)) <= budget
    again = plan(all_, after(first), budget, cost, full_refresh)
    assert again.asked == ()
    assert {r["item_id"] for r in again.reused} == {r["item_id"] for r in first.reused} | {
        e.entity_id for e in first.asked
    }


def test_the_most_valuable_are_asked_first_and_nobody_overtakes():
    first = plan([entity("a"), entity("b"), entity("c")], budget=25, cost=lambda e: 30 if e.entity_id == "b" else 10)
    assert [e.entity_id for e in first.asked] == ["a"]
    assert [e.entity_id for e in first.over_budget] == ["b", "c"]


def test_the_next_night_reuses_what_is_unchanged_and_spends_its_budget_on_the_next():
    everyone = [entity(name) for name in "abcd"]
    first = plan(everyone, budget=20)
    second = plan_profiles(everyone, {r["item_id"]: r for r in after(first)}, date(2026, 11, 23), 20, lambda e: 10)
    assert [e.entity_id for e in first.asked] == ["a", "b"]
    assert {r["item_id"] for r in second.reused} == {"a", "b"}
    assert [e.entity_id for e in second.asked] == ["c", "d"]


def test_changed_evidence_is_generated_anew():
    changed = plan([entity("a", key="new")], [row("a")])
    assert [e.entity_id for e in changed.asked] == ["a"]


def test_a_template_for_want_of_budget_is_never_reused():
    assert [e.entity_id for e in plan([entity("a")], [row("a", "template", "over_budget", None)]).asked] == ["a"]


def test_too_little_evidence_is_never_asked_nor_charged():
    planned = plan([entity("a", enough=False), entity("b")], budget=10)
    assert [e.entity_id for e in planned.asked] == ["b"]
    assert [e.entity_id for e in planned.too_little_evidence] == ["a"]


def test_the_key_changes_with_each_thing_that_decides_the_output():
    prompt = PromptFile("v1", "Instruction\n\nItem: a")
    config = GeneratorConfig(path="x")
    evidence = item_evidence("1", "A title", ["Drama"], "title: A title", "movie")
    base = generation_key(config, "r", prompt, evidence)
    others = [
        generation_key(config, "r2", prompt, evidence),
        generation_key(config.model_copy(update={"max_new_tokens": 9}), "r", prompt, evidence),
        generation_key(config, "r", PromptFile("v2", prompt.text), evidence),
        generation_key(config, "r", prompt, item_evidence("1", "A title", ["War"], "title: A title", "movie")),
    ]
    assert len({base, *others}) == 5
    cheaper = config.model_copy(update={"nightly_token_budget": 1, "batch_size": 1, "actors": 1})
    assert generation_key(cheaper, "r", prompt, evidence) == base
