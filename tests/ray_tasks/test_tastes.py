"""What a history says by counting: likes, dislikes, strengths, avoided themes, confidence."""

from hypothesis import given
from hypothesis import strategies as st

from ray_tasks.evidence import tastes

THEMES = {"a": ("drama",), "b": ("drama", "war"), "c": ("comedy",), "d": ()}


def rated(*pairs):
    return [{"item_id": item_id, "rating": rating} for item_id, rating in pairs]


def test_a_user_likes_what_is_rated_above_the_own_mean_and_dislikes_what_is_far_below():
    found = tastes.opinions(rated(("a", 5.0), ("b", 4.0), ("c", 4.0), ("d", 3.0), ("e", 1.0)))
    assert found.liked == ("a", "b", "c")
    assert found.disliked == ("e",)


def test_without_ratings_every_item_is_liked_and_a_constant_rater_dislikes_nothing():
    assert tastes.opinions(rated(("a", None), ("b", None))).liked == ("a", "b")
    constant = tastes.opinions(rated(*((c, 3.0) for c in "abcdef")))
    assert (len(constant.liked), constant.disliked) == (6, ())


def test_what_a_user_states_outweighs_what_ratings_suggest():
    found = tastes.opinions(rated(("a", 5.0), ("b", 1.0)), {"a": "dislike", "b": "like"})
    assert (found.liked, found.disliked) == (("b",), ("a",))


def test_strength_is_the_share_of_items_that_carry_the_theme():
    assert tastes.strengths(["a", "b", "c", "d"], THEMES) == {"drama": 0.5, "comedy": 0.25, "war": 0.25}


@given(st.lists(st.sampled_from("abcd"), max_size=30))
def test_strengths_lie_in_0_to_1_and_fall(items):
    found = list(tastes.strengths(items, THEMES).values())
    assert all(0 < value <= 1 for value in found)
    assert found == sorted(found, reverse=True)


def test_the_usual_share_of_a_theme_is_weighted_by_interactions():
    assert tastes.typical(THEMES, {"a": 1, "b": 1, "c": 2}) == {"drama": 0.5, "war": 0.25, "comedy": 0.5}


def test_a_rare_theme_tells_more_of_a_user_than_one_that_everybody_likes():
    strong = {"drama": 0.6, "war": 0.5}
    assert tastes.distinctive(strong, {"drama": 0.6, "war": 0.05}, 1) == ("war",)


def test_avoided_is_what_is_chosen_significantly_less_often_than_usual_and_what_is_hidden():
    usual = {"drama": 0.5, "comedy": 0.3, "war": 0.01}
    assert tastes.avoided(["a"] * 30, THEMES, usual) == ("comedy",)
    assert tastes.avoided(["a"] * 3, THEMES, usual) == ()
    assert tastes.avoided(["a"] * 3, THEMES, usual, hidden=["horror"]) == ("horror",)


def test_confidence_grows_with_evidence_and_stays_below_one():
    values = [tastes.confidence(n) for n in (0, 1, 10, 100)]
    assert values == sorted(values)
    assert (values[0], values[2]) == (0, 0.5)
    assert values[-1] < 1
