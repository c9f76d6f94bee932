"""Compare on this machine: `tuning` (LoRA against prompting), `shadow` (a new prompt or model), or `benchmark`
(Nightrec's lists against tuned collaborative filtering).

`make tuning`, `make shadow` and `make benchmark` call this after a night has been published here. It changes no night;
the next one uses a promoted adapter, and its report shows the comparison.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from dag_run import prepare, run_dag
from schemas.lake import Lake
from schemas.night import load_config, run_folder, task_records

DAGS = {
    "tuning": ("weekly_tuning", "tuning_trials"),
    "shadow": ("shadow_run", "shadow_trials"),
    "benchmark": ("benchmark", "benchmark_evaluations"),
}
RANKED_BY = ("ndcg@10", "recall@20", "mrr@20", "coverage@10")
LIFT = "lift_over:"

Row = Mapping[str, Any]


def main() -> int:
    """Parse the command line, run the comparison and print its figures; returns the exit status."""
    prepare()
    arguments = parsed()
    dag, table = DAGS[arguments.trial]
    given = vars(arguments)
    params = {name: given[name] for name in given if name not in ("trial", "config")}
    source = str(Path(arguments.config).resolve()) if arguments.config else None
    frozen, status = run_dag(dag, {**params, "source": source}, arguments.trial)
    if frozen is None:
        print("\nIt ended before its configuration was accepted: the reason stands above and in the log.")
        return 1
    config = load_config(frozen)
    records = task_records(config)
    for record in records.values():
        if record["status"] != "success":
            print(f"\nTask {record['name']} FAILED: {record['error']}")
    if status:
        return status
    told = render_ranking if arguments.trial == "benchmark" else render
    print("\n" + told(rows(config.lake, table, config.night)))
    print(f"\nTable {table} of {config.night}; records: {run_folder(config.lake, config.run_id)}")
    return 0


def parsed() -> argparse.Namespace:
    """The command line; every Param of a DAG's own is an option of its trial. Call `prepare` first."""
    from dags.benchmark_params import PROTOCOLS  # imports Airflow, which reads its home from the environment
    from dags.shadow_params import CHALLENGER

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    trials = parser.add_subparsers(dest="trial", required=True)
    for name, (dag, _) in DAGS.items():
        trial = trials.add_parser(name, help=f"the DAG {dag}")
        trial.add_argument("--config", help="YAML file that describes your data (default: ML-100K)")
        trial.add_argument("--run-date", help="the newest night up to it is read, as YYYY-MM-DD")
        if name == "shadow":
            for field in CHALLENGER:
                trial.add_argument(f"--challenger-{field.replace('_', '-')}", metavar=field.upper())
            trial.add_argument("--sample", type=int, help="items and users that both write about")
            trial.add_argument("--promote", action="store_true", default=None, help="unless the challenger is worse")
        if name == "benchmark":
            trial.add_argument("--protocol", choices=PROTOCOLS, help="p1 cuts by time, p2 leaves last items out")
            trial.add_argument("--sources", nargs="+", help="candidate sources that compete (default: the file's)")
            trial.add_argument("--users", type=int, help="users measured at most (default: all)")
            trial.add_argument("--seed", type=int)
    return parser.parse_args()


def rows(lake: str, table: str, night: date) -> list[Row]:
    """The night's rows of a table of comparisons."""
    found: list[Row] = Lake(lake).snapshot(table, night).read().to_pylist()
    return found


def render(found: Sequence[Row]) -> str:
    """Figures as text: a line per kind, task and metric, a column per arm, each with its 95% interval."""
    arms = list(dict.fromkeys(row["arm"] for row in found))
    known = {(row["kind"], row["task"], row["metric"], row["arm"]): row for row in found}
    places = list(dict.fromkeys(place[:3] for place in known))
    lines = [["", *arms]]
    lines += [[" ".join(place), *(cell(known.get((*place, arm))) for arm in arms)] for place in places]
    text = [first.ljust(34) + "".join(f"{one:>26}" for one in others) for first, *others in lines]
    notes = dict.fromkeys(f"{row['metric']} ({row['arm']}): {row['note']}" for row in found if row["note"])
    return "\n".join([*text, *notes])


def render_ranking(found: Sequence[Row]) -> str:
    """Rankings as text: per protocol and catalogue a line per model, best NDCG@10 first, then Nightrec's lifts."""
    places: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(found, key=lambda r: (r["protocol"], r["catalogue"])):
        if row["slice"] == "all":
            places.setdefault((row["protocol"], row["catalogue"]), []).append(row)
    return "\n".join(line for place, own in places.items() for line in ranking_lines(place, own))


def ranking_lines(place: tuple[str, str], own: Sequence[Row]) -> list[str]:
    """The lines of one protocol and catalogue, whose figures over all users are `own`."""
    known = {(row["model"], row["metric"]): row["value"] for row in own}
    models = sorted({row["model"] for row in own}, key=lambda model: (-known.get((model, RANKED_BY[0]), 0), model))
    catalogue = "clean catalogue" if place[1] == "clean" else "all items"
    lines = [[f"{place[0]}, {catalogue}, {own[0]['n_users']:,} users", *RANKED_BY]]
    for model in models:
        values = [known.get((model, metric)) for metric in RANKED_BY]
        lines.append([model, *("" if value is None else f"{value:.4f}" for value in values)])
    lifts = [row for row in sorted(own, key=lambda r: r["value"]) if row["metric"].startswith(LIFT)]
    return [first.ljust(40) + "".join(f"{one:>12}" for one in others) for first, *others in lines] + list(
        map(lift, lifts)
    )


def lift(row: Row) -> str:
    """A lift with its interval, where it has one."""
    interval = f" ({row['low']:+.1%} to {row['high']:+.1%})" if row["low"] is not None else ""
    return f"over {row['metric'].removeprefix(LIFT)}: {row['value']:+.1%}{interval}"


def cell(row: Row | None) -> str:
    """A figure with its interval, where it has one."""
    if row is None:
        return ""
    interval = f" ({row['low']:.3f}-{row['high']:.3f})" if row["low"] is not None else ""
    return f"{row['value']:.3f}{interval}" if abs(row["value"]) < 1_000 else f"{row['value']:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
