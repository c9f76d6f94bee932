"""What a person sees while a night runs."""

import pytest

from dag_run import FROZEN, progress

CASES = {
    "2026-11-23T05:14:00Z [info] 2026-11-23 05:14:00,1 INFO nightrec.ingest: items: 80 rows in [airflow.x] loc=a:1": (
        "items: 80 rows in"
    ),
    "2026-11-23 05:14:00,1 WARNING nightrec: budget spent": "WARNING budget spent",
    "T [info] night 2026-11-22, frozen configuration: /lake/_runs/x/config.json [nightrec.config] loc=b": (
        "night 2026-11-22, frozen configuration: /lake/_runs/x/config.json"
    ),
    "2026-11-23T05:14:00Z [warning  ] No tasks to run [airflow.sdk.definitions.dag] loc=dag.py:1424": None,
}


@pytest.mark.parametrize(("line", "told"), CASES.items())
def test_progress_tells_what_tasks_say_and_nothing_else(line, told):
    assert progress(line) == told


def test_the_frozen_configuration_is_found_in_the_log():
    assert (
        FROZEN.search("x frozen configuration: /lake/_runs/x/config.json [nightrec]")[1] == "/lake/_runs/x/config.json"
    )
