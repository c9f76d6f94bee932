"""Personal data leaves a text: measured on labelled sentences, and by properties that hold for any text."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_tasks.privacy.scrubbing import scrub

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "personal_data.jsonl").read_text(encoding="utf-8").splitlines()
]
HALVES = {"tuning": ROWS[0::2], "test": ROWS[1::2]}
FLOORS = {"tuning": (0.97, 0.98), "test": (0.84, 0.97)}
"""Half -> the least share of `gone` found and of `stays` kept; docs/adr/0015 tells what was measured."""

LOCAL = st.from_regex(r"[a-z][a-z0-9]{2,8}([._+-][a-z0-9]{2,8})?", fullmatch=True)
HOST = st.from_regex(r"[a-z]{3,10}(-[a-z]{2,5})?\.(com|org|net|de|co\.uk|fr|io)", fullmatch=True)
AT = st.sampled_from(["@", " [at] ", "(at)", "\uff20", "@\u200b", "\u200b@"])
AROUND = st.sampled_from(["", " ", "mail: ", "(", "Great film. ", "5/5 ", "\u3001", "\n"])
PIECES = (
    "@|.|+|-|a|A|Bob|my name is |\n| |7|555|http://|www.|#1234|:|x.org|\u200b|\u202e|Thanks,|[at]| at | dot |com|/"
    "|1 Main St|u/|\ufb01|steam: |Mr. |an address|someone|Dear |,|zero |calle "
)
BITS = st.sampled_from(PIECES.split("|"))
ANY = st.one_of(st.text(max_size=80), st.lists(BITS, max_size=16).map("".join))


def cleaned(row) -> str:
    return scrub(row["text"], row.get("names", True))


def share(rows, kind: str, is_right) -> float:
    found = [is_right(text, cleaned(row)) for row in rows for text in row[kind]]
    return sum(found) / len(found)


@pytest.mark.parametrize("half", HALVES)
def test_personal_data_goes_and_the_rest_stays(half):
    gone, stays = FLOORS[half]
    assert share(HALVES[half], "gone", lambda text, left: text not in left) >= gone
    assert share(HALVES[half], "stays", lambda text, left: text in left) >= stays


def test_labels_are_of_their_text():
    for row in ROWS:
        assert all(text in row["text"] for text in row["stays"]), row["id"]
    assert sum(not row["gone"] for row in ROWS) >= 35


@pytest.mark.parametrize(
    "text",
    [
        "Paid $19.99 in 2014, now it is 4.99, not worth 59.99 at launch",
        "3 of 5 stars, 2 of 5 for the ending",
        "Watched on 12.03.2019 and again on 2020-11-05, better the second time",
        "21 Jump Street and 10 Cloverfield Lane are better than 84 Charing Cross Road",
        "Patch 1.0.4.2 fixed the crash, 2.1.0-beta broke saves again",
        "I AM SO DONE WITH THIS GAME. DO NOT BUY. WORST PORT EVER!!!",
        "PlayStation 5 beats Xbox Series X here, Nintendo Switch is fine for kids",
        "episodes 1-3, 5, 7, 8-10 and 12 are filler, 22 23 24 are gold",
        "I'm German and I'm Team Edward, but this is pure kitsch",
        "my son loves it, my wife hates it, my mother fell asleep",
        "Not recommended. 8/10 -Great Sound, Natural",
        "Epiphone Acoustic Guitar, 12-String, Natural",
        "Tom Hanks is wonderful and Meryl Streep even better",
    ],
)
def test_a_text_with_nothing_personal_stays_as_it_is(text):
    assert scrub(text) == text


def test_catalogue_texts_keep_names_and_lose_contact_data():
    text = "Starring Tom Hanks as Mr. Kelly. My name is Inigo Montoya. Press: press@studio.example.com"
    assert scrub(text, names=False) == text.replace("press@studio.example.com", "an address")
    assert "Inigo" not in scrub(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("mail me at bob@example.org.", "mail me at an address."),
        ("escribe a luis arroba ejemplo punto com hoy", "escribe a an address hoy"),
        ("call 201-555-0123 now", "call a number now"),
        ("call two oh one, five five five, oh one two three", "call a number"),
        ("see https://example.org/me for more", "see a link for more"),
        ("refund to DE89 3704 0044 0532 0130 00 please", "refund to a number please"),
        ("card 4111 1111 1111 1111 was charged", "card a number was charged"),
        ("12 rue de la Paix, 75002 Paris", "an address"),
        ("I follow @cine_freak88 here", "I follow someone here"),
        ("Great. Regards, Oliver Whitcombe", "Great. Regards, someone"),
        ("seen it with Maria and Josefina, superb", "seen it with someone, superb"),
    ],
)
def test_what_goes_leaves_a_word_in_its_place(text, left):
    assert scrub(text) == left


@settings(max_examples=100, deadline=None)
@given(ANY, st.booleans())
def test_a_scrubbed_text_stays_the_same_and_holds_nothing_invisible(text, names):
    once = scrub(text, names)
    assert scrub(once, names) == once
    assert not [char for char in once if unicodedata.category(char) == "Cf"]


@settings(max_examples=100, deadline=None)
@given(AROUND, LOCAL, AT, HOST, st.booleans())
def test_no_email_survives(around, local, at, host, names):
    left = scrub(f"{around}{local}{at}{host} thanks", names)
    assert host not in left
    assert f"{local}@" not in left
    assert "an address" in left


@settings(max_examples=60, deadline=None)
@given(AROUND, st.integers(200, 989), st.integers(0, 99), st.sampled_from(["{}-555-01{:02}", "({}) 555-01{:02}"]))
def test_no_american_telephone_number_survives(around, area, last, form):
    assert f"555-01{last:02}" not in scrub(f"{around}call {form.format(area, last)} today")


@pytest.mark.parametrize(
    "piece", ["a@", "1 ", "my name is ", "one ", "Aa ", "rue de la ", "a.", "-", "x:", "@a.", "+1("]
)
def test_a_long_text_of_one_piece_is_no_trap(piece):
    text = piece * (20_000 // len(piece))
    assert len(scrub(text)) <= 2 * len(text)
