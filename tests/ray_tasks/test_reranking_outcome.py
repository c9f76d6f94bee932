"""Orders, blends and the comparison of arms; and the scorer over a model of random weights."""

import numpy as np
import pytest
import tiny_llama
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ray_tasks.interactions.metrics import ndcg
from ray_tasks.interactions.rows import Rows
from ray_tasks.reranking.arms import Arm
from ray_tasks.reranking.evaluation import compare, decisive
from ray_tasks.reranking.fake import FakeAnswerScorer
from ray_tasks.reranking.first_token import FirstTokenScorer
from ray_tasks.reranking.fusion import best_weight, cross_fitted, fused, order
from ray_tasks.reranking.line_up import Settings, line_up, serve
from ray_tasks.reranking.listwise import Listwise
from ray_tasks.reranking.pointwise import Pointwise
from ray_tasks.reranking.prompts import Items, TopLists
from ray_tasks.tuning.scoring import YesNoScorer
from schemas.errors import ModelError

N, K = 30, 12
TITLES = [f"Title{chr(65 + n // 26)}{chr(97 + n % 26)}" for n in range(N)]
some_scores = arrays(float, (3, 6), elements=st.sampled_from([np.nan, -1.0, 0.0, 0.5, 2.0]))


def world(n_users=60, seed=0, hit_share=0.6):
    """Lists of which a share holds one target, at any place; every user has a history."""
    drawn = np.random.default_rng(seed)
    ranked = np.array([drawn.permutation(N)[:K] for _ in range(n_users)])
    target = np.array([drawn.choice(row) if drawn.random() < hit_share else N for row in ranked])
    users = np.arange(n_users)
    histories = Rows.of(users, (users % N).astype(np.int64), n_users)
    similarity = lambda history, candidates: np.zeros((len(history), len(candidates)))  # noqa: E731
    return TopLists(ranked, histories, Items(TITLES), similarity), Rows.of(users, target, n_users)


def asked_titles(prompt):
    return prompt.split("Next item: ")[1].split("\n")[0]


def oracle(lists, targets):
    """A reader that knows what each user takes, recognised by the history's title and the item."""
    wanted = {(TITLES[lists.histories[u][0]], TITLES[t[0]]) for u in range(len(lists)) if (t := targets[u])[0] < N}

    def rule(prompt, answer):
        told = prompt.split("Liked: ")[1].split("\n")[0]
        return float(answer == " Yes" and (told, asked_titles(prompt)) in wanted)

    return rule


def noise(prompt, answer):
    return (sum(map(ord, prompt)) * 31 % 97) / 97 if answer == " Yes" else 0.0


@given(some_scores)
def test_the_order_is_a_permutation_by_score_with_the_rankers_order_in_ties(scores):
    ranked = np.array([[4, 2, 9, 1, 7, 3], [5, 6, 7, 8, -1, -1], [1, 2, 3, -1, -1, -1]])
    for row, own, ordered in zip(ranked, scores, order(ranked, scores), strict=True):
        filled = [(place if item >= 0 else 99, item) for place, item in enumerate(row)]
        slow = sorted(filled, key=lambda one: (one[1] < 0, -np.nan_to_num(own[one[0] % 6], nan=-9.0), one[0]))
        assert ordered.tolist() == [item for _, item in slow]


@given(some_scores)
def test_the_blend_goes_from_the_rankers_order_to_the_models(scores):
    ranked = np.arange(18).reshape(3, 6)
    np.testing.assert_array_equal(order(ranked, fused(scores, 0)), order(ranked, np.where(np.isnan(scores), np.nan, 0)))
    np.testing.assert_array_equal(order(ranked, fused(scores, 1)), order(ranked, scores))
    np.testing.assert_array_equal(np.isnan(fused(scores, 0.3)), np.isnan(scores))


def test_a_model_that_says_nothing_leaves_the_list_as_it_is():
    ranked = np.array([[3, 1, 2, -1]])
    np.testing.assert_array_equal(order(ranked, np.full((1, 4), np.nan)), ranked)


def test_the_weight_follows_what_is_worth_following():
    lists, targets = world()
    by_target = np.array([[float(item in targets[u]) for item in row] for u, row in enumerate(lists.ranked)])
    assert best_weight(lists.ranked, by_target, targets) > 0
    assert best_weight(lists.ranked, -by_target, targets) == 0
    blend = cross_fitted(lists.ranked, -by_target, targets, 0)
    np.testing.assert_array_equal(blend, ndcg(lists.ranked, targets))
    assert cross_fitted(lists.ranked, by_target, targets, 0).mean() > ndcg(lists.ranked, targets).mean()


def test_lists_that_are_not_decisive_have_one_ndcg_in_any_order():
    lists, targets = world(n_users=30)
    shuffled = np.random.default_rng(1).permuted(lists.ranked, axis=1)
    same = ndcg(lists.ranked, targets) == ndcg(shuffled, targets)
    assert same[~decisive(lists.ranked, targets)].all()
    assert not same[decisive(lists.ranked, targets)].all()


def arms(lists, targets):
    made = {}
    for name, rule in (("oracle", oracle(lists, targets)), ("noise", noise)):
        made[name] = Arm(name, Pointwise(lists), "Read.\n\n", FakeAnswerScorer(rule))
    made["places"] = Arm(
        "places", Listwise(lists, window=6), "Read.\n\n", FakeAnswerScorer(lambda _, answer: -float(ord(answer[1])))
    )
    return made


def test_what_helps_is_chosen_and_what_does_not_is_not():
    lists, targets = world(n_users=30)
    made = arms(lists, targets)
    outcome = compare(list(made.values()), targets, 10**9, 3)
    found = {one.name: one for one in outcome.arms}
    assert set(found) == {f"{name}{blend}" for name in made for blend in ("", "+ranker")}
    assert outcome.chosen.arm == "oracle"
    assert found["oracle"].helps
    assert found["oracle"].difference.low > 0
    assert not found["noise"].helps
    assert found["places"].position_bias == pytest.approx([2.5, 1.5, 0.5, -0.5, -1.5, -2.5])
    # Without its bias, a reader of places alone leaves the ranker's order.
    assert found["places"].difference.value == pytest.approx(0, abs=1e-9)
    assert compare([made["noise"], made["places"]], targets, 10**9, 3).chosen is None


def test_figures_are_those_of_asking_about_everybody():
    lists, targets = world(n_users=30)
    outcome = compare([arms(lists, targets)["oracle"]], targets, 10**9, 3)
    assert (outcome.users, outcome.asked) == (30, decisive(lists.ranked, targets).sum())
    assert outcome.ranker.value == pytest.approx(ndcg(lists.ranked, targets).mean())
    ideal = decisive(lists.ranked, targets).mean()  # one target each: at the top of every list that holds it
    assert outcome.arms[0].ndcg.value == pytest.approx(ideal)


def test_all_arms_keep_to_the_budget_and_the_same_users():
    lists, targets = world(n_users=40)
    made = list(arms(lists, targets).values())
    budget = 1_500
    outcome = compare(made, targets, budget, 3)
    assert 0 < outcome.asked < decisive(lists.ranked, targets).sum()
    for one in made:
        assert 0 < sum(len(prompt.split()) for _, prompt in one.scorer.asked) < budget
    assert all(one.tokens <= budget for one in outcome.arms)
    again = compare(list(arms(lists, targets).values()), targets, budget, 3)
    assert [one.ndcg for one in again.arms] == [one.ndcg for one in outcome.arms]


def test_nothing_is_asked_without_a_budget_and_nothing_chosen():
    lists, targets = world(n_users=20)
    made = arms(lists, targets)["oracle"]
    for outcome in (compare([made], targets, 1, 3), compare([made], targets, 10**9, 3, most=0)):
        assert (outcome.asked, outcome.chosen, made.scorer.asked) == (0, None, [])
        assert not any(one.tokens or one.difference.value > 0 for one in outcome.arms)


def test_serving_changes_the_lists_of_the_users_paid_for_alone_and_only_their_order():
    lists, targets = world(n_users=20)
    made = arms(lists, targets)["oracle"]
    served, found = serve(made, 1.0, 1_000, 5)
    assert 0 < len(found.users) < 20
    np.testing.assert_array_equal(np.sort(served), np.sort(lists.ranked))
    rest = np.setdiff1d(np.arange(20), found.users)
    np.testing.assert_array_equal(served[rest], lists.ranked[rest])
    open_ = found.users[decisive(lists.ranked, targets)[found.users]]
    assert [served[user, 0] for user in open_] == [targets[user][0] for user in open_]
    np.testing.assert_array_equal(serve(made, 0.0, 1_000, 5)[0], lists.ranked)


def test_the_line_up_asks_every_model_in_every_way_and_a_tuned_one_without_examples():
    lists, _ = world(n_users=10)
    train = Rows.of(np.repeat(np.arange(14), 8), np.arange(14 * 8) * 11 % N, 14)
    models = {name: FakeAnswerScorer(noise) for name in ("base", "tuned")}
    made = {one.name: one for one in line_up(lists, train, np.arange(10), models, Settings(window=6))}
    forms = ("pointwise", "listwise")
    ways = ("base zero-shot", "base in-context", "tuned")
    assert set(made) == {f"{way} {form}" for way in ways for form in forms}
    for form in forms:
        assert made[f"tuned {form}"].prefix == made[f"base zero-shot {form}"].prefix
        assert made[f"base in-context {form}"].prefix.startswith(made[f"tuned {form}"].prefix)
        assert len(made[f"base in-context {form}"].prefix) > len(made[f"tuned {form}"].prefix)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_llama.write(tmp_path_factory.mktemp("models") / "base")


def test_log_probabilities_are_the_models_own(model):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    scorer = FirstTokenScorer(model, 1)
    tokenizer = AutoTokenizer.from_pretrained(model)
    plain = AutoModelForCausalLM.from_pretrained(model).eval()
    prompts = ["Movie: crime\nLiked it:", "Facts: year comedy western\nLiked it:", "Like:"] * 4
    answers = [" Yes", " No", " A"][:2]
    for prefix in ("Facts: year\n\n", "Labels: comedy\n\n"):
        expected = []
        for prompt in prompts:
            parts = [tokenizer(text, add_special_tokens=False).input_ids for text in (prefix, prompt)]
            with torch.inference_mode():
                logits = plain(torch.tensor([parts[0] + parts[1]])).logits[0, -1]
            logs = torch.log_softmax(logits, -1)
            expected.append([float(logs[tokenizer(one, add_special_tokens=False).input_ids[0]]) for one in answers])
        found = scorer.log_probabilities(prefix, prompts, answers)
        np.testing.assert_allclose(found, expected, atol=1e-3)
        old = YesNoScorer(model, prefix, 1).scores(prompts)
        np.testing.assert_allclose(found[:, 0] - found[:, 1], old, atol=1e-3)


def test_an_answer_of_two_tokens_is_refused(model):
    with pytest.raises(ModelError, match="2 tokens"):
        FirstTokenScorer(model, 1).log_probabilities("Facts:", ["Like:"], [" Q"])
