"""Vectors follow their texts: encoded once, reused while the text and the encoder stay."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_tasks import embeddings
from ray_tasks.encoder import EncoderActor, FakeEncoder
from schemas.generation_config import Encoder
from schemas.tables import TABLES

FAKE = Encoder(backend="fake")


@given(st.lists(st.text(max_size=50), min_size=1, max_size=5))
def test_vectors_have_unit_length_and_depend_on_the_text_only(words):
    vectors = FakeEncoder().encode(words)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert np.array_equal(FakeEncoder().encode(words[::-1])[::-1], vectors)


def test_equal_texts_are_encoded_once_and_all_rows_get_their_vector():
    rows = pa.table({"item_id": ["a", "b", "c"], "document": ["red car", "blue car", "red car"]})
    items = embeddings.texts(rows, "item_id", "document", "encoder@1")
    wanted = embeddings.distinct_texts([items, items])
    assert wanted.num_rows == 2
    vectors = EncoderActor(FAKE)(wanted).select(["text_hash", "vector"])
    out = embeddings.with_vectors(items, vectors)["vector"].to_pylist()
    assert out[0] == out[2] != out[1]


def test_another_encoder_or_another_text_is_another_hash():
    rows = pa.table({"item_id": ["a"], "document": ["red car"]})
    one, two = (embeddings.texts(rows, "item_id", "document", revision) for revision in ("x@1", "x@2"))
    assert one["text_hash"] != two["text_hash"]


def test_texts_of_nobody_stand_beside_those_of_others():
    some = pa.table({"user_id": ["u"], "profile": ["likes quokkas"]})
    none = pa.table({"user_id": pa.array([], pa.string()), "stated": pa.array([], pa.string())})
    spoken = (("profile", some), ("stated", none))
    both = pa.concat_tables([embeddings.texts(rows, "user_id", kind, "r") for kind, rows in spoken])
    assert embeddings.distinct_texts([both]).num_rows == both.num_rows == 1
    assert not embeddings.distinct_texts([both.slice(0, 0)]).num_rows


def test_a_row_without_a_vector_is_never_published():
    rows = embeddings.texts(pa.table({"item_id": ["a"], "document": ["x"]}), "item_id", "document", "e")
    with pytest.raises(KeyError):
        embeddings.with_vectors(rows, embeddings.VECTORS.empty_table())


def test_the_text_of_a_profile_is_its_sentences_and_labels():
    aspects = [
        {"aspect": "story", "n_positive": 3, "n_negative": 1},
        {"aspect": "price", "n_positive": 0, "n_negative": 2},
    ]
    row = {
        "item_id": "a",
        "summary": "A film.",
        "audience": "Fans.",
        "themes": ["war"],
        "moods": ["sad"],
        "aspects": aspects,
    }
    items = pa.Table.from_pylist([row])
    assert embeddings.profile_texts(items, "item_id")["profile"].to_pylist() == ["A film. Fans. war, sad, story"]
    likes = [{"label": "war"}, {"label": "love"}]
    users = pa.Table.from_pylist(
        [{"user_id": "u", "long_term": "Enjoys war.", "recent_interest": "Lately love.", "likes": likes}]
    )
    assert embeddings.profile_texts(users, "user_id")["profile"].to_pylist() == ["Enjoys war. Lately love. war, love"]


def test_what_is_null_or_empty_in_a_profile_leaves_no_trace_in_its_text():
    judged = [{"aspect": "story", "n_positive": None, "n_negative": None}]
    rows = [
        {"item_id": "a", "summary": "A film.", "audience": None, "themes": None, "moods": [], "aspects": judged},
        {"item_id": "b", "summary": None, "audience": "", "themes": ["war"], "moods": None, "aspects": None},
    ]
    schema = pa.schema([TABLES["item_profiles"].schema.field(name) for name in embeddings.TOLD["item_id"]])
    items = pa.table({name: pa.array([row[name] for row in rows], schema.field(name).type) for name in schema.names})
    assert embeddings.profile_texts(items, "item_id")["profile"].to_pylist() == ["A film.", "war"]
    nothing = {"user_id": ["u"], "long_term": [None], "recent_interest": [None], "likes": [None]}
    users = pa.table(nothing)
    assert embeddings.profile_texts(users, "user_id")["profile"].to_pylist() == [""]


@pytest.mark.ray
def test_an_actor_pool_encodes_every_text_once():
    missing = pa.table({"text_hash": [f"h{n}" for n in range(50)], "text": [f"text number {n}" for n in range(50)]})
    encoded = embeddings.encode(missing, Encoder(backend="fake", actors=1, batch_size=4))
    assert sorted(encoded["text_hash"].to_pylist()) == sorted(missing["text_hash"].to_pylist())
    by_hash = dict(zip(encoded["text_hash"].to_pylist(), encoded["vector"].to_pylist(), strict=True))
    assert np.allclose(by_hash["h7"], FakeEncoder().encode(["text number 7"])[0])
