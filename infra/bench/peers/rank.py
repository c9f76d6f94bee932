"""Answer the request in a folder: `.venv-peers/bin/python infra/bench/peers/rank.py FOLDER` (see exchange.py)."""

import importlib
import sys
from pathlib import Path

from exchange import Request, answer

MODELS = {
    "peer_implicit_als": ("implicit_models", "als", ("pm-implicit",)),
    "peer_implicit_bm25": ("implicit_models", "bm25", ("pm-implicit",)),
    "peer_lenskit_ease": ("lenskit_models", "ease", ("lenskit", "torch")),
    "peer_rectools_sasrec": ("rectools_models", "sasrec", ("rectools", "torch")),
    "peer_rectools_bert4rec": ("rectools_models", "bert4rec", ("rectools", "torch")),
}
"""Module beside this file, its function, and the distributions whose versions are told."""


def main() -> None:
    """Read, rank, write."""
    folder = Path(sys.argv[1])
    request = Request.read(folder)
    module, function, libraries = MODELS[request.model]
    rank = getattr(importlib.import_module(module), function)
    answer(folder, request, rank(request), libraries)


if __name__ == "__main__":
    main()
