"""The HTML page of a ranking benchmark, and of several an index.

    python -m ray_tasks.benchmark.report.page build/bench/ranking-steam-p1.json ...

Each page is one file that needs nothing else, written beside its JSON; the index is `ranking.html` beside the first.
"""

import argparse
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, ChoiceLoader, Environment, PackageLoader

from ray_tasks.benchmark.report import charts, figures, groups, parts, sections, words
from ray_tasks.benchmark.report.figures import Catalogue, Effect, Result
from ray_tasks.benchmark.report.forests import forest

MOST_BARS = 16
"""Models of a chart that is shown whole; of a longer one the worst are folded away."""


def main(argv: Sequence[str] | None = None) -> None:
    """Write a page beside each result, and an index where there are several."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+", metavar="RESULT.json")
    paths = parser.parse_args(argv).results
    results = {path: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    for path, result in results.items():
        _write(path.with_suffix(".html"), page(result, path.name))
    if len(results) > 1:
        home = paths[0].parent
        links = {Path(os.path.relpath(path.with_suffix(".html"), home)).as_posix(): results[path] for path in results}
        _write(home / "ranking.html", index(links))


def page(result: Mapping[str, Any], source: str = "") -> str:
    """One comparison as a self-contained page; `source` names the file that its figures are from.

    Only `models` is needed; what else a result lacks is left out.
    """
    shown = figures.catalogues(result)
    title, told = figures.headline(result)
    configuration = result.get("configuration")
    return _render(
        "ranking.html.j2",
        r=result,
        source=source,
        title=title,
        told=told,
        catalogues=[_ranking(result, catalogue) for catalogue in shown],
        slices=figures.slices(result),
        rankers=[found for catalogue in shown if (found := _ranker(result, catalogue))],
        added=sections.added(result),
        rerank=sections.rerank(result),
        new=groups.new_items(result),
        groups=sections.users_by_group(result),
        final_list=_final_list(result, shown[0]),
        spent=sections.spent(result),
        configuration=json.dumps(configuration, indent=2) if configuration else "",
    )


def index(results: Mapping[str, Result]) -> str:
    """A table of comparisons by the addresses of their pages, one row for each set and protocol."""
    ordered = sorted(results.items(), key=lambda one: (*_place(one[1]), one[0]))
    rows = [{"address": a, "r": r, **_ranking(r, figures.catalogues(r)[0])} for a, r in ordered]
    forests = {
        name: forest(
            [
                Effect(", ".join(_place(row["r"])[::-1]), e.value, e.low, e.high, catalogue=row["name"])
                for row in rows
                if (e := row[name])
            ],
            label=str,
        )
        for name in ("best", "text", "profile")
    }
    means = [
        (protocol, len(found), math.exp(sum(math.log1p(value) for value in found) / len(found)) - 1)
        for protocol in dict.fromkeys(_place(row["r"])[0] for row in rows)
        if len(found := [row["text"].value for row in rows if row["text"] and _place(row["r"])[0] == protocol]) > 1
    ]
    return _render("ranking_index.html.j2", rows=rows, means=means, **forests)


def _ranking(result: Result, catalogue: Catalogue) -> dict[str, Any]:
    """What a page shows of one catalogue."""
    scores, rivals = figures.gains(result, catalogue), figures.baselines(result, catalogue)
    most, best = max(scores.values(), default=0) or 1, catalogue.of(result, "best_baseline") or ""
    bars = [(words.label(model), value, value / most, figures.kind(model, rivals)) for model, value in scores.items()]
    # Nightrec and what beats it are never folded away.
    own = list(scores).index(figures.NIGHTREC) + 1 if figures.NIGHTREC in scores else 0
    first = len(bars) if len(bars) <= MOST_BARS else max(MOST_BARS - 4, own)
    return {
        "name": catalogue.name,
        "users": result.get(f"{catalogue.prefix}users"),
        "ndcg": scores.get(figures.NIGHTREC),
        "best_baseline": best,
        "best_ndcg": scores.get(best),
        "best": figures.over_best(result, catalogue),
        "text": figures.by_text(result, catalogue),
        "profile": figures.by_profiles(result, catalogue),
        "bars": bars[:first],
        "more_bars": bars[first:],
        "table": figures.metric_table(result, catalogue),
        "lifts": forest(figures.lifts(result, catalogue)),
    }


def _ranker(result: Result, catalogue: Catalogue) -> dict[str, Any] | None:
    """What the ranker of a catalogue learnt."""
    found = result.get("ranker", {}).get("clean" if catalogue is figures.CLEAN else "all")
    if not found:
        return None
    calibration = found.get("calibration") or {}
    table = calibration.get("reliability") or []
    shares, rest = figures.importance(found)
    most = max((share for _, share in shares), default=0) or 1
    told = "Reliability diagram: " + "; ".join(f"said {said:.2%}, was {was:.2%}" for said, was, _ in table)
    points = [(said, was, f"said {said:.2%}, was {was:.2%}, {count:,} places") for said, was, count in table]
    return {
        "name": catalogue.name,
        "found": found,
        "shares": [
            (words.feature(name, result.get("models", {})), share, share / most, "third") for name, share in shares
        ],
        "rest": (len(rest), sum(share for _, share in rest)),
        "calibration": calibration,
        "reliability": charts.scatter(points, ("probability said", "share taken"), told, _small, diagonal=True)
        if points
        else "",
    }


def _final_list(result: Result, catalogue: Catalogue) -> dict[str, Any] | None:
    """What final lists give up in accuracy for being more varied; the result decides the shape of the table."""
    found = catalogue.of(result, "final_list") or result.get("final_list")
    if not found:
        return None
    rows = parts.records(found)
    across, points = parts.trade_off(rows)
    spoken = f"{words.label(across)} against NDCG@10: " + "; ".join(f"{n}: {x:.4g}, {y:.4g}" for x, y, n in points)
    titles = (words.label(across), "NDCG@10")
    return {
        "table": parts.record_table(rows),
        "scatter": charts.scatter(points, titles, spoken, "{:.3g}".format) if len(points) > 1 else "",
    }


def _render(template: str, **shown: Any) -> str:
    # What a result does not hold shows as nothing: results of earlier and later versions are read as well.
    environment = Environment(
        # The style sheet is that of a night's report.
        loader=ChoiceLoader([PackageLoader("ray_tasks.benchmark.report"), PackageLoader("schemas")]),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("label", "metric", "number", "signed", "difference", "percent", "chance", "duration", "cell", "finite")
    environment.filters |= {name: getattr(words, name) for name in names}
    environment.globals |= {"bar": charts.bar, "told_apart": figures.told_apart, "PROTOCOLS": words.PROTOCOLS}
    return environment.get_template(template).render(**shown)


def _place(result: Result) -> tuple[str, str]:
    """Protocol and data set, for order and for names."""
    return str(result.get("protocol", "")).upper(), str(result.get("data", ""))


def _small(value: float) -> str:
    return f"{100 * value:.3g}%"


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
