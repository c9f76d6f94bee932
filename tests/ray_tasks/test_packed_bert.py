"""Texts side by side without padding have the vectors that the model's own library gives them."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from ray_tasks.encoder import SentenceTransformerEncoder, encoder_revision, load_encoder, precision_of
from ray_tasks.packed_bert import PackedBert, unfit
from schemas.generation_config import Encoder

PATH = Path(os.environ.get("NIGHTREC_ASSETS", "build/assets")) / "all-minilm-l6-v2"
pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(not PATH.is_dir(), reason="no models: make assets"),
]
WORDS = ["the", "a", "game", "of", "thrones", "space", "love", "war", "hero", "funny", "robot", "Zürich", "naïve"]


@pytest.fixture(scope="module")
def own():
    """The model as its library runs it."""
    found = load_encoder(Encoder(backend="sentence-transformers", path=str(PATH), actors=1))
    assert isinstance(found, SentenceTransformerEncoder)
    return found


@pytest.fixture(scope="module")
def texts():
    """Nothing, one word, equal lengths, all lengths, and more than the model reads."""
    chance = random.Random(3)
    lengths = [0, 1, 1, 7, 7, 7, *range(2, 60), 150, 250, 400]
    return [" ".join(chance.choices(WORDS, k=length)) for length in lengths]


def test_vectors_are_those_of_the_library_whatever_is_multiplied_at_once(own, texts):
    expected = own.encode(texts)
    for tokens in (1, 64, 4_096):
        found = PackedBert(own.model, tokens).encode(texts)
        assert found.dtype == np.float32
        assert (found * expected).sum(axis=1).min() > 0.999999
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


def test_vectors_of_half_the_precision_are_next_to_those_of_the_library(own, texts):
    found = PackedBert(own.model, 4_096, torch.bfloat16).encode(texts)
    assert found.dtype == np.float32
    assert (found * own.encode(texts)).sum(axis=1).min() > 0.9999
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(("able", "expected"), [({"avx512_bf16": True}, "bfloat16"), ({"avx2": True}, "float32")])
def test_numbers_are_those_that_the_processor_multiplies_and_a_vectors_hash_tells_them(able, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    auto, library = (Encoder(path=str(PATH), backend=name) for name in ("packed", "sentence-transformers"))
    assert (precision_of(auto), precision_of(library)) == (expected, "float32")
    assert encoder_revision(auto).endswith(":bfloat16") == (expected == "bfloat16")
    assert encoder_revision(library) == encoder_revision(Encoder(path=str(PATH), precision="float32"))


def test_vectors_come_in_the_order_of_the_texts(own, texts):
    packed = PackedBert(own.model, 256)
    np.testing.assert_allclose(packed.encode(texts[::-1])[::-1], packed.encode(texts), atol=1e-6)
    assert packed.encode([]).shape == (0, 384)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_vectors_of_a_gpu_are_those_of_the_processor(own, texts):
    from sentence_transformers import SentenceTransformer

    here = SentenceTransformer(str(PATH), device="cpu", local_files_only=True)
    found, expected = (PackedBert(model, 256).encode(texts) for model in (own.model, here))
    assert (found * expected).sum(axis=1).min() > 0.999999


def test_a_night_packs_what_can_be_packed_and_says_why_it_does_not(own, monkeypatch, caplog):
    config = Encoder(path=str(PATH), actors=1)
    assert isinstance(load_encoder(config), PackedBert)
    monkeypatch.setattr("ray_tasks.packed_bert.unfit", lambda model: "it is a made-up model")
    with caplog.at_level("INFO"):
        assert isinstance(load_encoder(config), SentenceTransformerEncoder)
    assert "it is a made-up model" in caplog.text


def test_other_poolings_are_not_packed(own, monkeypatch):
    assert unfit(own.model) is None
    monkeypatch.setattr(own.model[1], "pooling_mode", "cls")
    assert "cls" in unfit(own.model)
