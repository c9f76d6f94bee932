"""Nightrec against collaborative filtering on a data set of yours (`make bench-ranking DATA=folder PROTOCOL=p1|p2`).

The folder holds interactions (`interactions.parquet`, `ratings.csv`, ...) and items (`items.parquet`, `movies.csv`,
...); columns are found by their usual names. P1 cuts all users at one moment, P2 leaves each user's last item out.
Every model is tuned on validation, refitted on train and validation, and tested once.
"""

import argparse
import json
import logging
import re
from pathlib import Path
from typing import Any

from measurement import written
from ray_tasks.benchmark.data import Dataset, load
from ray_tasks.benchmark.peer_files import run_beside
from ray_tasks.benchmark.peers import Peers
from ray_tasks.benchmark.profiles import BUDGET, Profiles, item_profiles
from ray_tasks.benchmark.protocols import PROTOCOLS
from ray_tasks.benchmark.report.page import page
from ray_tasks.benchmark.rerank import TOKENS, TUNING_MINUTES, Plan
from ray_tasks.benchmark.run import Comparison, summary
from ray_tasks.benchmark.settings import CANDIDATES, RANKING
from ray_tasks.benchmark.texts import item_texts
from ray_tasks.ray_session import on_a_core
from schemas.generation_config import Encoder, Generator
from schemas.usage import UsageMeter

HOME = Path(__file__).resolve().parents[2]
ASSETS = HOME / "build" / "assets"
BENCH = HOME / "build" / "bench"
PEERS = HOME / "infra" / "bench" / "peers"


def main() -> None:
    """Compare, print a table, write build/bench/ranking-<data>-<protocol>.json and the page beside it."""
    arguments = parsed()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    columns = dict(one.split("=", 1) for one in arguments.column)
    data = load(
        arguments.data,
        interactions=arguments.interactions,
        items=arguments.items,
        users=arguments.users,
        columns=columns,
    )
    name = arguments.name or short(data.name)
    with UsageMeter() as meter:
        result = compared(data, name, arguments)
        usage = meter.read()
    result |= {
        "data": name,
        "protocol": arguments.protocol,
        "seconds": usage["seconds"],
        "peak_rss_mb": usage["peak_rss_mb"],
        "data_sha256": data.sha256,
        "seed": arguments.seed,
    }
    path = written(HOME, f"ranking-{name}-{arguments.protocol}", result)
    told = json.loads(path.read_text(encoding="utf-8"))
    path.with_suffix(".html").write_text(page(told, path.name), encoding="utf-8")
    print("\n".join(summary(result)))
    print(f"{usage['seconds']:.0f} s, {usage['peak_rss_mb']:,} MB; written to {path.relative_to(HOME)} and .html")


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="folder of the data set")
    parser.add_argument("--interactions", type=Path, help="file of interactions, instead of the folder's")
    parser.add_argument("--items", type=Path, help="file of items, instead of the folder's")
    parser.add_argument("--users", type=Path, help="file of user attributes, instead of the folder's")
    parser.add_argument("--protocol", choices=tuple(PROTOCOLS), default="p1")
    parser.add_argument("--name", help="name in the result's file (default: the folder's)")
    parser.add_argument("--column", action="append", default=[], metavar="OURS=THEIRS", help="a column's name")
    parser.add_argument("--sources", nargs="+", choices=CANDIDATES.sources, default=CANDIDATES.sources)
    parser.add_argument("--encoder", type=Path, default=ASSETS / "all-minilm-l6-v2")
    parser.add_argument("--generator", type=Path, default=ASSETS / "smollm2-135m-instruct")
    parser.add_argument("--no-peers", action="store_true", help="leave out the models of other libraries")
    parser.add_argument("--profile-tokens", type=int, default=BUDGET, help="for LLM profiles of items; 0: none")
    parser.add_argument("--rerank-tokens", type=int, default=TOKENS, help="for LLM re-ranking, all arms; 0: none")
    parser.add_argument("--tuning-minutes", type=float, default=TUNING_MINUTES, help="of the re-ranker; 0: none")
    parser.add_argument("--seed", type=int, default=20_241)
    return parser.parse_args()


def compared(data: Dataset, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The comparison's result, with what its profiles took."""
    home, protocol, seed = BENCH / "ranking", arguments.protocol, arguments.seed
    generator = Generator(path=str(arguments.generator), adapter=None)
    told = Profiles({}, 0, 0, 0, 0)
    if arguments.profile_tokens:
        cut = PROTOCOLS[protocol](data.log)
        told = item_profiles(data, cut, generator, home / f"profiles-{name}", arguments.profile_tokens)
    encoder = Encoder(path=str(arguments.encoder))
    texts = item_texts(data, encoder, home / f"vectors-{name}.parquet", told.texts)
    folder = home / f"{name}-{protocol}"
    plan = Plan(
        model=str(arguments.generator),
        home=folder / "tuned",
        tokens=arguments.rerank_tokens,
        tuning_minutes=arguments.tuning_minutes,
        seed=seed,
        threads=2,
    )
    candidates = CANDIDATES.model_copy(update={"sources": tuple(arguments.sources)})
    others = peers(folder, arguments)
    comparison = Comparison(data, texts, protocol, seed, folder, candidates=candidates, peers=others, plan=plan)
    configuration = {"candidates": candidates.model_dump(), "ranking": RANKING.model_dump()}
    return {**comparison.run(), "profiles": told.counts, "configuration": configuration}


def peers(folder: Path, arguments: argparse.Namespace) -> Peers | None:
    """The models of other libraries, unless they are left out."""
    if arguments.no_peers:
        return None
    python = HOME / ".venv-peers" / "bin" / "python"
    script, users = PEERS / "rank.py", CANDIDATES.tuning_users
    return Peers(python, script, folder / "peers", arguments.seed, users, run=on_a_core(run_beside))


def short(name: str) -> str:
    """A data set's name without what tells its origin: seqrec-amazon2014-beauty is beauty."""
    return re.sub(r"^seqrec-(amazon\d+-)?|_\d+$", "", name)


if __name__ == "__main__":
    main()
