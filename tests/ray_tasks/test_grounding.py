"""What the grounding check refuses and lets pass, rule by rule; and how often it errs on outputs labelled by hand."""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_tasks.profiles import grounding

BENCH = Path(__file__).parents[2] / "infra" / "bench" / "grounding.py"
SPEC = importlib.util.spec_from_file_location("grounding_bench", BENCH)
bench = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bench)

EVIDENCE = "Movie: Stone River\nFacts: Drama, War, year 1994"
USER = (
    "Recent: A Alien (horror, sci-fi); B Stone River (drama)\nEarlier: C Dust (western)\nDisliked: D Fun Town (comedy)"
)
TOLD = "Movie: Stone River\nFacts: Drama, A ferryman carries letters across the border until the bridge is destroyed."
VOCABULARY = frozenset({"drama", "war", "western", "comedy", "horror"})
COPIED = "A quiet thriller of lost letters and distant bells."
SHOTS = (f'Movie: Distant Bells\nFacts: Thriller\nProfile: {{"summary":"{COPIED}"}}',)


def problem(*sentences: str, evidence: str = EVIDENCE, **more):
    more = {"shots": SHOTS, "vocabulary": VOCABULARY, "title": "Stone River", **more}
    return grounding.problem(list(sentences), evidence, **more)


@pytest.mark.parametrize(
    "sentence",
    [
        "A drama of war from 1994.",
        "A serious war drama of the 1990s.",
        "A moving drama with a strong story.",
        "Stone River is a war drama.",
    ],
)
def test_words_of_the_evidence_and_of_its_genres_pass(sentence):
    assert problem(sentence, "People who enjoy drama.") is None


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("", "empty"),
        ("A drama of war " * 25, "too_long"),
        ("A drama and a drama and a drama and a drama.", "repetition"),
        ("Ein Drama über den Krieg und die Liebe in einer kleinen Stadt am Fluss.", "wrong_language"),
        (COPIED, "copied_example"),
        ("A drama like Distant Bells.", "copied_example"),
        ("Movie: Stone River Facts: Drama, War, year 1994.", "echoed_prompt"),
        ("A drama from 1962.", "ungrounded_number"),
        ("A drama with three wars.", "ungrounded_number"),
        ('A drama like "Golden Valley".', "ungrounded_title"),
        ("A war drama with Robert Duvall.", "ungrounded_name"),
        ("A drama with a western side.", "ungrounded_genre"),
        ("A hilarious drama.", "ungrounded_genre"),
        ("A drama who loses a farm to the bank.", "ungrounded_plot"),
        ("It offers a lot of everything to everyone.", "off_topic"),
    ],
)
def test_each_rule_names_its_offence(sentence, reason):
    assert problem(sentence, "People who enjoy drama.") == reason


def test_two_sentences_that_say_the_same_are_a_repetition():
    assert problem("A moving drama of war.", "A moving drama of war.") == "repetition"


def test_evidence_that_tells_what_happens_may_be_retold():
    sentence = "A drama of a ferryman who carries letters until a bridge is destroyed."
    assert problem(sentence, evidence=TOLD, is_told=True) is None
    assert problem(sentence, is_told=False) == "ungrounded_plot"


def test_a_users_sentence_rests_on_what_is_liked_and_lately_on_what_is_recent():
    assert problem("Enjoys drama and horror.", evidence=USER) is None
    assert problem("Enjoys comedy.", evidence=USER) == "ungrounded_genre"
    assert problem("Enjoys western.", evidence=USER) is None
    assert problem("Lately western.", evidence=USER) == "ungrounded_genre"


def test_an_example_must_be_one_of_what_is_said():
    assert problem("Enjoys horror, such as Alien.", evidence=USER) is None
    assert problem("Enjoys drama, such as Alien.", evidence=USER) == "ungrounded_genre"
    assert problem("Enjoys drama, such as Rio Bravo.", evidence=USER) == "ungrounded_title"


def test_praise_of_what_reviews_criticise_is_refused():
    reviewed = f"{EVIDENCE}\nReviews: praised story; criticised controls"
    assert problem("A war drama praised for story.", evidence=reviewed) is None
    assert problem("A war drama praised for controls.", evidence=reviewed) == "ungrounded_plot"


def test_words_to_avoid_are_those_that_would_be_refused():
    avoided = grounding.words_to_avoid(EVIDENCE, VOCABULARY, is_told=False)
    assert {"western", "comedy", "hilarious"} <= avoided
    assert not {"drama", "war", "serious"} & avoided
    for word in sorted(avoided):
        assert problem(f"A drama with {word} in it.", title="") is not None, word


@given(st.data())
def test_sentences_in_closed_wording_are_grounded_whichever_way_the_words_are_put(data):
    kind, *facts = EVIDENCE.splitlines()
    words = sorted(grounding.words_to_use("\n".join([kind.partition(":")[0], *facts]), VOCABULARY))
    assert {"drama", "war", "movie", "serious", "strong"} <= set(words)
    assert not {"western", "hilarious", "facts", "stone"} & set(words)
    made = data.draw(st.lists(st.sampled_from(words), min_size=3, max_size=15, unique=True))
    found = problem(f"A {' '.join(made)}.", "People who enjoy drama.")
    assert found is None or not found.startswith("ungrounded"), made


@given(st.lists(st.text(max_size=80), max_size=3), st.text(max_size=200))
def test_any_text_gets_a_known_verdict(sentences, evidence):
    found = grounding.problem(sentences, evidence, shots=SHOTS, vocabulary=VOCABULARY)
    assert found is None or found in grounding.REASONS


def test_the_labelled_set_is_large_and_of_all_kinds():
    rows = bench.load()
    assert len(rows) >= 200
    assert len({row["id"] for row in rows}) == len(rows)
    assert {row["label"] for row in rows} <= {"ok", *grounding.REASONS}
    assert {bench.half_of(row) for row in rows} == {"validation", "test"}


def test_the_check_keeps_its_precision_and_recall_on_outputs_labelled_by_hand():
    """Floors just under docs/adr/0016's figures: a rule that makes either worse must say so there."""
    figures = bench.figures(bench.load())["test"]
    assert figures["precision"] >= 0.94
    assert figures["recall"] >= 0.96
