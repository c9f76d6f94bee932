"""Pairs for tuning: nobody is in two parts, nothing hidden is shown, nothing later than the target is told."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from ray_tasks.tuning.labels import MOST, Told, gold_labels, hidden, label_pairs, read_labels
from ray_tasks.tuning.next_item import NO, YES, Shelf, next_item_pairs
from ray_tasks.tuning.pairs import PARTS, choose, few_shot, part_of, shots
from ray_tasks.vocabulary.labels import Label, Vocabulary

SEED = 7
THEMES = ("crime", "comedy", "western", "romance")
START = datetime(2026, 1, 1, tzinfo=UTC)
VOCABULARY = Vocabulary(tuple(Label("theme", theme, (theme,)) for theme in THEMES))


def shop(n=60):
    """Items whose genre decides their title's number modulo 4; users choose one genre each."""
    documents = [
        {
            "item_id": f"i{at:03}",
            "title": f"Title {at}",
            "categories": [THEMES[at % 4].title()],
            "document": f"title: Title {at}. genres: {THEMES[at % 4].title()}. plot: A day in town {at}",
        }
        for at in range(n)
    ]
    chosen = np.zeros((40, n), dtype=np.float32)
    for user in range(40):
        chosen[user, user % 4 :: 4] = 1
    return documents, csr_matrix(chosen)


def pairs_of(documents, chosen, **changed):
    told = Told("movie", lambda text: len(text.split()), 100)
    ids = [row["item_id"] for row in documents]
    return label_pairs(documents, ids, gold_labels(documents, VOCABULARY), chosen, told, **{"seed": SEED, **changed})


@given(st.text(min_size=1, max_size=20), st.integers(0, 5))
def test_an_id_is_in_one_part_for_ever(entity_id, seed):
    assert part_of(entity_id, seed) in PARTS
    assert part_of(entity_id, seed) == part_of(entity_id, seed)


def test_parts_have_their_shares():
    parts = [part_of(f"item-{at}", SEED) for at in range(5_000)]
    shares = [parts.count(part) / len(parts) for part in PARTS]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


def test_what_is_drawn_does_not_depend_on_the_order_of_the_ids():
    ids = [f"u{at}" for at in range(300)]
    most = {"train": 20, "test": 5}
    drawn = choose(ids, most, SEED)
    assert drawn == choose(reversed(ids), most, SEED)
    assert [sum(part_of(one, SEED) == part for one in drawn) for part in ("train", "test", "validation")] == [20, 5, 0]


def test_categories_are_hidden_and_the_plot_is_shown():
    documents, _ = shop(4)
    bare = hidden(documents[0])
    assert bare["categories"] == []
    assert "Crime" not in bare["document"]
    assert "A day in town" in bare["document"]


def test_no_prompt_of_an_item_without_neighbours_shows_its_labels():
    documents, chosen = shop()
    alone = csr_matrix(chosen.shape, dtype=np.float32)
    for row in documents:
        row["title"] = row["document"] = row["item_id"]
    for pair in pairs_of(documents, alone):
        assert not any(theme in pair.prompt.lower() for theme in THEMES), pair.prompt
        assert pair.template == ()


def test_neighbours_are_training_items_and_tell_their_own_labels_only():
    documents, chosen = shop()
    pairs = {pair.entity_id: pair for pair in pairs_of(documents, chosen)}
    # Held-out items change their genre: no prompt may change, since nobody may look at a held-out label.
    moved = [
        row if part_of(row["item_id"], SEED) == "train" else {**row, "categories": ["Romance"], "document": "plot: x"}
        for row in documents
    ]
    train = [row["item_id"] for row in documents if part_of(row["item_id"], SEED) == "train"]
    again = {pair.entity_id: pair for pair in pairs_of(moved, chosen)}
    assert [again[one].prompt.split("Like: ")[1] for one in train] == [
        pairs[one].prompt.split("Like: ")[1] for one in train
    ]


def test_the_template_follows_the_votes_of_those_chosen_together():
    documents, chosen = shop()
    right = [pair.template == pair.gold for pair in pairs_of(documents, chosen)]
    assert sum(right) / len(right) > 0.9


def test_the_answer_is_one_line_of_json_that_reads_back():
    documents, chosen = shop()
    for pair in pairs_of(documents, chosen):
        assert "\n" not in pair.answer
        assert read_labels(pair.answer, frozenset(THEMES)) == pair.gold


@pytest.mark.parametrize(
    "text",
    ["", "{}", '{"themes":[]}', '{"themes":["space"]}', '{"themes":"crime"}', '{"themes":["crime"', "[1]", "null"],
)
def test_an_answer_that_is_not_valid_has_no_labels(text):
    assert read_labels(text, frozenset(THEMES)) is None


def test_an_item_has_at_most_so_many_labels():
    many = Vocabulary(tuple(Label("theme", f"theme {at}", ()) for at in range(20)))
    row = {"item_id": "a", "categories": [f"Theme {at}" for at in range(20)], "document": "", "title": "A"}
    assert len(gold_labels([row], many)["a"]) == MOST


def test_examples_come_from_training_items_and_differ():
    documents, chosen = shop()
    chosen_shots = shots(pairs_of(documents, chosen), 4, SEED)
    assert {pair.part for pair in chosen_shots} == {"train"}
    assert len({pair.gold for pair in chosen_shots}) == 4
    text = few_shot("Do it.", chosen_shots)
    assert text.startswith("Do it.\n\n")
    assert all(f"{pair.prompt} {pair.answer}\n\n" in text for pair in chosen_shots)


def shelf(n=30):
    ids = [f"i{at:03}" for at in range(n)]
    return Shelf(
        "movie", {one: f"Film {one}" for one in ids}, dict.fromkeys(ids, ("crime",)), dict.fromkeys(ids, 1), SEED
    )


def event(user, item, day, rating):
    return {"user_id": user, "item_id": f"i{item:03}", "timestamp": START + timedelta(days=day), "rating": rating}


def rated(user="u1"):
    ratings = [5, 5, 4, 1, 5, 4, 5, 1]
    return [event(user, at, at, rating) for at, rating in enumerate(ratings)]


def test_yes_is_the_latest_liked_and_no_the_latest_rated_below_the_mean():
    yes, no = next_item_pairs(rated(), shelf())
    assert (yes.answer, no.answer) == (YES, NO)
    assert "Next movie: Film i006" in yes.prompt
    assert "Next movie: Film i007" in no.prompt


def test_a_prompt_tells_only_what_was_strictly_earlier():
    events = [*rated(), event("u1", 9, 6, 5)]  # the same instant as item 6
    yes, _ = next_item_pairs(events, shelf())
    liked = yes.prompt.splitlines()[0]
    assert "i005" in liked
    assert not any(one in yes.prompt.split("Next movie")[0] for one in ("i006", "i007", "i009"))


def test_an_event_after_the_target_changes_no_earlier_prompt():
    before = {pair.entity_id + pair.answer: pair.prompt for pair in next_item_pairs(rated(), shelf())}
    later = event("u1", 20, 30, 4.2)
    after = {pair.entity_id + pair.answer: pair.prompt for pair in next_item_pairs([*rated(), later], shelf())}
    assert after["u1" + NO] == before["u1" + NO]


def test_without_ratings_no_is_an_unseen_item():
    events = [event("u1", at, at, None) for at in range(8)]
    yes, no = next_item_pairs(events, shelf())
    assert "Next movie: Film i007" in yes.prompt
    target = no.prompt.split("Next movie: Film ")[1][:4]
    assert target not in {f"i{at:03}" for at in range(8)}


def test_pairs_do_not_depend_on_the_order_of_events():
    events = [*rated("u1"), *rated("u2")]
    assert next_item_pairs(events, shelf()) == next_item_pairs(list(reversed(events)), shelf())


def test_a_short_history_gives_no_pair():
    assert next_item_pairs(rated()[:5], shelf()) == []
