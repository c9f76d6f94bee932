"""Generators: schemas are kept, rows do not mix, sampling is repeatable, and one bad request stops no other."""

import json
import os
from pathlib import Path

import jsonschema
import pytest
import tiny_llama
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_tasks.evidence.pieces import Evidence, Piece
from ray_tasks.generation.factory import make_generator, make_token_counter
from ray_tasks.generation.fake import FakeGenerator
from ray_tasks.generation.protocol import Request
from ray_tasks.generation.transformers_backend import TransformersGenerator
from ray_tasks.profiles.answers import item_schema, user_schema
from ray_tasks.profiles.checks import Grounds, Rejected, check_item, check_user
from ray_tasks.profiles.plan import Entity
from ray_tasks.profiles.writer import Author
from schemas.errors import ModelError
from schemas.generation_config import Generator as GeneratorConfig

ASSETS = Path(os.environ.get("NIGHTREC_ASSETS", "build/assets"))
MODEL = ASSETS / "smollm2-135m-instruct"
EXAMPLES = 'Movie: crime\nLabels: ["crime"]\n\n'
THEMES = {"type": "array", "items": {"enum": ["crime", "comedy"]}, "minItems": 1, "maxItems": 2}


def schema_of(**properties) -> str:
    form = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return json.dumps(form)


LABELS = schema_of(themes=THEMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    return tiny_llama.write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tiny(folder) -> TransformersGenerator:
    return TransformersGenerator(GeneratorConfig(path=folder, batch_size=3, max_new_tokens=40), EXAMPLES, 1)


def requests(n: int, **more) -> list[Request]:
    return [Request(f"Movie: {'western ' * (number % 5)}{number}\nLabels:", LABELS, **more) for number in range(n)]


def test_every_answer_keeps_to_its_schema_however_bad_the_model(tiny):
    answers = tiny.generate(requests(8))
    assert [answer.error for answer in answers] == [None] * 8
    for answer in answers:
        jsonschema.validate(json.loads(answer.text), json.loads(LABELS))
        assert answer.output_tokens > 0


def test_what_one_row_writes_does_not_depend_on_the_others(tiny):
    together = tiny.generate(requests(8))
    alone = [tiny.generate([request])[0] for request in requests(8)]
    assert together == alone
    assert tiny.generate(list(reversed(requests(8)))) == list(reversed(alone))


def test_packed_attention_gives_the_logits_of_the_model_itself(tiny, folder):
    import torch
    from transformers import AutoModelForCausalLM

    from ray_tasks.generation.packed_attention import Packing, RowCache

    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    rows = [tiny._ids("Movie: western crime"), tiny._ids("Facts: year"), tiny._ids("No")]
    cache = RowCache(tiny._model, 3, 40, tiny._prefix)
    slots = [slot for slot, row in enumerate(rows) for _ in row]
    packing = Packing.of(cache, slots, [at for row in rows for at in range(len(row))])
    tokens = torch.tensor([[token for row in rows for token in row]])
    with torch.inference_mode():
        packed = tiny._model(tokens, position_ids=packing.positions, use_cache=False, packing=packing).logits[0]
        start = 0
        for row in rows:
            whole = plain(torch.tensor([tiny._ids(EXAMPLES) + row])).logits[0, -len(row) :]
            assert torch.allclose(packed[start : start + len(row)], whole, atol=1e-4)
            start += len(row)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_a_seed_gives_the_same_text_in_any_company(tiny, seed):
    mine = Request("Movie: crime\nLabels:", LABELS, seed=seed)
    alone = tiny.generate([mine])[0]
    assert tiny.generate([*requests(4, seed=1), mine])[-1] == alone


def test_words_to_avoid_are_not_written_while_anything_else_is_allowed(tiny):
    known = next(word for word in ("crime", "comedy", "western", "year", "no") if tiny._single_tokens(word))
    row = tiny._begin(0, Request("Movie:", "", frozenset([known])), {})
    word = tiny._single_tokens(known)[0]
    likely = torch.zeros(1, len(tiny._tokenizer))
    likely[0, word], likely[0, 7] = 9, 5
    assert tiny._choose(likely, [row]) == [7]
    only = schema_of(a={"const": "crime"})
    (answer,) = tiny.generate([Request("Movie:", only, frozenset(["crime"]))])
    assert json.loads(answer.text) == {"a": "crime"}


def test_a_bad_request_has_its_reason_and_stops_no_other(tiny):
    good = requests(1)[0]
    endless = Request("x", schema_of(a={"type": "string", "minLength": 500}))
    unknown, long = Request("x", '{"type": "no such type"}'), Request("western " * 4_000, LABELS)
    found = tiny.generate([good, unknown, long, endless, good])
    assert [one.error for one in found] == [None, "failed", "too_long_prompt", "truncated", None]
    assert found[0] == found[4]


def test_too_little_memory_means_fewer_at_a_time(folder, monkeypatch):
    generator = TransformersGenerator(GeneratorConfig(path=folder, batch_size=8, max_new_tokens=40), EXAMPLES, 1)
    expected, sizes, step = generator.generate(requests(8)), [], generator._step

    def tight(alive, rows):
        sizes.append(len(alive))
        if len(alive) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        step(alive, rows)

    monkeypatch.setattr(generator, "_step", tight)
    assert generator.generate(requests(8)) == expected
    assert sizes[:3] == [8, 4, 2]
    monkeypatch.setattr(generator, "_step", lambda alive, rows: tight([*alive, None, None], rows))
    assert {one.error for one in generator.generate(requests(2))} == {"out_of_memory"}


def test_an_error_that_is_not_about_memory_is_not_swallowed(folder, monkeypatch):
    generator = TransformersGenerator(GeneratorConfig(path=folder), EXAMPLES, 1)
    monkeypatch.setattr(generator, "_step", lambda alive, rows: (_ for _ in ()).throw(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        generator.generate(requests(1))


def test_an_illegal_access_to_memory_is_not_taken_for_too_little_of_it(folder, monkeypatch):
    generator, told = TransformersGenerator(GeneratorConfig(path=folder), EXAMPLES, 1), "an illegal memory access"
    monkeypatch.setattr(generator, "_step", lambda alive, rows: (_ for _ in ()).throw(RuntimeError(told)))
    with pytest.raises(RuntimeError, match=told):
        generator.generate(requests(1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_answers_as_the_processor_does(folder, monkeypatch):
    config, greedy = GeneratorConfig(path=folder, batch_size=3, max_new_tokens=40), requests(8)
    on_gpu = TransformersGenerator(config, EXAMPLES, 1).generate(greedy)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert TransformersGenerator(config, EXAMPLES, 1).generate(greedy) == on_gpu


def test_threads_change_no_answer(folder, tiny):
    config = GeneratorConfig(path=folder, batch_size=3, max_new_tokens=40)
    bad = Request("x", '{"type": "no such type"}')
    asked = [*requests(6), bad, *requests(2, seed=5), Request("Movie:")]
    assert TransformersGenerator(config, EXAMPLES, 3).generate(asked) == tiny.generate(asked)


def test_plain_text_ends_by_itself(tiny):
    (answer,) = tiny.generate([Request("Movie:")])
    assert answer.output_tokens <= 40
    assert "\n\n" not in answer.text


def test_vllm_is_no_generator_of_single_calls():
    with pytest.raises(ModelError, match="vllm_pipeline"):
        make_generator(GeneratorConfig(backend="vllm", path="x"), "", 1)


def grounded(lines: tuple[str, ...]) -> Evidence:
    piece = Piece("recent", "Stone River (drama)", "i1", "A", ("drama",))
    return Evidence("x", "Stone River", lines, (piece,), ("drama",), ("dramatic",))


def test_the_fake_answers_pass_the_real_checks():
    grounds = Grounds((), frozenset({"drama", "comedy"}))
    item, user = (
        grounded(("Movie: Stone River", "Facts: Drama")),
        grounded(("Recent: A Stone River (drama)", "Often: drama")),
    )
    for evidence, schema, check in ((item, item_schema, check_item), (user, user_schema, check_user)):
        request = Request(evidence.text, schema(evidence))
        (answer,) = FakeGenerator().generate([request])
        assert not isinstance(check(answer.text, evidence, grounds), Rejected)


def test_weights_with_one_changed_byte_are_refused(folder, tmp_path):
    for file in Path(folder).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged.*expected sha256 \w{64}, found \w{64}"):
        TransformersGenerator(GeneratorConfig(path=str(tmp_path)), EXAMPLES, 1)


@pytest.mark.model
@pytest.mark.skipif(not MODEL.is_dir(), reason="no models: make assets")
def test_the_real_model_writes_profiles_that_pass():
    config = GeneratorConfig(path=str(MODEL))
    words = frozenset({"drama", "comedy", "western"})
    author = Author("item", config, words)
    generator = TransformersGenerator(config, author.prompt.prefix, 1)
    entity = Entity(grounded(("Movie: Stone River", "Facts: Drama")), "recipe", "key")
    request = author.request(entity, 0)
    (answer,) = generator.generate([request])
    row = author.checked(entity, answer, 0)
    assert row["reason"] is None, answer
    assert json.loads(row["profile"])["themes"] == ["drama"]
    assert "comedy" not in answer.text.lower()
    assert answer.prompt_tokens == make_token_counter(config)(request.text)
