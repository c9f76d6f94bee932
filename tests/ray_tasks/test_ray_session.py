"""What Ray does for functions of ours."""

import os

import pytest

from ray_tasks.ray_session import on_a_core, ray_session
from schemas.errors import BenchmarkError


def test_what_waits_for_a_core_runs_elsewhere_and_its_error_comes_back():
    def process() -> int:
        return os.getpid()

    def fails(what: str) -> None:
        raise BenchmarkError(f"{what} fails")

    def in_a_session() -> None:
        with ray_session():
            assert on_a_core(process)() != os.getpid()
            with pytest.raises(BenchmarkError, match="it fails"):
                on_a_core(fails)("it")
            on_a_core(fails)("something else")

    with pytest.raises(BenchmarkError) as raised:
        in_a_session()
    assert (type(raised.value), str(raised.value)) == (BenchmarkError, "something else fails")
    assert "in fails" in str(raised.value.__cause__)  # the worker's traceback
