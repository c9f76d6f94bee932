"""A failed task's log ends with the recorded reason and the place of the records."""

import logging
from types import SimpleNamespace

import pytest

from dags.failures import explain_failure
from schemas.night import night_task


def fail(frozen, task_id="ranking"):
    ti = SimpleNamespace(task_id=task_id, xcom_pull=lambda task_ids: frozen)
    explain_failure({"ti": ti, "exception": RuntimeError("status 1")})


def test_the_recorded_reason_and_the_folder_of_the_run_are_logged(config_uri, caplog):
    with pytest.raises(ValueError, match="broken"), night_task("ranking", config_uri):
        raise ValueError("broken")
    with caplog.at_level(logging.ERROR):
        fail(config_uri)
    assert "ranking of night 2026-11-22 failed: ValueError: broken" in caplog.text
    assert config_uri.rsplit("/", 1)[0] in caplog.text


def test_without_a_record_the_exception_is_the_reason(config_uri, caplog):
    fail(config_uri)
    assert "status 1" in caplog.text


@pytest.mark.parametrize("frozen", [None, "/nowhere/config.json"])
def test_the_callback_never_fails_itself(frozen, caplog):
    fail(frozen)
    assert "ranking failed" in caplog.text
