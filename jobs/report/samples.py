"""What the report shows of users: counts, and ten users from history to recommendation.

Samples are the same for the same content. Only the sampled users' rows are read of large tables.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pyarrow.compute as pc

from jobs.report.profile_samples import claimed, with_claims
from jobs.report.reader import Rows, TableReader, among, titles_of

SAMPLED_USERS = 10
SHOWN_HISTORY = 8
SHOWN_RECOMMENDATIONS = 10


def read_counts(reader: TableReader) -> dict[str, int]:
    """Figures that only the tables know; those of absent tables are left out."""
    counts = {
        "users": reader.count("user_histories"),
        "users_served": reader.count("recommendations", pc.field("rank") == 1),
        "serving_candidates": reader.count("candidates", pc.field("window") == "serving"),
        "items_described": reader.count("item_profiles"),
        "items_described_by_llm": reader.count("item_profiles", pc.field("source") == "llm"),
        "users_described": reader.count("user_profiles"),
        "users_described_by_llm": reader.count("user_profiles", pc.field("source") == "llm"),
    }
    return {name: count for name, count in counts.items() if count is not None}


def choose_users(activity: Iterable[dict[str, Any]], described: set[str], n: int = SAMPLED_USERS) -> Rows:
    """`n` users from the least to the most active, with `n_items` and the `percentile` of their activity.

    Users are cut into `n` equal groups by activity; each gives the user in its middle, or the nearest to it
    whom the language model has described.
    """
    ranked = sorted(activity, key=lambda row: (row["n_items"], row["user_id"]))
    n = min(n, len(ranked))
    chosen = []
    for group in range(n):
        low, high = group * len(ranked) // n, (group + 1) * len(ranked) // n
        middle = (low + high - 1) / 2
        at = min(range(low, high), key=lambda i: (ranked[i]["user_id"] not in described, abs(i - middle), i))
        chosen.append({**ranked[at], "percentile": round(100 * (at + 0.5) / len(ranked))})
    return chosen


def sample_users(reader: TableReader) -> Rows:
    """Ten users as history, profile, and recommendations with explanations; titles filled in."""
    is_llm = pc.field("source") == "llm"
    described = {row["user_id"] for row in reader.rows("user_profiles", ["user_id"], is_llm)}
    users = choose_users(reader.rows("user_histories", ["user_id", "n_items"]), described)
    mine = among("user_id", [user["user_id"] for user in users])
    histories = {row["user_id"]: row for row in reader.rows("user_histories", None, mine)}
    profiles = {row["user_id"]: row for row in reader.rows("user_profiles", None, mine)}
    lists = _by_user(reader.rows("recommendations", None, mine))
    reasons = {(row["user_id"], row["rank"]): row for row in reader.rows("explanations", None, mine)}
    tastes = {row["user_id"]: row["text"] for row in reader.rows("taste_summaries", ["user_id", "text"], mine)}
    assembled = [
        {
            **user,
            "history": histories[user["user_id"]]["items"][:SHOWN_HISTORY],
            "profile": profiles.get(user["user_id"]),
            "taste": tastes.get(user["user_id"]),
            "recommendations": [
                {**row, "explanation": reasons.get((row["user_id"], row["rank"]))}
                for row in lists[user["user_id"]][:SHOWN_RECOMMENDATIONS]
            ],
        }
        for user in users
    ]
    return _with_titles(assembled, reader)


def featured_user(users: Rows) -> dict[str, Any] | None:
    """The sampled user whom the page shows first: of those with most to show, the one of middling activity.

    Most to show is a list and a profile by the model, then a list alone. None where nobody has a list.
    """
    served = [user for user in users if user["recommendations"]]
    told = [user for user in served if user["profile"] and user["profile"]["source"] == "llm"]
    return min(told or served, key=lambda user: (abs(user["percentile"] - 50), user["user_id"]), default=None)


def _with_titles(users: Rows, reader: TableReader) -> Rows:
    wanted = {item["item_id"] for user in users for item in [*user["history"], *user["recommendations"]]}
    evidence = [r["explanation"]["evidence"] for u in users for r in u["recommendations"] if r["explanation"]]
    wanted |= claimed([user["profile"] for user in users if user["profile"]])
    titles = titles_of(reader, wanted | {entry["item_id"] for entries in evidence for entry in entries})

    def titled(item: dict[str, Any]) -> dict[str, Any]:
        return {**item, **titles.get(item["item_id"], {"title": item["item_id"], "categories": []})}

    def explained(row: dict[str, Any]) -> dict[str, Any]:
        causes = row["explanation"]["evidence"] if row["explanation"] else []
        return {**titled(row), "evidence": [titled(cause)["title"] for cause in causes]}

    return [
        {
            **user,
            "history": [titled(item) for item in user["history"]],
            "profile": with_claims(user["profile"], titles) if user["profile"] else None,
            "recommendations": [explained(row) for row in user["recommendations"]],
        }
        for user in users
    ]


def _by_user(rows: Rows) -> dict[str, Rows]:
    grouped: dict[str, Rows] = defaultdict(list)
    for row in rows:
        grouped[row["user_id"]].append(row)
    return grouped
