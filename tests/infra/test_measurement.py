"""What a benchmark leaves behind: its figures, and the circumstances that make them comparable."""

import json

from measurement import written


def test_figures_lie_below_build_bench_with_machine_versions_and_commit(tmp_path):
    path = written(tmp_path, "speed", {"users_per_s": 5.0, "seed": 1})
    assert path == tmp_path / "build" / "bench" / "speed.json"
    told = json.loads(path.read_text())
    assert (told["users_per_s"], told["seed"]) == (5.0, 1)
    assert told["machine"]["cpus"] > 0
    assert told["versions"]["ray"]
    assert told["commit"] == ""  # a folder that is no checkout


def test_paths_below_the_checkout_lose_their_beginning(tmp_path):
    path = written(tmp_path, "speed", {"page": f"{tmp_path}/build/report.html"})
    assert json.loads(path.read_text())["page"] == "build/report.html"
