"""Do published explanations say nothing beyond their evidence? A checker that shares no code with the one that decides.

It reads the published tables alone. What stands in quotation marks must be the title of the recommended item or of a
history item that the row cites; numbers must stand in the row's statements (which are recomputed here where the tables
tell them) or titles; every other word must be one of the statements' words or of a short list that claims nothing; and
no history item may belong to another user.

    python tests/integration/explanation_checker.py LAKE NIGHT
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

QUOTATION = re.compile("“(.*?)”")
GLUE = frozenset(
    re.findall(
        r"\w+",
        """
        a also an and are as at be because besides by can chose choice chosen choose could everyone for from good
        have his her history if in is it its like look may might more next of often on one or over people picked
        since so soon that the their them they this to too up with worth would you your yours interest interests
        suit suits popular time something fits fit whole goes common closest comes among what said begin new here
        who such each other
        """,
    )
)
"""Words that say nothing about any item by themselves."""


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def same_title(said: str, title: str) -> bool:
    """Whether a quotation is a title: letter by letter, or its beginning where it was cut, in any order of its words
    (`Heat, The` is `The Heat`), whatever signs were left out."""
    own, quoted = words(title), words(said.rstrip("…"))
    if sorted(own) == sorted(quoted):
        return True
    joined, start = "".join(own), "".join(quoted)
    moved = "".join(words(re.sub(r"^(.*), (\w+)( \(.*\))?$", r"\2 \1\3", title)))
    return len(said) >= 40 and (joined.startswith(start) or moved.startswith(start))


def problems(row: Mapping[str, Any], titles: Mapping[str, str], history: Iterable[str]) -> list[str]:
    """What is wrong with a row of `explanations`; empty where it says what its evidence carries."""
    found, own = [], set(history)
    cited = [piece["item_id"] for piece in row["evidence"]]
    told = {item_id for one in row["statements"] for item_id in one["item_ids"]}
    if foreign := ({*cited, *told} - own):
        found.append(f"history items of somebody else: {sorted(foreign)}")
    allowed = [titles[item_id] for item_id in [row["item_id"], *cited]]
    quotations = QUOTATION.findall(row["text"])
    for quotation in quotations:
        if quotation != "?" and not any(same_title(quotation, title) for title in allowed):
            found.append(f"title outside the evidence: {quotation}")
    if row["source"] == "llm" and not any(same_title(q, titles[row["item_id"]]) for q in quotations):
        found.append("the item is not named")
    rest = QUOTATION.sub(" ", row["text"])
    said = {word.rstrip("s") for one in row["statements"] for word in words(QUOTATION.sub(" ", one["text"]))}
    strange = [word for word in words(rest) if word.rstrip("s") not in said and word not in GLUE]
    if strange:
        found.append(f"words outside the statements: {strange}")
    return found


def check(lake: str, night: date) -> dict[str, Any]:
    """Counts over all explanations of a night: rows, by source, and rows with a problem, with the first few of them."""
    from schemas.lake import Lake

    def read(table: str, columns: list[str]) -> list[dict[str, Any]]:
        return Lake(lake).snapshot(table, night).read(columns).to_pylist()

    titles = {row["item_id"]: row["title"] for row in read("item_documents", ["item_id", "title"])}
    histories: dict[str, set[str]] = {}
    for row in read("interactions", ["user_id", "item_id"]):
        histories.setdefault(row["user_id"], set()).add(row["item_id"])
    sources, wrong, first = Counter[str](), 0, []
    for row in read("explanations", ["user_id", "rank", "item_id", "text", "statements", "evidence", "source"]):
        sources[row["source"]] += 1
        if found := problems(row, titles, histories.get(row["user_id"], ())):
            wrong += 1
            if len(first) < 10:
                first.append({"text": row["text"], "problems": found})
    return {"rows": sum(sources.values()), "by_source": dict(sources), "ungrounded": wrong, "first": first}


if __name__ == "__main__":
    outcome = check(sys.argv[1], date.fromisoformat(sys.argv[2]))
    print(json.dumps(outcome, indent=2, ensure_ascii=False))
    sys.exit(bool(outcome["ungrounded"]))
