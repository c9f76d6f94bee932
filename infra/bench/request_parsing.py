"""How well requests in plain words are understood and met (`make bench-requests DATA=folder`).

Its measure is `tests/data/requests.jsonl`: requests over the films of MovieLens 1M, each with what it asks for, written
by hand; `outside` are those that no list answers. Lexicon and thresholds were tuned on those of `validation`; figures
of `test` are the ones to quote. One author wrote requests and lexicon: other people's words are harder.

Arms: `terms` compares words with the vocabulary's terms; `encoder` links what no term explains to the nearest label;
`llm` asks the language model about it instead. A request is right where everything of it is: labels (a genre and the
mood that means it count as one), items, years. `satisfaction_at_10` is the share of what a request asks for that its
first ten items have, by genres and years of the catalogue alone; `violations` are items among them of a genre that the
request refuses in so many words, `violations_paraphrased` where it refuses it in other words. No user's taste is known.
"""

import argparse
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from measurement import written
from ray_tasks.benchmark.data import Dataset, load
from ray_tasks.encoder import load_encoder
from ray_tasks.generation.factory import make_generator
from ray_tasks.generation.protocol import Generator
from ray_tasks.requests.asking import examples
from ray_tasks.requests.catalogue import AskedCatalogue, year_of
from ray_tasks.requests.links import LabelLinks
from ray_tasks.requests.parsing import Parsed, Parser
from ray_tasks.requests.ranked import answers
from ray_tasks.vocabulary.induction import induce
from ray_tasks.vocabulary.labels import Vocabulary
from schemas.generation_config import Encoder
from schemas.generation_config import Generator as GeneratorConfig
from schemas.generation_config import Vocabulary as VocabularyConfig

HOME = Path(__file__).resolve().parents[2]
ASSETS = HOME / "build" / "assets"
LABELLED = HOME / "tests" / "data" / "requests.jsonl"
GENRES = {
    "action": "Action", "adventure": "Adventure", "animation": "Animation", "children's": "Children's",
    "comedy": "Comedy", "crime": "Crime", "documentary": "Documentary", "drama": "Drama", "fantasy": "Fantasy",
    "film-noir": "Film-Noir", "horror": "Horror", "musical": "Musical", "mystery": "Mystery", "romance": "Romance",
    "sci-fi": "Sci-Fi", "thriller": "Thriller", "war": "War", "western": "Western",
}  # fmt: skip
TWINS = {
    "action-packed": "action", "children's films": "children's", "dramatic": "drama", "exciting": "adventure",
    "funny": "comedy", "magical": "fantasy", "mysterious": "mystery", "playful": "children's", "romantic": "romance",
    "scary": "horror", "suspenseful": "thriller",
}  # fmt: skip
"""Moods that the lexicon gives to a genre, and another name of one: they mean the genre."""
MOST = 10

Row = dict[str, Any]


def main() -> None:
    """Measure all arms and write build/bench/requests.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of MovieLens 1M, as for bench-ranking")
    parser.add_argument("--no-llm", action="store_true", help="leave the language model out")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in LABELLED.read_text(encoding="utf-8").splitlines()]
    data = load(arguments.data)
    understood, catalogue = knowing(data)
    generator = None if arguments.no_llm else make_generator(llm(), examples(), 2)
    found: Row = {}
    for name, arm in arms(understood, generator).items():
        started = time.perf_counter()
        parsed = arm([row["text"] for row in rows])
        seconds = time.perf_counter() - started
        found[name] = {part: figures(rows, parsed, part, catalogue, data) for part in ("validation", "test")}
        found[name]["seconds_per_request"] = round(seconds / len(rows), 4)
        print(name, {k: v for k, v in found[name]["test"].items() if not isinstance(v, dict)}, flush=True)
    labelled = {"requests": len(rows), "requests_sha256": hashlib.sha256(LABELLED.read_bytes()).hexdigest()}
    figures_of_data = {"data": data.name, "data_sha256": data.sha256}
    path = written(HOME, "requests", {**found, **labelled, **figures_of_data})
    print(f"written to {path.relative_to(HOME)}")


def llm() -> GeneratorConfig:
    """The default generator."""
    return GeneratorConfig(path=str(ASSETS / "smollm2-135m-instruct"), adapter=None, item_kind="movie")


def knowing(data: Dataset) -> tuple[Parser, AskedCatalogue]:
    """The parser and the catalogue of a data set, as a night without profiles knows them."""
    documents = [
        {"item_id": item_id, "title": title, "categories": list(categories), "document": document}
        for item_id, title, categories, document in zip(
            data.log.item_ids, data.titles, data.categories, data.documents, strict=True
        )
    ]
    vocabulary = induce(documents, {}, VocabularyConfig())
    encoder = load_encoder(Encoder(path=str(ASSETS / "all-minilm-l6-v2"), actors=1))
    vectors = encoder.encode([row["document"] for row in documents])
    counts = np.bincount(data.log.item, minlength=len(documents))
    parser = Parser.of(vocabulary, documents, counts.tolist(), vectors, encoder.encode, "movie")
    allowed = np.ones(len(documents), dtype=bool)
    return parser, AskedCatalogue.of(documents, {}, vocabulary, vectors, counts, allowed)


def arms(parser: Parser, generator: Generator | None) -> dict[str, Callable[[Sequence[str]], list[Parsed]]]:
    """The ways to understand a request that are compared."""
    none = LabelLinks.fit(Vocabulary(()), [], parser.vectors[:0], parser.encode, "")
    found = {"terms": replace(parser, links=none).parse, "encoder": parser.parse}
    if generator is not None:
        found["llm"] = lambda texts: parser.parse(texts, generator)
    return found


def figures(rows: Sequence[Row], parsed: Sequence[Parsed], part: str, catalogue: AskedCatalogue, data: Dataset) -> Row:
    """What an arm got right of one part."""
    pairs = [(row, one) for row, one in zip(rows, parsed, strict=True) if row["part"] == part]
    inside = [(row, one) for row, one in pairs if row["outside"] is None]
    flagged = [(row, one) for row, one in pairs if one.outside is not None]
    right = {id(row): is_right(row, one, data) for row, one in inside}
    groups: dict[str, list[bool]] = defaultdict(list)
    for row, _ in inside:
        groups[row["group"]].append(right[id(row)])
    true = sum(row["outside"] is not None for row, _ in flagged)
    outside = sum(row["outside"] is not None for row, _ in pairs)
    met, violations, paraphrased = satisfaction(inside, catalogue, data)
    return {
        "requests": len(inside),
        "parse_accuracy": round(sum(right.values()) / len(inside), 4),
        "outside": outside,
        "outside_precision": round(true / len(flagged), 4) if flagged else None,
        "outside_recall": round(true / outside, 4),
        "outside_reason_right": round(sum(row["outside"] == one.outside for row, one in flagged) / outside, 4),
        f"satisfaction_at_{MOST}": met,
        "violations": violations,
        "violations_paraphrased": paraphrased,
        "accuracy_by_group": {name: round(sum(own) / len(own), 4) for name, own in sorted(groups.items())},
        "wrong": [row["text"] for row, _ in inside if not right[id(row)]],
        "missed_outside": [row["text"] for row, one in pairs if row["outside"] and one.outside is None],
        "wrongly_outside": [row["text"] for row, one in flagged if row["outside"] is None],
    }


def is_right(row: Row, one: Parsed, data: Dataset) -> bool:
    """Whether everything that a request asks for was understood, and nothing else."""
    asked, title = one.constraints, dict(zip(data.log.item_ids, data.titles, strict=True))
    labels = {
        side: meant([*own, *(label for label in one.unsupported if label in row[side])])
        for side, own in (("include", asked.include), ("exclude", asked.exclude))
    }
    return (
        one.outside is None
        and all(labels[side] == meant(row[side]) for side in labels)
        and sorted(title[item] for item in asked.like) == sorted(row["like"])
        and sorted(title[item] for item in asked.unlike) == sorted(row["unlike"])
        and (asked.first_year, asked.last_year) == (row["from"], row["to"])
    )


def meant(labels: Sequence[str]) -> set[str]:
    """Genres and moods, a genre's mood as the genre; words of plots that the catalogue made labels do not count."""
    from ray_tasks.lexicons import lexicon

    known = {*GENRES, *TWINS, *lexicon("moods")}
    return {TWINS.get(label, label) for label in labels if label in known}


def satisfaction(
    inside: Sequence[tuple[Row, Parsed]], catalogue: AskedCatalogue, data: Dataset
) -> tuple[float, int, int]:
    """Mean share of what requests ask for that their first items have; refused genres among these, by how refused."""
    genres = [set(own) for own in data.categories]
    years = [year_of(title, "") for title in data.titles]
    shares, violations = [], {False: 0, True: 0}
    for row, one in inside:
        wanted = [GENRES[label] for label in meant(row["include"]) if label in GENRES]
        refused = {GENRES[label] for label in meant(row["exclude"]) if label in GENRES}
        dated = row["from"] is not None or row["to"] is not None
        items = [found.item for found in answers(one, None, np.zeros(0, dtype=np.int64), catalogue, MOST)]
        if (wanted or dated) and items:
            first, last = row["from"] or 0, row["to"] or 9_999
            met = [
                sum(genre in genres[item] for genre in wanted) + (dated and first <= years[item] <= last)
                for item in items
            ]
            shares.append(float(np.mean(met)) / (len(wanted) + dated))
        violations[row["group"] == "paraphrase"] += sum(bool(genres[item] & refused) for item in items)
    return round(float(np.mean(shares)), 4), violations[False], violations[True]


if __name__ == "__main__":
    main()
