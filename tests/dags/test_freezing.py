"""Params, file and data interval become one configuration, in this order of precedence."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from dags.freezing import frozen_config, save_frozen
from schemas.errors import ConfigError, LakeError
from schemas.night import load_config

INTERVAL_END = datetime(2026, 11, 22, 2, tzinfo=UTC)


def freeze(shop, interval_end=INTERVAL_END, **params):
    return frozen_config({"source": str(shop), **params}, "scheduled__x", interval_end)


def dated(shop):
    shop.write_text("run_date: 2025-05-05\n" + shop.read_text())
    return shop


def test_a_scheduled_night_is_the_day_on_which_its_interval_ends(shop):
    assert freeze(shop).run_date == date(2026, 11, 22)


def test_the_interval_counts_in_utc(shop):
    just_after_midnight_in_tokyo = datetime(2026, 11, 23, 0, 30, tzinfo=timezone(timedelta(hours=9)))
    assert freeze(shop, just_after_midnight_in_tokyo).run_date == date(2026, 11, 22)


def test_the_files_run_date_goes_before_the_interval(shop):
    assert freeze(dated(shop)).run_date == date(2025, 5, 5)


def test_the_params_run_date_goes_before_the_files(shop):
    assert freeze(dated(shop), run_date="2026-01-31").run_date == date(2026, 1, 31)


def test_without_any_run_date_the_clock_is_not_asked(shop):
    with pytest.raises(ConfigError, match="run_date: set neither as a Param nor in the file"):
        freeze(shop, None)


def test_an_empty_param_leaves_what_the_file_says(shop):
    config = freeze(shop, top_k=None, llm_model="", full_refresh=False, nightly_token_budget=None)
    assert config.ranking.top_k == 12
    assert not config.generator.full_refresh


def test_each_param_overrides_its_place(shop):
    given = {
        "top_k": 7,
        "candidates_per_source": 40,
        "llm_model": "other",
        "llm_path": "/models/other",
        "nightly_token_budget": 0,
        "full_refresh": True,
        "max_users": 50,
        "recompute": True,
    }
    config = freeze(shop, **given)
    assert {
        "top_k": config.ranking.top_k,
        "candidates_per_source": config.candidates.per_source,
        "llm_model": config.generator.model,
        "llm_path": config.generator.path,
        "nightly_token_budget": config.generator.nightly_token_budget,
        "full_refresh": config.generator.full_refresh,
        "max_users": config.features.max_users,
        "recompute": config.recompute,
    } == given


def test_all_problems_are_told_at_once(shop):
    shop.write_text(shop.read_text().replace("top_k", "topk") + "seeed: 1\n")
    with pytest.raises(ConfigError) as failure:
        freeze(shop, nightly_token_budget=-1)
    assert len(failure.value.problems) == 3


def test_the_frozen_file_names_the_run_and_is_the_same_night_as_another_run_of_it(shop):
    first = load_config(save_frozen({"source": str(shop)}, "manual__1", INTERVAL_END))
    second = load_config(save_frozen({"source": str(shop)}, "manual__2", INTERVAL_END))
    assert (first.run_id, second.run_id) == ("manual__1", "manual__2")
    assert first.config_hash == second.config_hash


def test_a_lake_that_cannot_be_written_fails_the_first_task(shop, tmp_path, monkeypatch):
    (tmp_path / "occupied").write_text("a file where the lake should be")
    monkeypatch.setenv("NIGHTREC_LAKE", str(tmp_path / "occupied"))
    with pytest.raises(LakeError, match="writable"):
        save_frozen({"source": str(shop)}, "manual__1", INTERVAL_END)
