"""The benchmark's item profiles: the most taken first, every item told of, nothing paid twice."""

from contextlib import nullcontext

import numpy as np
import pytest
from writers_here import WritersHere

from ray_tasks.benchmark.data import Dataset
from ray_tasks.benchmark.profiles import described, item_profiles
from ray_tasks.benchmark.texts import item_texts
from ray_tasks.generation.fake import FakeGenerator
from ray_tasks.interactions.windows import Log
from schemas.generation_config import Encoder, Generator

N = 12
TAGS = ("Crime, Drama", "Western, Gold Rush, Comedy", "Space Opera, War")
CONFIG = Generator(backend="fake", path="unused", item_kind="film", batch_size=2)


@pytest.fixture
def data() -> Dataset:
    """Item n was taken n times in training; item 0 a hundred times, but later."""
    train = np.repeat(np.arange(N), np.arange(N))
    item = np.concatenate([train, np.zeros(100, dtype=np.int64)])
    split = (np.arange(len(item)) >= len(train)).astype(np.int64)
    ids = np.array([f"i{n:02d}" for n in range(N)], dtype=object)
    users, ones = np.zeros(len(item), dtype=np.int64), np.ones(len(item), dtype=bool)
    log = Log(np.array(["u"], dtype=object), ids, users, item, np.arange(len(item)), split, ones)
    titles = tuple(f"Stone River {n}" for n in range(N))
    documents = tuple(f"{title}. Studio {n % 2}. {TAGS[n % 3]}" for n, title in enumerate(titles))
    kinds = tuple(tuple(TAGS[n % 3].split(", ")) for n in range(N))
    return Dataset("small", "0" * 64, log, titles, documents, kinds, ("",) * N)


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """Asks the fake model without Ray; holds whom it was asked about."""
    found: list[str] = []

    class Noting(WritersHere):
        def ask(self, entities, spare):
            found.extend(one.entity_id for one in entities)
            return super().ask(entities, spare)

    monkeypatch.setattr("ray_tasks.benchmark.profiles.Writers", lambda *settings: Noting(*settings, FakeGenerator()))
    monkeypatch.setattr("ray_tasks.profiles.publication.ray_session", nullcontext)
    return found


def test_the_most_taken_in_training_are_asked_about_first_and_within_the_budget(data, asked, tmp_path):
    found = item_profiles(data, data.log, CONFIG, tmp_path / "kept", budget=400)
    assert 1 < len(asked) < N
    assert asked == [f"i{N - 1 - n:02d}" for n in range(len(asked))]
    assert 0 < found.tokens <= 400
    assert (found.by_llm, found.by_template) == (len(asked), N - len(asked))
    assert set(found.texts) == set(data.log.item_ids)
    assert all(text.strip() for text in found.texts.values())
    template = item_profiles(data, data.log, CONFIG, tmp_path / "none", budget=0)
    assert (template.by_llm, template.tokens, template.seconds) == (0, 0, 0)
    assert {i for i in found.texts if found.texts[i] != template.texts[i]} == set(asked)


def test_a_second_run_asks_for_nothing_and_a_larger_budget_for_the_rest(data, asked, tmp_path):
    first = item_profiles(data, data.log, CONFIG, tmp_path, budget=400)
    before = list(asked)
    again = item_profiles(data, data.log, CONFIG, tmp_path, budget=400)
    assert asked == before
    assert (again.texts, again.tokens, again.seconds) == (first.texts, first.tokens, 0)
    item_profiles(data, data.log, CONFIG, tmp_path, budget=10**6)
    assert sorted(asked) == sorted(data.log.item_ids)


def test_each_field_of_a_document_is_evidence_of_its_own(data):
    rows, vocabulary = described(data)
    assert rows[1]["document"] == "title: Stone River 1. text: Studio 1. text: Western, Gold Rush, Comedy"
    assert not {"text", "title"} & set(vocabulary.labels("theme"))


def test_profiles_are_told_apart_from_documents(data, tmp_path, monkeypatch):
    told = {item_id: "quokka" if item_id in ("i01", "i02") else "" for item_id in data.log.item_ids}

    def encoded(texts, kind, ids, encoder, cache):
        return np.array([[len(texts.get(item_id, "")), kind == "profile"] for item_id in ids], dtype=np.float32)

    monkeypatch.setattr("ray_tasks.benchmark.texts.encoded", encoded)
    plain = item_texts(data, Encoder(backend="fake"), tmp_path / "v")
    both = item_texts(data, Encoder(backend="fake"), tmp_path / "v", told)
    assert (both.vectors == plain.vectors).all()
    assert (both.words != plain.words).nnz == 0
    assert np.flatnonzero(both.profiles[:, 0]).tolist() == [1, 2]
    assert not plain.profiles[:, 0].any()
