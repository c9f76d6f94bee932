"""Profiles through an OpenAI-compatible endpoint that fails: all published, none lost, and what failed is told."""

import json
from collections import Counter
from contextlib import nullcontext
from datetime import date
from pathlib import Path

import pytest
from flaky_endpoint import FAILURES, GOOD, FlakyEndpoint, config, seeded
from writers_here import without_ray

from ray_tasks.evidence.pieces import Evidence, Piece
from ray_tasks.generation import rate_limit
from ray_tasks.generation.factory import make_generator
from ray_tasks.generation.openai_backend import GIVE_UP, SCOUTS, OpenAIGenerator
from ray_tasks.generation.protocol import UNSERVED
from ray_tasks.profiles import publication
from ray_tasks.profiles.costs import money
from ray_tasks.profiles.kinds import ITEM
from ray_tasks.profiles.plan import Entity
from ray_tasks.profiles.writer import ATTEMPTS
from ray_tasks.vocabulary.labels import Vocabulary
from schemas.config import freeze, load_yaml
from schemas.generation_config import Endpoint, Generator
from schemas.lake import Lake
from schemas.night import night_task, save_config

EXAMPLE = Path(__file__).parents[2] / "infra" / "configs" / "openai-example.yaml"


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.delenv("NIGHTREC_LLM_API_KEY", raising=False)
    monkeypatch.setattr(rate_limit, "FIRST_WAIT", 0.01)


def entity(number: int) -> Entity:
    lines = (f"Movie: Stone River {number:03d}", "Facts: Drama, river")
    found = Evidence(f"i{number:03d}", f"Stone River {number:03d}", lines, (Piece("facts", "Drama, river"),))
    return Entity(found, "recipe", f"key {number}")


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Publish item profiles written through an endpoint; returns (rows of profiles, rows of rejects)."""
    monkeypatch.setattr(publication, "Writers", without_ray())
    monkeypatch.setattr("ray_tasks.profiles.publication.ray_session", nullcontext)
    columns = {"user_id": "u", "item_id": "i", "timestamp": "t"}
    source = {"name": "s", "interactions": {"format": "csv", "path": "/x", "columns": columns}}
    source["items"] = {"format": "csv", "path": "/x", "columns": {"item_id": "i", "title": "t"}}

    def run(settings: Generator, entities: list[Entity]) -> tuple[list[dict], list[dict]]:
        asked = {**settings.model_dump(), "nightly_token_budget": 10**9}
        document = {"source": source, "generator": asked, "encoder": {"backend": "fake", "path": "unused"}}
        places = {"lake": str(tmp_path / "lake"), "mlflow_tracking_uri": "sqlite://", "run_id": "one"}
        frozen = freeze(document, run_date=date(2026, 11, 22), **places)
        with night_task("item_profiles", save_config(frozen)) as task:
            publication.publish_profiles(task, ITEM, [entities], Vocabulary(()), frozenset())
        lake = Lake(frozen.lake)
        return tuple(lake.snapshot(name, frozen.night).read().to_pylist() for name in (ITEM.table, ITEM.rejects))

    return run


def test_profiles_through_a_flaky_endpoint_are_all_published_and_what_failed_is_among_the_rejects(publish):
    n, endpoint = 60, FlakyEndpoint(seeded(0.6, FAILURES))
    with endpoint.running() as url:
        settings = config(url, timeout_seconds=1.5, concurrency=16).model_copy(update={"batch_size": 20})
        rows, rejects = publish(settings, [entity(number) for number in range(n)])
    assert [row["item_id"] for row in rows] == [f"i{number:03d}" for number in range(n)]
    failed = Counter(row["item_id"] for row in rejects)
    last = {row["item_id"]: row["reason"] for row in sorted(rejects, key=lambda row: row["attempt"])}
    for row in rows:
        is_written = row["source"] == "llm"
        fallback = "unserved" if last.get(row["item_id"]) in UNSERVED else "rejected"
        assert (row["source"], row["reason"]) == (("llm", None) if is_written else ("template", fallback))
        assert failed[row["item_id"]] <= 1 if is_written else failed[row["item_id"]] == ATTEMPTS
    assert {row["reason"] for row in rejects} <= {"timeout", "unavailable", "rate_limited", "truncated", "unparsable"}
    written = [row for row in rows if row["source"] == "llm"]
    assert 30 < len(written) < n
    assert {row["summary"] for row in written} == {json.loads(GOOD)["summary"]}
    assert len(endpoint.tries) == n
    assert max(endpoint.tries.values()) <= ATTEMPTS * 3


def test_an_endpoint_that_goes_down_for_good_takes_no_profile_away_that_was_paid_for(publish):
    """It answers the first 60 once, half of them badly, and fails from their second attempt on."""

    def plan(prompt, number):
        place = int(prompt.split("Stone River ")[-1][:3])
        return 503 if number > 1 or place >= 60 else (200, "cut")[place % 2]

    endpoint = FlakyEndpoint(plan)
    with endpoint.running() as url:
        settings = config(url).model_copy(update={"batch_size": 60})
        rows, rejects = publish(settings, [entity(number) for number in range(100)])
    assert [row["item_id"] for row in rows] == [f"i{number:03d}" for number in range(100)]
    assert [row["source"] for row in rows] == ["llm", "template"] * 30 + ["template"] * 40
    assert Counter(row["reason"] for row in rejects) == {"unparsable": 30, "unavailable": 30 + 2 * 40}
    assert sum(row["prompt_tokens"] for row in rows) == 60 * 50
    assert endpoint.requests <= 60 + (GIVE_UP + 8 + 2 * SCOUTS) * 3


def test_what_nobody_had_time_for_is_asked_again_and_what_was_answered_is_not(publish):
    """The first half is answered, the rest meets an endpoint that is down; then it is up again."""
    asked = [entity(number) for number in range(40)]
    is_up = False

    def plan(prompt, _):
        return 200 if is_up or int(prompt.split("Stone River ")[-1][:3]) < 20 else 503

    endpoint = FlakyEndpoint(plan)
    with endpoint.running() as url:
        settings = config(url).model_copy(update={"batch_size": 10})
        before, _ = publish(settings, asked)
        assert [row["reason"] for row in before] == [None] * 20 + ["unserved"] * 20
        is_up, spent = True, endpoint.requests
        after, rejects = publish(settings, asked)
    assert [row["source"] for row in after] == ["llm"] * 40
    assert endpoint.requests - spent == 20
    assert rejects == []


def test_a_key_that_is_refused_midway_takes_no_profile_away_that_was_paid_for(publish):
    def plan(prompt, number):
        return 401 if number > 1 else (200, "cut")[int(prompt.split("Stone River ")[-1][:3]) % 2]

    with FlakyEndpoint(plan).running() as url:
        rows, rejects = publish(config(url).model_copy(update={"batch_size": 20}), [entity(n) for n in range(20)])
    assert [row["source"] for row in rows] == ["llm", "template"] * 10
    assert Counter(row["reason"] for row in rejects) == {"unparsable": 10, "unavailable": 10}


def test_the_example_configuration_says_all_of_an_endpoint_and_makes_its_generator(monkeypatch):
    for name in ("NIGHTREC_ASSETS", "NIGHTREC_LAKE", "NIGHTREC_MLFLOW"):
        monkeypatch.setenv(name, "/unused")
    settings = freeze(load_yaml(EXAMPLE), EXAMPLE.name, run_date="2026-11-22").generator
    assert isinstance(make_generator(settings, "Examples", 1), OpenAIGenerator)
    assert set(load_yaml(EXAMPLE)["generator"]["endpoint"]) == set(Endpoint.model_fields)
    prices = settings.endpoint.price_per_million_input, settings.endpoint.price_per_million_output
    assert min(prices) > 0
    assert money(settings.endpoint, 2_000_000, 1_000_000) == pytest.approx(2 * prices[0] + prices[1])
    lines = EXAMPLE.read_text().split("generator:\n")[1].splitlines()
    assert [line for line in lines if "#" not in line and not line.endswith(":")] == []
