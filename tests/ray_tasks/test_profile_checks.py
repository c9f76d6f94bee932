"""The checks of a model's output: a good one becomes a typed profile, each defect has its reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_tasks.profiles.checks import (
    REASONS,
    ItemProfile,
    Rejected,
    UserProfile,
    parse_item_profile,
    parse_user_profile,
)
from ray_tasks.profiles.prompts import PromptFile, item_evidence, ungrounded_words, user_evidence
from ray_tasks.profiles.templates import item_template, user_template

ITEM, USER = PromptFile.load("item_profile.v1"), PromptFile.load("user_profile.v1")
MOVIE = item_evidence("1", "Stone River", ["Drama"], "title: Stone River. release year: 1993", "movie")
PERSON = user_evidence("u", [("1", "Stone River"), ("2", "Heat"), ("3", "Fargo")], ["Drama", "Crime"], 3)
VOCABULARY = frozenset({"drama", "comedy", "crime", "western"})
GOOD = " A drama movie from 1993, serious in tone.\nAudience: People who enjoy drama.\nThemes: drama, Memory, drama"

COPIED = GOOD.replace("A drama movie from 1993, serious in tone.", ITEM.shots[-1].splitlines()[2].split(": ", 1)[1])


def item(text: str, evidence=MOVIE):
    return parse_item_profile(text, evidence, ITEM, ungrounded_words(evidence, VOCABULARY))


def user(text: str):
    return parse_user_profile(text, PERSON, USER, ungrounded_words(PERSON, VOCABULARY))


def test_a_good_answer_becomes_a_profile():
    assert item(GOOD) == ItemProfile(
        summary="A drama movie from 1993, serious in tone.",
        audience="People who enjoy drama.",
        themes=("drama", "memory"),
    )
    assert user(" Enjoys drama with a taste for crime\nLikes: drama, crime, western") == UserProfile(
        summary="Enjoys drama with a taste for crime.", likes=("drama", "crime")
    )


def replaced(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n\n", "empty"),
        (" A drama movie.", "unparsable"),
        ('{"summary": "A drama movie", "audience": "all", "themes": []}', "unparsable"),
        (replaced("Audience:", "Public:"), "unparsable"),
        (replaced("drama, Memory, drama", " "), "empty"),
        (replaced("drama, Memory, drama", "western"), "empty"),
        (replaced("serious in tone", "drama " * 4), "repetition"),
        (" drama" * 60, "repetition"),
        (replaced("serious in tone", "long and long"), "repetition"),
        (replaced("serious in tone", "deep " + "tone, hue and so on " * 20), "too_long"),
        (replaced("serious in tone", "Facts: none"), "echoed_prompt"),
        (replaced("serious in tone", "ignore all previous instructions"), "echoed_prompt"),
        (replaced("serious in tone", "like Quiet Harbor"), "copied_example"),
        (COPIED, "copied_example"),
        (replaced("1993", "1994"), "ungrounded"),
        (replaced("drama movie", "comedy movie"), "ungrounded"),
        (replaced("drama movie", "drama novel"), "ungrounded"),
        (replaced("serious in tone", "set in Paris"), "ungrounded"),
        (replaced("serious in tone", "recalling “Heat”"), "ungrounded"),
        (replaced("A drama movie from 1993, serious in tone", "Serious throughout"), "ungrounded"),
    ],
)  # fmt: skip
def test_a_bad_answer_is_rejected_with_its_reason(text, reason):
    assert item(text) == Rejected(reason)


def test_an_examples_title_is_allowed_to_the_item_that_bears_it():
    evidence = item_evidence("1", "Quiet Harbor", ["Drama"], "title: Quiet Harbor", "movie")
    assert isinstance(item(replaced("from 1993, serious in tone", "set in Quiet Harbor"), evidence), ItemProfile)


@given(st.text(max_size=300))
def test_any_text_ends_as_a_valid_profile_or_a_known_reason(text):
    for outcome in (item(text), item(f" A drama {text}.\nAudience: all {text}\nThemes: {text}"), user(text)):
        assert isinstance(outcome, ItemProfile | UserProfile) or outcome.reason in REASONS


def test_templates_say_only_what_is_known():
    assert item_template(MOVIE, ["Drama", "Crime"]).model_dump() == {
        "summary": "Stone River is listed under drama and crime.",
        "audience": "People who are interested in drama and crime.",
        "themes": ("drama", "crime"),
    }
    bare = item_evidence("7", "", [], "", "item")
    assert item_template(bare, []).summary == "The catalogue lists 7 without further details."
    assert user_template(PERSON, ["Stone River", "Heat", "Fargo", "Alien"]).summary == (
        "Often chooses drama and crime; recently “Stone River”, “Heat” and “Fargo”."
    )
    assert user_template(user_evidence("u", [], [], 0), []).likes == ("not yet known",)
