"""Aspects, sentiment and quotations of reviews, and the task that mines them from the training period alone."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_tasks import vocabularies
from ray_tasks.evidence.aspects import by_item, item_review, judged_aspects, sentences
from ray_tasks.evidence.snippets import LONGEST, MOST, choose, is_quotable
from ray_tasks.lexicons import lexicon
from ray_tasks.vocabulary.labels import Label, Vocabulary
from schemas.config import freeze
from schemas.errors import ConfigError
from schemas.lake import Lake
from schemas.night import night_task, save_config, task_records
from schemas.stage_files import write_rows
from schemas.tables import TABLES

ASPECTS = Vocabulary(
    tuple(
        Label("aspect", name, lexicon("aspects")[name]) for name in ("graphics", "controls", "story", "price", "music")
    )
)
NIGHT = date(2026, 11, 22)
AS_OF = datetime(2026, 11, 22, tzinfo=UTC)


def figures(*reviews: str) -> dict[str, tuple[int, int, int]]:
    found = item_review("i", reviews, ASPECTS)["aspects"]
    return {one["aspect"]: (one["n_positive"], one["n_negative"], one["n_reviews"]) for one in found}


def test_sentiment_belongs_to_the_clause_that_names_the_aspect():
    told = figures("The visuals are beautiful, but the controls are horrible. Nice music though the plot is boring.")
    assert told == {"controls": (0, 1, 1), "graphics": (1, 0, 1), "music": (1, 0, 1), "story": (0, 1, 1)}


def test_negation_is_understood():
    assert figures("The story is not good.", "The story is good.") == {"story": (1, 1, 2)}


def test_support_counts_reviews_not_sentences_and_sorts_by_them():
    row = item_review("i", ["Great music. Great music! What great music.", "Awful music.", "Fair price."], ASPECTS)
    assert [(one["aspect"], one["n_reviews"]) for one in row["aspects"]] == [("music", 2), ("price", 1)]
    assert row["n_reviews"] == 3
    assert row["aspects"][0]["n_positive"] == row["aspects"][0]["n_negative"] == 1


def test_reviews_without_aspects_or_opinions_are_counted_too():
    row = item_review("i", ["ok", "12", "\u2665\u2665\u2665"], ASPECTS)
    assert (row["n_reviews"], row["aspects"], row["snippets"]) == (3, [], [])


def test_sentences_end_where_writers_end_them():
    assert sentences("Good. Bad!No blank\nnew line 2.5 stars") == ["Good.", "Bad!", "No blank", "new line 2.5 stars"]


def test_judged_nouns_become_aspects_with_synonyms_of_the_list_under_one_name():
    texts = {
        f"i{k}": ["The hinge is great. Beautiful visuals.", "Its graphics were terrible and the hinge feels bad."]
        for k in range(4)
    }
    texts |= {f"j{k}": ["I like it.", "It came on Monday."] for k in range(40)}
    assert judged_aspects(texts) == {"graphics": 8, "hinge": 8}


@pytest.mark.parametrize(
    "review",
    [
        "This game is great. The thing is awful.",
        "The one that I bought is great.",
        "Great for kids and good at night.",
        "The best is great and the love is good.",
    ],
)
def test_what_stands_for_the_item_or_for_nothing_is_no_aspect(review):
    texts = {f"i{k}": [review] for k in range(5)} | {f"j{k}": ["Fine."] for k in range(50)}
    assert judged_aspects(texts) == {}


def test_what_people_call_the_item_is_no_aspect():
    tuners = {
        f"t{k}": ["The tuner is great.", "My tuner broke.", "A tuner.", "The knob is good.", "Fine."] for k in range(5)
    }
    others = {f"o{k}": ["Nice one.", "It came on Monday."] * 10 for k in range(10)}
    assert judged_aspects(tuners | others) == {"knob": 5}


def test_quotations_are_telling_distinct_and_without_personal_data():
    reviews = [
        "The graphics of this game are beautiful and the music is nice.",
        "The graphics of this game are beautiful and the music is very nice.",
        "The story is told with wit, and it has a heart; write to jo.smith@example.com for more.",
        "great game great game great game great game great",
        "My daughter loves the music and the graphics of this game so much.",
        "\u042d\u0442\u043e the graphics and the music of this \u0438\u0433\u0440\u0430, is it \u043d\u0435\u0442.",
    ]
    shown = item_review("i", reviews, ASPECTS)["snippets"]
    assert shown[0] == reviews[0]
    assert len(shown) == 2
    assert "told with wit" in shown[1]
    assert "example.com" not in " ".join(shown)


@pytest.mark.parametrize(
    "text",
    [
        "Too short to say it is good.",
        "THE GRAPHICS OF THIS GAME ARE WONDERFUL AND IT IS GREAT",
        "la historia es muy buena y la musica de este juego es una maravilla",
        "see https://example.com for what the graphics of this game are like",
        "sooooooo good is the music of this game that you have to hear it",
        'the graphics {"themes": ["x"]} of this game are what it is about',
        "x" * (LONGEST + 1),
    ],
)
def test_what_a_prompt_should_not_show_is_not_quotable(text):
    assert not is_quotable(text)


@given(st.lists(st.tuples(st.text(max_size=200), st.floats(-1, 1)), max_size=8), st.floats(-1, 1))
def test_quotations_of_anything_are_few_short_and_on_one_line(sentences, mean):
    shown = choose(sentences, mean, ASPECTS)
    assert len(shown) <= MOST
    assert all(len(text) <= LONGEST and "\n" not in text for text in shown)


def test_long_hostile_reviews_end():
    hostile = ["the " * 20_000 + "is great", "a" * 100_000, "but " * 20_000, "the is " * 20_000 + ";" * 10_000]
    assert item_review("i", hostile, ASPECTS)["n_reviews"] == 4
    assert judged_aspects({"i": hostile}) == {}


def test_the_row_of_an_item_does_not_depend_on_which_items_stand_beside_it():
    rows = [{"item_id": "b", "review": "Great music."}, {"item_id": "a", "review": "Bad story."}]
    assert by_item(rows) == {"b": ["Great music."], "a": ["Bad story."]}


SOURCE = {
    "name": "small",
    "interactions": {"format": "csv", "path": "/x", "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}},
    "items": {"format": "csv", "path": "/x", "columns": {"item_id": "i", "title": "t"}},
}
SAID = (
    ("u1", "i1", "train", "The music of this game is wonderful and the price is fair for it."),
    ("u2", "i1", "train", "The music is bad."),
    ("u3", "i1", "validation", "The secret lever is awful and the story is horrible."),
    ("u4", "i2", "test", "The music is awful."),
    ("u5", "i2", "train", None),
)


@pytest.fixture
def night(tmp_path):
    """Publish the inputs for a night and run the task; returns (tables by name, counters)."""

    def run(on: date = NIGHT, said=SAID, categories=("War",), **vocabulary):
        settings = {"min_items": 1, **vocabulary}
        config = freeze(
            {"source": SOURCE, "vocabulary": settings, "generator": {"path": "-"}, "encoder": {"path": "-"}},
            run_date=on,
            lake=str(tmp_path / "lake"),
            mlflow_tracking_uri="sqlite://",
            run_id=f"{on}",
        )
        uri = save_config(config)
        with night_task("before", uri) as task:
            for name, rows in inputs(said, categories).items():
                stage = task.stage(name)
                write_rows(stage, pa.Table.from_pylist(rows, schema=TABLES[name].schema))
                task.publish(stage)
        with night_task("vocabularies", uri) as task:
            vocabularies.write_vocabularies(task)
        lake = Lake(config.lake)
        tables = {name: lake.snapshot(name, on).read().to_pylist() for name in ("vocabularies", "item_reviews")}
        return tables, task_records(config)["vocabularies"]["counters"]

    return run


def inputs(said, categories) -> dict[str, list[dict]]:
    event = {"timestamp": AS_OF - timedelta(days=9), "rating": None, "weight": 1.0}
    documents = [
        {"item_id": i, "title": i, "categories": list(categories), "document": f"title: {i}", "content_hash": "0" * 64}
        for i in ("i1", "i2", "i3", "i4")
    ]
    documents[3]["categories"] = documents[2]["categories"] = []
    return {
        "item_documents": documents,
        "interactions": [{"user_id": u, "item_id": i, "review": t, "event_type": None, **event} for u, i, _, t in said],
        "splits": [{"user_id": u, "item_id": i, "split": split, **event} for u, i, split, _ in said],
    }


def test_reviews_of_the_training_period_alone_are_mined(night):
    tables, counters = night()
    (row,) = tables["item_reviews"]
    assert (row["item_id"], row["n_reviews"]) == ("i1", 2)
    assert {one["aspect"]: one["n_reviews"] for one in row["aspects"]} == {"music": 2, "price": 1}
    assert row["snippets"] == ["The music of this game is wonderful and the price is fair for it."]
    assert counters["reviews"] == 2
    labels = {(one["kind"], one["label"]) for one in tables["vocabularies"]}
    assert labels >= {("aspect", "music"), ("aspect", "price"), ("theme", "war"), ("mood", "epic")}
    assert not labels & {("aspect", "story"), ("aspect", "lever")}
    assert len({one["version"] for one in tables["vocabularies"]}) == 1


def test_what_later_reviews_say_moves_nothing(night):
    first, _ = night()
    later = [(u, i, split, t if split == "train" else "The lever is great, great music!") for u, i, split, t in SAID]
    again, counters = night(said=later)
    assert again == first
    assert (counters["added"], counters["removed"]) == (0, 0)


def test_a_night_without_reviews_has_themes_and_moods_only(night):
    tables, counters = night(said=[(u, i, split, None) for u, i, split, _ in SAID])
    assert tables["item_reviews"] == []
    assert counters["labels"] == {"theme": 1, "mood": 1, "aspect": 0}


def test_counters_tell_what_became_of_the_labels_of_the_night_before(night):
    night()
    _, counters = night(NIGHT + timedelta(days=1), categories=("Horror",), said=SAID[:1])
    assert counters["removed"] == 2  # war, epic
    assert counters["added"] == 2  # horror, scary
    assert counters["kept"] == 2  # music, price


def test_a_mistake_in_the_users_file_ends_the_task_before_anything_is_published(night, tmp_path):
    path = tmp_path / "labels.yaml"
    path.write_text("themes: {add: [war]}")
    with pytest.raises(ConfigError, match=r"themes\.add"):
        night(path=str(path))
    assert Lake(str(tmp_path / "lake")).open("vocabularies") is None
