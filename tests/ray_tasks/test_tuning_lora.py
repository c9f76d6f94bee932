"""LoRA on a tiny model: it learns the answers and only them, and its merged folder is a model like any other."""

import numpy as np
import pytest
import tiny_llama
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ray_tasks.model_files import model_revision, verify_model
from ray_tasks.tuning.batches import Example, encode, in_batches
from ray_tasks.tuning.lora import answer_loss, schedule, train
from ray_tasks.tuning.merged import keep, merged, tuned_revision
from ray_tasks.tuning.pairs import Pair
from ray_tasks.tuning.scoring import YesNoScorer
from schemas.errors import ModelError
from schemas.generation_config import Tuning

WORDS = ("crime", "comedy", "western", "romance")
INSTRUCTIONS = {("labels", "item"): "Labels:"}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> str:
    return tiny_llama.write(tmp_path_factory.mktemp("tiny"))


def pairs(n=96):
    return [
        Pair(
            "labels", "item", f"i{at}", "validation" if at % 8 == 0 else "train", f"Like: {word}\nLabels:", f' "{word}"'
        )
        for at in range(n)
        for word in [WORDS[at % 4]]
    ]


def settings(**changed) -> Tuning:
    return Tuning(**{"max_minutes": 2, "rank": 4, "epochs": 30, "learning_rate": 0.02, "batch_tokens": 512, **changed})


@pytest.fixture(scope="module")
def adapter(base):
    return train(base, pairs(), INSTRUCTIONS, settings(), seed=1, threads=1)


def test_training_learns_the_answers_of_items_it_has_not_seen(adapter):
    assert adapter.best.validation_loss < 0.5 * adapter.curve[0].validation_loss
    assert adapter.best.validation_loss == min(point.validation_loss for point in adapter.curve)
    assert adapter.examples == 84
    assert "adapter_model.safetensors" in adapter.files


def test_the_same_seed_gives_the_same_adapter(base):
    few = settings(epochs=1)
    one, two = (train(base, pairs(), INSTRUCTIONS, few, seed=3, threads=1) for _ in range(2))
    assert one.files["adapter_model.safetensors"] == two.files["adapter_model.safetensors"]


def test_it_ends_when_its_minutes_are_used_up(base):
    adapter = train(base, pairs(), INSTRUCTIONS, settings(max_minutes=1e-6), seed=1, threads=1)
    assert adapter.ended == "time"
    assert adapter.steps == 1
    assert adapter.curve[-1].step == 1


def test_without_pairs_to_stop_by_there_is_no_training(base):
    with pytest.raises(ModelError, match="validation"):
        train(base, [pair for pair in pairs() if pair.part == "train"], INSTRUCTIONS, settings(), seed=1, threads=1)


def test_the_merged_folder_answers_as_the_adapter_and_verifies(base, adapter, tmp_path):
    from peft import PeftModel

    with merged(base, adapter.files, str(tmp_path)) as made:
        verify_model(str(made))
        assert model_revision(str(made)) == tuned_revision(base, adapter.files) != model_revision(base)
        folder = keep(made, str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]  # nothing half-made beside it
    (tmp_path / "adapter").mkdir()
    for name, content in adapter.files.items():
        (tmp_path / "adapter" / name).write_bytes(content)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    expected = PeftModel.from_pretrained(plain, str(tmp_path / "adapter")).eval()
    ids = torch.tensor([AutoTokenizer.from_pretrained(folder)("Like: crime\nLabels:").input_ids])
    found = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        torch.testing.assert_close(found(ids).logits, expected(ids).logits, atol=1e-4, rtol=1e-4)


def test_what_goes_wrong_while_it_is_judged_leaves_no_model(base, adapter, tmp_path):
    with pytest.raises(RuntimeError, match="killed"), merged(base, adapter.files, str(tmp_path)):
        raise RuntimeError("killed")
    assert list(tmp_path.iterdir()) == []


def test_only_answers_count_and_padding_does_not(base, monkeypatch):
    monkeypatch.setattr("ray_tasks.tuning.lora.has_bfloat16", lambda: False)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    examples = encode(
        [
            Pair("labels", "item", "a", "train", "Like: crime", " crime"),
            Pair("labels", "item", "b", "train", "Like:", " no"),
        ],
        INSTRUCTIONS,
        AutoTokenizer.from_pretrained(base),
    )
    alone = [answer_loss(model, next(iter(in_batches([one], 1_000)))).item() for one in examples]
    together = answer_loss(model, next(iter(in_batches(examples, 1_000)))).item()
    assert together == pytest.approx(np.mean(alone), rel=1e-4)
    ids = torch.tensor([examples[0].ids])
    wanted = torch.tensor(
        [[-100] * (len(examples[0].ids) - examples[0].answer) + list(examples[0].ids[-examples[0].answer :])]
    )
    with torch.inference_mode():
        assert alone[0] == pytest.approx(float(model(ids, labels=wanted).loss), rel=1e-4)


def test_every_example_is_in_one_batch_and_batches_are_bounded():
    rng = np.random.default_rng(2)
    examples = [Example(tuple(range(1, length + 1)), 1, "labels") for length in rng.integers(3, 60, 200)]
    seen = []
    for batch in in_batches(examples, 256, rng):
        assert batch.ids.numel() <= 256
        seen += [int((row > 0).sum()) for row in batch.ids]
        assert batch.learned.sum(1).tolist() == [1] * len(batch.ids)
    assert sorted(seen) == sorted(len(example.ids) for example in examples)


def test_the_rate_rises_then_falls_to_nothing():
    rates = [schedule(share) for share in np.linspace(0, 1, 101)]
    peak = int(np.argmax(rates))
    assert rates[peak] == pytest.approx(1)
    assert 0 < peak < 10
    assert all(np.diff(rates[:peak]) >= 0)
    assert all(np.diff(rates[peak:]) <= 0)
    assert rates[-1] == pytest.approx(0, abs=1e-6)


def test_a_score_is_the_difference_of_log_probabilities(base):
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    prompts = ["Like: crime\nLiked it:", "Liked it:", "Like: comedy western romance\nLiked it:"]
    expected = []
    for prompt in prompts:
        ids = [*tokenizer("Facts: year\n\n").input_ids, *tokenizer(prompt).input_ids]
        with torch.inference_mode():
            chances = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        yes, no = (chances[tokenizer(word).input_ids[0]] for word in (" Yes", " No"))
        expected.append(float(yes - no))
    assert YesNoScorer(base, "Facts: year\n\n", 1).scores(prompts) == pytest.approx(expected, abs=1e-4)
