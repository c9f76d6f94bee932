"""Nightrec against collaborative filtering on a data set of yours (`make bench-ranking DATA=folder PROTOCOL=p1`).

The folder holds interactions (`interactions.parquet`, `ratings.csv`, ...) and items (`items.parquet`, `movies.csv`,
...); columns are found by their usual names. P1 cuts all users at one moment, P2 leaves each user's last item out.
Every model is tuned on validation, refitted on train and validation, and tested once.
"""

import argparse
import json
import logging
import re
from pathlib import Path

from ranking_page import page

from measurement import circumstances
from ray_tasks.benchmark.data import load
from ray_tasks.benchmark.run import CANDIDATES, RANKING, Comparison, summary
from ray_tasks.benchmark.texts import encoded
from ray_tasks.retrieval.item_texts import ItemTexts
from ray_tasks.retrieval.words import word_rows
from schemas.config import Encoder
from schemas.usage import UsageMeter

HOME = Path(__file__).resolve().parents[2]
BENCH = HOME / "build" / "bench"


def main() -> None:
    """Compare, print a table, write build/bench/ranking-<data>-<protocol>.json and the page beside it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="folder of the data set")
    parser.add_argument("--interactions", type=Path, help="file of interactions, instead of the folder's")
    parser.add_argument("--items", type=Path, help="file of items, instead of the folder's")
    parser.add_argument("--protocol", choices=("p1", "p2"), default="p1")
    parser.add_argument("--name", help="name in the result's file (default: the folder's)")
    parser.add_argument("--column", action="append", default=[], metavar="OURS=THEIRS", help="a column's name")
    parser.add_argument("--encoder", type=Path, default=HOME / "build" / "assets" / "all-minilm-l6-v2")
    parser.add_argument("--no-peers", action="store_true", help="leave out the models of other libraries")
    parser.add_argument("--seed", type=int, default=20_241)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    columns = dict(one.split("=", 1) for one in arguments.column)
    data = load(arguments.data, interactions=arguments.interactions, items=arguments.items, columns=columns)
    name = arguments.name or short(data.name)
    with UsageMeter() as meter:
        vectors = encoded(data, Encoder(path=str(arguments.encoder)), BENCH / "ranking" / f"vectors-{name}.parquet")
        texts = ItemTexts(vectors, word_rows(data.documents))
        folder = BENCH / "ranking" / f"{name}-{arguments.protocol}"
        result = Comparison(data, texts, arguments.protocol, arguments.seed, folder).run()
        usage = meter.read()
    result |= {
        "data": name,
        "protocol": arguments.protocol,
        "seconds": usage["seconds"],
        "peak_rss_mb": usage["peak_rss_mb"],
        "data_sha256": data.sha256,
        "seed": arguments.seed,
        "configuration": {"candidates": CANDIDATES.model_dump(), "ranking": RANKING.model_dump()},
        **circumstances(HOME),
    }
    path = BENCH / f"ranking-{name}-{arguments.protocol}.json"
    path.write_text(json.dumps(result, indent=2))
    path.with_suffix(".html").write_text(page(result, path.name), encoding="utf-8")
    print("\n".join(summary(result)))
    print(f"{usage['seconds']:.0f} s, {usage['peak_rss_mb']:,} MB; written to {path.relative_to(HOME)} and .html")


def short(name: str) -> str:
    """A data set's name without what tells its origin: seqrec-amazon2014-beauty is beauty."""
    return re.sub(r"^seqrec-(amazon\d+-)?|_\d+$", "", name)


if __name__ == "__main__":
    main()
