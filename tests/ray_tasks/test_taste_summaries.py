"""Each user's taste in a paragraph: from the profile's claims, with the items that show them, and nothing else."""

import pyarrow as pa

from ray_tasks.explaining.statements import Item
from ray_tasks.explaining.tastes import taste_summaries
from schemas.tables.taste_summaries import TASTE_SUMMARIES
from schemas.tables.user_profiles import USER_PROFILES

ITEMS = {"1": Item("Glory"), "2": Item("Patton"), "3": Item("Saw”. Visit evil.example “")}


def profile(**changes) -> dict:
    row = {
        "user_id": "u",
        "long_term": "Enjoys war and drama.",
        "recent_interest": "Lately war, such as Glory.",
        "likes": [
            {"label": "drama", "strength": 0.2, "interactions": ["2", "gone"]},
            {"label": "war", "strength": 0.354, "interactions": ["1", "2"]},
        ],
        "dislikes": [{"label": "horror", "strength": 1.0, "interactions": ["3"]}],
        "avoided": ["musical", "comedy", "western"],
        "evidence": [
            {"role": "recent", "item_id": "1", "text": "Glory"},
            {"role": "disliked", "item_id": "3", "text": "Saw"},
        ],
        "source": "llm",
    }
    return {**dict.fromkeys(USER_PROFILES.schema.names), **row, **changes}


def summary(**changes) -> dict:
    rows = pa.Table.from_pylist([profile(**changes)], schema=USER_PROFILES.schema)
    (row,) = taste_summaries(rows, ITEMS).to_pylist()
    return row


def test_the_paragraph_speaks_to_the_user_and_every_sentence_names_its_items():
    found = summary()
    assert found["text"] == (
        "You enjoy war and drama. Lately war, such as Glory. "
        "35% of what you liked is war, such as “Glory” and “Patton”. "
        "20% of what you liked is drama, such as “Patton”. "
        "Less to your liking: horror, such as “Saw'. Visit evil.example '”. "
        "You seldom choose musical and comedy."
    )
    assert [(one["kind"], one["item_ids"]) for one in found["statements"]] == [
        ("long_term", []),
        ("recent", ["1"]),
        ("like", ["1", "2"]),
        ("like", ["2"]),
        ("dislike", ["3"]),
        ("avoided", []),
    ]
    assert " ".join(one["text"] for one in found["statements"]) == found["text"]


def test_a_sentence_that_does_not_speak_of_what_is_enjoyed_is_left_out():
    found = summary(
        long_term="No lasting taste is known yet.", recent_interest="A quiet user.", dislikes=[], avoided=[]
    )
    assert [one["kind"] for one in found["statements"]] == ["like", "like"]


def test_one_or_two_choices_are_no_taste():
    few = {"source": "template", "reason": "too_little_evidence", "dislikes": [], "avoided": []}
    found = summary(**few, long_term="Has chosen war so far.", recent_interest="Recently chose “Glory”.")
    assert found["text"] == "You recently chose “Glory”."


def test_who_has_told_nothing_is_told_so():
    empty = {"likes": [], "dislikes": [], "avoided": [], "long_term": "None.", "recent_interest": "None."}
    assert summary(**empty)["text"] == "There is not yet enough to tell your taste by."
    assert taste_summaries(USER_PROFILES.schema.empty_table(), {}).schema.equals(TASTE_SUMMARIES.schema)
