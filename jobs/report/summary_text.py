"""The night's summary as text for a terminal. Standard library only, so that any script can use it.

`python -m jobs.report.summary_text <lake>/_runs/<run_id>/summary.json` prints it.
"""

import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WIDTH = 92
ENTITIES = ("interactions", "items", "users", "feedback", "requests")
POPULARITY = ("popularity", "popularity_recent", "popularity_all_time")
MODELS = ("ranker", "ease", "item_item", "transitions", "text", *POPULARITY)
MAX_MODELS = 6
MAX_TASKS = 14
MAX_PROBLEMS = 6

Summary = Mapping[str, Any]


def load_summary(path: str | Path) -> dict[str, Any]:
    """Read a summary from a local file, adding the report task's own seconds once they are recorded beside it."""
    path = Path(path)
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    own = path.parent / "tasks" / "report.json"
    records = {"report": json.loads(own.read_text(encoding="utf-8"))} if own.is_file() else {}
    return with_report_task(summary, records)


def with_report_task(summary: Summary, records: dict[str, Any]) -> Summary:
    """The summary with the report task's own cost, which was not known yet when that task wrote it."""
    if "report" not in records:
        return summary
    return {**summary, "tasks": [*(t for t in summary["tasks"] if t["name"] != "report"), records["report"]]}


def render_text(summary: Summary) -> str:
    """The summary in at most 77 lines of at most 92 plain characters."""
    parts = [_head(summary), _rows(summary), _tables(summary), _profiles(summary), _ranking(summary), _tasks(summary)]
    return "\n".join("\n".join(part) for part in [*parts, _foot(summary)] if part) + "\n"


def model_order(models: Sequence[str]) -> list[str]:
    """Ranker first, then sources, popularity last; unknown names after them by name."""
    return sorted(models, key=lambda m: (MODELS.index(m) if m in MODELS else len(MODELS), m))


def _head(summary: Summary) -> list[str]:
    title = f"NIGHTREC  {summary['source']}  night of {summary['run_date']}"
    lines = [f"{title}{summary['status'].upper():>{max(2, WIDTH - len(title))}}", "=" * WIDTH]
    lines.append(f"run {summary['run_id']}   config {summary['config_hash'][:10]}   code {summary['code_version']}")
    count = sum(name != "runs" for name in summary["tables"])
    written = sum(p["written"] for p in summary["profiles"].values())
    if summary["same_content"]:
        lines.append(f"RERUN: {written} profiles generated; all {count} tables identical to the last publication")
    problems = [f"FAILED {f['task']}: {_cut(f['error'], WIDTH - 30)}" for f in summary["failures"]]
    if summary["missing"]["tasks"]:
        problems += textwrap.wrap(f"NOT RUN: {', '.join(summary['missing']['tasks'])}", WIDTH)
    return [*lines, *problems[:MAX_PROBLEMS], ""]


def _rows(summary: Summary) -> list[str]:
    entities = [e for e in ENTITIES if e in summary["rows_in"] or e in summary["rows_out"]]
    if not entities:
        return []
    body = []
    for entity in entities:
        reasons = summary["quarantined"].get(entity, {})
        cells = [_number(summary["rows_in"].get(entity)), _number(summary["rows_out"].get(entity))]
        body.append([entity, *cells, _number(sum(reasons.values())), _reasons(reasons)])
    lines = _grid(["ROWS", "in", "out", "quarantined", "  by reason"], body)
    wrong = [e for e, ok in summary["rows_balanced"].items() if ok is False]
    unknown = [e for e, ok in summary["rows_balanced"].items() if ok is None]
    verdict = f"WRONG for {', '.join(wrong)}" if wrong else "holds"
    verdict += f" (not known for {', '.join(unknown)})" if unknown else ""
    return [*lines, f"in = out + quarantined: {verdict}", ""]


def _tables(summary: Summary) -> list[str]:
    """Every table with its rows and version, two on a line."""
    cells = [
        f"{name:<22}{_number(table['rows']):>11}  v{table['version']:<4}{'' if table['changed'] else 'same':<5}"
        for name, table in summary["tables"].items()
    ]
    half = (len(cells) + 1) // 2
    right = [*cells[half:], ""]
    lines = [f"{a:<46}{b}".rstrip() for a, b in zip(cells[:half], right, strict=False)]
    return ["TABLES                     rows  version", *lines, ""] if cells else []


def _profiles(summary: Summary) -> list[str]:
    body = []
    for kind, counts in summary["profiles"].items():
        fallback = counts["fallback"]
        figures = (counts["written"], counts.get("retried", 0), counts["reused"], sum(fallback.values()))
        cells = [_number(value) for value in figures]
        body.append([kind, *cells, _reasons(fallback)])
    if not body:
        return []
    lines = _grid(["PROFILES", "written", "retried", "reused", "fallback", "  by reason"], body)
    rejected = {k: c["rejected"] for k, c in summary["profiles"].items() if c["rejected"]}
    for kind, reasons in rejected.items():
        attempts = f"{_number(sum(reasons.values()))} rejected attempts at {kind}"
        lines.append(_cut(f"{attempts}: {_reasons(reasons).strip()}", WIDTH))
    tokens, saved = summary["tokens"], summary.get("costs", {}).get("saved", 0)
    spent = f"{_number(tokens['spent'])} of {_number(tokens['budget'])} tokens, {_number(saved)} saved by reuse"
    lines.append(f"{spent}, {summary['generation_seconds']:,.0f} seconds generating")
    labels = summary.get("vocabularies", {}).get("labels", {})
    words = ", ".join(f"{_number(count)} {kind}s" for kind, count in labels.items())
    return [*lines, *([f"vocabulary: {words}"] if words else []), ""]


def _ranking(summary: Summary) -> list[str]:
    metrics = summary["metrics"]
    if not metrics:
        return []
    columns = [("all", "ndcg@10"), ("all", "recall@20"), ("all", "coverage@10")]
    columns += [("new_users", "ndcg@10"), ("new_items", "ndcg@10")]
    body = [
        [m, *(_metric(metrics[m].get(part, {}).get(name)) for part, name in columns)]
        for m in model_order(list(metrics))[:MAX_MODELS]
    ]
    head = ["RANKING", "NDCG@10", "Recall@20", "coverage@10", "new users NDCG", "new items NDCG"]
    lines = _grid(head, body)
    versus = summary["ranker_vs_best"]
    if versus and versus["ratio"]:
        lines.append(
            f"ranker against the best single source ({summary['best_single_source']}): {versus['ratio'] - 1:+.1%}"
        )
    return [*lines, ""]


def _tasks(summary: Summary) -> list[str]:
    body = [
        [t["name"], *(f"{t[k]:,.0f}" for k in ("seconds", "cpu_seconds", "peak_rss_mb")), f"  {_state(t)}"]
        for t in summary["tasks"][:MAX_TASKS]
    ]
    lines = _grid(["TASKS", "seconds", "cpu seconds", "peak MB", "  status"], body)
    total = sum(t["seconds"] for t in summary["tasks"])
    return [*lines, f"{total:,.0f} seconds in tasks, {summary['wall_seconds']:,.0f} from first start to last end", ""]


def _state(task: Mapping[str, Any]) -> str:
    return f"as on {task['repeats']}" if task.get("repeats") else str(task["status"])


def _foot(summary: Summary) -> list[str]:
    return [
        f"Report   {summary.get('report', 'not written')}",
        "Look at  make up, then Airflow at http://127.0.0.1:8080 and MLflow at http://127.0.0.1:5000",
    ]


def _grid(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns: the first and any whose head begins with a space to the left, others to the right.

    A line that is too long goes on below its last column.
    """
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
    indent = " " * (sum(widths[:-1]) + 2 * (len(head) - 2) + 2)
    lines = []
    for row in [head, *body]:
        cells = (
            cell.ljust(width) if i == 0 or head[i].startswith(" ") else cell.rjust(width + 2)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines += textwrap.wrap("".join(cells).rstrip(), WIDTH, drop_whitespace=False, subsequent_indent=indent)
    return [line.rstrip() for line in lines]


def _reasons(reasons: Mapping[str, int]) -> str:
    ranked = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [f"{reason} {_number(count)}" for reason, count in ranked[:4]]
    shown += [f"{len(ranked) - 4} more"] if len(ranked) > 4 else []
    return "  " + ", ".join(shown) if shown else ""


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f}"


def _metric(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _cut(text: Any, length: int) -> str:
    line = " ".join(str(text).split("\n")) if text else ""
    return line if len(line) <= length else line[: length - 3] + "..."


if __name__ == "__main__":
    sys.stdout.write(render_text(load_summary(sys.argv[1])))
