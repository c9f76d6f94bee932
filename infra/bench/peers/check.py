"""Metrics by ranx, for the comparison with Nightrec's own: `.venv-peers/bin/python infra/bench/peers/check.py FOLDER`.

Read: `lists.parquet` (model, user, items: best first) and `targets.parquet` (user, items). Written: `values.parquet`
(model, user, and one column for each of METRICS) and `answer.json` (library, version).
"""

import json
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ranx import Qrels, Run, evaluate

METRICS = ("ndcg@10", "recall@20", "mrr@20")


def main() -> None:
    """Read, measure every model's lists user by user, write."""
    folder = Path(sys.argv[1])
    lists, targets = (pq.read_table(folder / f"{name}.parquet") for name in ("lists", "targets"))
    wanted = Qrels({str(user): {str(item): 1 for item in items} for user, items in rows(targets)})
    tables = []
    for model in pc.unique(lists["model"]).to_pylist():
        offered = lists.filter(pc.equal(lists["model"], model))
        run = Run({str(u): {str(i): -float(place) for place, i in enumerate(items)} for u, items in rows(offered)})
        evaluate(wanted, run, list(METRICS))
        users = offered["user"].to_pylist()
        values = {metric: [float(run.scores[metric][str(user)]) for user in users] for metric in METRICS}
        tables.append(pa.table({"model": [model] * len(users), "user": users, **values}))
    pq.write_table(pa.concat_tables(tables), folder / "values.parquet")
    (folder / "answer.json").write_text(json.dumps({"library": "ranx", "version": version("ranx")}), encoding="utf-8")


def rows(table: pa.Table) -> Iterable[tuple[int, list[int]]]:
    """Users and their items."""
    return zip(table["user"].to_pylist(), table["items"].to_pylist(), strict=True)


if __name__ == "__main__":
    main()
