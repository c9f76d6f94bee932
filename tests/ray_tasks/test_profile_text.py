"""Item text inside a prompt is data: whatever it says, it stays one bounded line of evidence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_tasks.text import as_data, document_fields, natural_title


@given(st.text(max_size=400), st.integers(10, 120))
def test_data_is_one_bounded_line_without_special_tokens(text, characters):
    made = as_data(text, characters)
    assert len(made) <= characters
    assert made.splitlines() in ([], [made])
    assert not set(made) & set('{}[]<>|"')


def test_a_trademark_does_not_become_letters():
    assert as_data("NieR:Automata™, a game℠ ™", 60) == "NieR:Automata, a game"


@pytest.mark.parametrize(
    ("title", "natural"),
    [("Grass Harp, The", "The Grass Harp"), ("Rules, Rules", "Rules, Rules"), ("Été, L'", "Été, L'"), ("", "")],
)
def test_articles_go_back_to_the_front(title, natural):
    assert natural_title(title) == natural


def test_a_document_without_fields_is_text():
    assert document_fields("just words") == [("text", "just words")]
