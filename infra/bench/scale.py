"""How a night grows with the log: time and memory of every task at 10^5, 10^6 and 10^7 events (`make bench-scale`).

Made-up logs with MovieLens 1M's marginals (infra/bench/synthetic.py). All tasks run as a night runs them, by the fake
generator and the fake encoder, so that what grows is the pipeline; every profile is written. `real_models` is what the
real ones cost on the smallest of the logs, under a budget of tokens: seconds per token and per text encoded.

The pace of a machine drifts within such a run. All but the largest night therefore run twice, before it and after it:
their seconds are the means of the two, their memory is the larger.

`exponents`: of each task, the power p of seconds = start + rate * events ** p, fitted to all sizes and to a log of next
to nothing; 1 is proportional. `memory_exponents`: the slope of log peak memory over log events between the two largest
logs; `driver_exponents` the same of the most that the task's own process had in memory, workers and JVM left out. What
is foretold for 10^8 events is the largest log's figure times 10 to the power of the exponent.

It takes an hour. What a night took is kept below build/bench/scale; a benchmark that was stopped goes on behind its
last whole night, unless the code was changed since.
"""

import argparse
import json
import math
import shutil
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import least_squares
from synthetic_night import made_up_night
from task_runs import HOME, NIGHT_TASKS, costs, run_tasks

from measurement import written
from schemas.code_digest import code_digest
from schemas.lake import Lake
from schemas.manifest import publish_night
from schemas.night import task_records

SMALLEST = 20_000
FORETOLD = 1e8
SAMPLE_TOKENS = 20_000
SHOWN = 9
"""Tasks in the picture, the longest ones: all others take seconds."""
FAKE = {"backend": "fake"}
FAKES = {**FAKE, "nightly_token_budget": 10**10}


def main() -> None:
    """Run the nights, write build/bench/scale.json and the picture beside it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=float, nargs="+", default=[1e5, 1e6, 1e7], help="sizes of the logs")
    parser.add_argument("--seed", type=int, default=20_241)
    arguments = parser.parse_args()
    folder = HOME / "build" / "bench" / "scale"
    *smaller, largest = sorted({SMALLEST, *map(int, arguments.events)})
    before = {events: night(folder, events, arguments.seed, "before") for events in smaller}
    most = night(folder, largest, arguments.seed, "between")
    after = {events: night(folder, events, arguments.seed, "after") for events in smaller}
    found = {events: between(before[events], after[events]) for events in smaller} | {largest: most}
    nights = {events: one for events, one in found.items() if events != SMALLEST}
    summary = {
        "exponents": exponents(found),
        "memory_exponents": slopes(nights, "peak_rss_mb"),
        "driver_exponents": slopes(nights, "driver_rss_mb"),
        "driver_rss_mb": max(task["driver_rss_mb"] for task in nights[max(nights)]["tasks"].values()),
        "peak_rss_mb": max(task["peak_rss_mb"] for task in nights[max(nights)]["tasks"].values()),
    }
    figures = {
        **summary,
        "foretold": foretold(nights, summary),
        "real_models": real_models(folder, int(min(arguments.events)), arguments.seed),
        "start": found[SMALLEST],
        "nights": {f"{events:.0e}": found for events, found in nights.items()},
        "seed": arguments.seed,
    }
    draw(nights, written(HOME, "scale", figures).with_suffix(".svg"))
    print(json.dumps(summary, indent=2))


def night(folder: Path, events: int, seed: int, turn: str) -> dict[str, Any]:
    """A night on a log of so many events: what each task took, and what the pipeline switched to by its rules."""
    home = folder / f"{events:.0e}-{turn}"
    kept = home.with_name(f"{home.name}-{seed}-{code_digest()[:12]}.json")
    if kept.exists():
        print(f"{events:,} events: measured before, in {kept.relative_to(HOME)}", flush=True)
        return json.loads(kept.read_text(encoding="utf-8"))
    shutil.rmtree(home, ignore_errors=True)
    config, sizes = made_up_night(home, events, seed, generator=FAKES, encoder=FAKE)
    publish_night(run_tasks(config))
    found = {
        "users": sizes["users"],
        "items": sizes["items"],
        "factors_fitted": task_records(config)["features"]["counters"]["factors_fitted"],
        "tasks": costs(config),
    }
    shutil.rmtree(home)  # gigabytes
    kept.write_text(json.dumps(found), encoding="utf-8")
    return found


def between(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Of a night that ran twice, the means of its seconds and the larger of its memory; they agree on all else."""
    tasks = {}
    for task, one in before["tasks"].items():
        other = after["tasks"][task]
        means = {name: round((one[name] + other[name]) / 2, 2) for name in ("seconds", "cpu_seconds")}
        tasks[task] = one | means | {name: max(one[name], other[name]) for name in ("peak_rss_mb", "driver_rss_mb")}
    return {**before, "tasks": tasks}


def real_models(folder: Path, events: int, seed: int) -> dict[str, float]:
    """Seconds per token of profiles and per text encoded, by the models that a night has by default."""
    home = folder / "real"
    shutil.rmtree(home, ignore_errors=True)
    config, _ = made_up_night(home, events, seed, generator={"nightly_token_budget": SAMPLE_TOKENS})
    run_tasks(config, NIGHT_TASKS[: NIGHT_TASKS.index("ray_tasks.embeddings") + 1])
    rows = Lake(config.lake).snapshot("generation_costs", config.night).read().to_pylist()
    tokens = sum(row["prompt_tokens"] + row["output_tokens"] for row in rows)
    took, encoded = costs(config), task_records(config)["embeddings"]["counters"]["encoded"]
    writing = took["item_profiles"]["seconds"] + took["user_profiles"]["seconds"]
    return {
        "tokens": tokens,
        "seconds_per_token": round(writing / tokens, 5),
        "texts": encoded,
        "seconds_per_text": round(took["embeddings"]["seconds"] / encoded, 5),
    }


def exponents(nights: dict[int, dict[str, Any]]) -> dict[str, float | None]:
    """Each task's power of its growth in time; None where the largest log takes less than twice the time of the
    smallest: of seconds that a start takes, no power can be told.
    """
    sizes = sorted(nights)
    seconds = {task: [nights[n]["tasks"][task]["seconds"] for n in sizes] for task in nights[sizes[-1]]["tasks"]}
    share = np.array(sizes) / sizes[-1]
    return {task: power(share, took) if took[-1] >= 2 * took[0] else None for task, took in seconds.items()}


def power(share: np.ndarray, seconds: list[float]) -> float:
    """p of seconds = start + grown * share ** p, by least squares of what is fitted over what was found, as logs."""

    def missed(fit: np.ndarray) -> np.ndarray:
        return np.log(np.exp(fit[0]) + np.exp(fit[1]) * share ** fit[2]) - np.log(seconds)

    first = [math.log(min(seconds)), math.log(seconds[-1]), 1.0]
    return round(float(least_squares(missed, first, bounds=([-9, -9, 0], [12, 12, 2])).x[2]), 3)


def slopes(nights: dict[int, dict[str, Any]], figure: str) -> dict[str, float]:
    """Each task's slope of a figure's log over that of events, between the two largest logs."""
    small, large = sorted(nights)[-2:]
    values = {task: [nights[n]["tasks"][task][figure] for n in (small, large)] for task in nights[large]["tasks"]}
    return {task: round(math.log(b / a) / math.log(large / small), 3) for task, (a, b) in values.items()}


def foretold(nights: dict[int, dict[str, Any]], summary: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What the exponents say of 10^8 events, by task: hours and gigabytes on this machine."""
    largest = max(nights)
    times = FORETOLD / largest
    return {
        task: {
            "hours": round(took["seconds"] * times ** (summary["exponents"][task] or 0) / 3600, 2),
            "peak_gb": round(took["peak_rss_mb"] * times ** max(summary["memory_exponents"][task], 0) / 1024, 1),
        }
        for task, took in nights[largest]["tasks"].items()
    }


def draw(nights: dict[int, dict[str, Any]], path: Path) -> None:
    """Seconds, peak memory and the driver's memory over the size of the log, of the tasks that take longest."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.5), layout="constrained")
    events = sorted(nights)
    largest = nights[events[-1]]["tasks"]
    shown = sorted(largest, key=lambda task: -largest[task]["seconds"])[:SHOWN]
    for name, axis, unit in zip(("seconds", "peak_rss_mb", "driver_rss_mb"), axes, (1, 1024, 1024), strict=True):
        for task in shown:
            axis.plot(events, [nights[n]["tasks"][task][name] / unit for n in events], marker="o", label=task)
        axis.set(xlabel="events", xscale="log")
    most = largest[shown[0]]["seconds"]
    axes[0].plot(events[1:], [most * n / events[-1] for n in events[1:]], "k:", label="proportional")
    axes[0].set(yscale="log", ylabel="seconds", title="Wall time")
    axes[1].set(ylabel="GB", title="Peak memory of all processes", ylim=0)
    axes[2].set(ylabel="GB", title="Peak memory of the driver alone", ylim=0)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize="small")
    figure.savefig(path)


if __name__ == "__main__":
    main()
