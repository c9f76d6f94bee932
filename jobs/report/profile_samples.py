"""What the report shows of profiles: a few of each kind, the attempts that were rejected, and the vocabulary.

Samples are the same for the same content. Outputs are read of the attempts that are shown.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from jobs.report.reader import Rows, TableReader, among, titles_of

SHOWN_PROFILES = 3
SHOWN_REJECTS = 2
SIDES = ("likes", "dislikes")
KINDS = ("theme", "mood", "aspect")


def sample_profiles(reader: TableReader) -> dict[str, Rows]:
    """A few item profiles, from the most popular down, and user profiles; each by the model and by the template."""
    counts = reader.rows("item_statistics", ["item_id", "n_interactions"])
    activity = {"item": {row["item_id"]: row["n_interactions"] for row in counts}, "user": {}}
    samples: dict[str, Rows] = {}
    for kind, popularity in activity.items():
        table, key = f"{kind}_profiles", f"{kind}_id"
        ids = reader.rows(table, [key, "source"])
        ids.sort(key=lambda row: (-popularity.get(row[key], 0), row[key]))
        for source in ("llm", "template"):
            chosen = [row[key] for row in spread([row for row in ids if row["source"] == source], SHOWN_PROFILES)]
            rows = {row[key]: row for row in reader.rows(table, None, among(key, chosen))}
            samples[f"{kind}_{source}"] = [rows[i] for i in chosen]
    items, users = (samples[f"{kind}_llm"] + samples[f"{kind}_template"] for kind in ("item", "user"))
    titles = titles_of(reader, {row["item_id"] for row in items} | claimed(users))
    for source in ("llm", "template"):
        shown = samples[f"item_{source}"]
        samples[f"item_{source}"] = [{**row, **titles.get(row["item_id"], {"title": row["item_id"]})} for row in shown]
        samples[f"user_{source}"] = [with_claims(row, titles) for row in samples[f"user_{source}"]]
    return samples


def spread(rows: Sequence[Any], n: int) -> list[Any]:
    """`n` rows evenly spaced over a sequence, both ends among them; all of them where there are no more."""
    if n >= len(rows):
        return list(rows)
    if n == 1:
        return [rows[0]]
    return [rows[round(i * (len(rows) - 1) / (n - 1))] for i in range(n)]


def claimed(profiles: Iterable[dict[str, Any]]) -> set[str]:
    """Items that the claims of user profiles name."""
    claims = [claim for row in profiles for side in SIDES for claim in row[side] or ()]
    return {item_id for claim in claims for item_id in claim["interactions"] or ()}


def with_claims(profile: dict[str, Any], titles: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A user profile whose claims, the strongest first, have the `titles` of the items that support them."""
    told = {
        side: [
            {**claim, "titles": [titles.get(i, {"title": i})["title"] for i in claim["interactions"] or ()]}
            for claim in sorted(profile[side] or (), key=lambda claim: (-(claim["strength"] or 0), claim["label"]))
        ]
        for side in SIDES
    }
    return {**profile, **told}


def sample_rejects(reader: TableReader) -> Rows:
    """Rejected attempts by kind and reason, the most frequent first.

    Each has `first` and `second` (number of first and second attempts) and up to two `examples` with `title`,
    `attempt` and `output`.
    """
    return [row for kind in ("item", "user") for row in _rejects(reader, kind)]


def _rejects(reader: TableReader, kind: str) -> Rows:
    table, key = f"{kind}_profile_rejects", f"{kind}_id"
    attempts = reader.rows(table, [key, "attempt", "reason"])
    counts = Counter((row["reason"], row["attempt"] > 0) for row in attempts)
    chosen = {reason: [row for row in attempts if row["reason"] == reason][:SHOWN_REJECTS] for reason, _ in counts}
    ids = {row[key] for rows in chosen.values() for row in rows}
    written = reader.rows(table, [key, "attempt", "output"], among(key, ids))
    outputs = {(row[key], row["attempt"]): row["output"] for row in written}
    titles = titles_of(reader, ids) if kind == "item" else {i: {"title": f"User {i}"} for i in ids}

    def example(row: dict[str, Any]) -> dict[str, Any]:
        title = titles.get(row[key], {}).get("title", row[key])
        return {"title": title, "attempt": row["attempt"], "output": outputs[row[key], row["attempt"]]}

    found = [
        {
            "kind": kind,
            "reason": reason,
            "first": counts[reason, False],
            "second": counts[reason, True],
            "examples": [example(row) for row in rows],
        }
        for reason, rows in chosen.items()
    ]
    return sorted(found, key=lambda row: (-row["first"] - row["second"], row["reason"]))


def read_vocabulary(reader: TableReader) -> dict[str, Rows]:
    """Labels with `n_items` and `origin` by kind (theme, mood, aspect), the best supported first."""
    rows = reader.rows("vocabularies", ["kind", "label", "n_items", "origin"])
    rows.sort(key=lambda row: (-row["n_items"], row["label"]))
    return {kind: found for kind in KINDS if (found := [row for row in rows if row["kind"] == kind])}
