"""Claims about who a person is, told from words about items: measured on labelled sentences."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_tasks.privacy.protected import infers_protected_trait

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "protected_sentences.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
HALVES = {"tuning": ROWS[0::2], "test": ROWS[1::2]}
FLOORS = {"tuning": (0.97, 0.97), "test": (0.95, 0.75)}
"""Half -> the least precision and recall; docs/adr/0015 tells what was measured."""


@pytest.mark.parametrize("half", HALVES)
def test_claims_are_found_and_items_are_not_mistaken_for_people(half):
    found = [(infers_protected_trait(row["text"]), row["trait"]) for row in HALVES[half]]
    right = sum(bool(one and true) for one, true in found)
    precision, recall = FLOORS[half]
    assert right >= precision * sum(bool(one) for one, _ in found)
    assert right >= recall * sum(bool(true) for _, true in found)


@pytest.mark.parametrize(
    ("text", "trait"),
    [
        ("Hispanic families who enjoy animation.", "ethnicity"),
        ("A devout Catholic who enjoys biographies.", "religion"),
        ("Someone with ADHD who likes quick games.", "health"),
        ("The user is probably bisexual.", "orientation"),
        ("Liberals who enjoy political satire.", "politics"),
        ("Working-class people who enjoy football films.", "income"),
        ("A parent who buys children's films.", "family"),
        ("Appeals to adults aged 25 to 34.", "age"),
        ("Suits teenagers.", "age"),
        ("His favourites are westerns.", "gender"),
    ],
)
def test_each_trait_is_told(text, trait):
    assert infers_protected_trait(text) == trait
    assert infers_protected_trait(text.upper()) == trait


@pytest.mark.parametrize(
    "text",
    [
        "People who enjoy family films and children's animation.",
        "Stories about old men.",
        "A drama about a single mother.",
        "People who enjoy black comedy and classic old films.",
        "Players who like single-player games with rich worlds; disliked poor controls.",
        "Straight humour and the liberal use of slapstick.",
        "A film about Christian missionaries.",
        "Fans of female detectives and young heroes.",
        "Enjoys young adult fantasy and Asian cinema.",
        "A father and his son cross an empty country.",
        "Lately dramas, such as Little Women and A Single Man.",
    ],
)
def test_words_about_items_claim_nothing(text):
    assert infers_protected_trait(text) is None


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["drama", "puzzles", "old westerns", "family films", "black comedy", "rich stories"]),
    st.sampled_from(["People", "Viewers", "Players", "Readers", "Fans"]),
    st.sampled_from(["who enjoy", "who like", "with a taste for", "drawn to"]),
)
def test_an_audience_by_interest_is_allowed(interest, people, taste):
    assert infers_protected_trait(f"{people} {taste} {interest}.") is None
    assert infers_protected_trait(f"Married {people.lower()} {taste} {interest}.") == "family"


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_has_an_answer(text):
    assert infers_protected_trait(text) in {None, *(row["trait"] for row in ROWS)}
