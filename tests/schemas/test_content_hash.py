"""The content hash sees every change of content and nothing else."""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.dataset as ds
from hypothesis import given
from hypothesis import strategies as st

from schemas.content_hash import content_hash, undated

PIECES = st.lists(
    # Not `fixed_dictionaries`, which draws the order of the names as well: equal pieces are to look equal.
    st.builds(
        lambda role, at, x, labels: {"role": role, "at": at, "x": x, "labels": labels},
        st.sampled_from(["a", "b", ""]) | st.none(),
        st.datetimes(datetime(1990, 1, 1), timezones=st.just(UTC)) | st.none(),
        st.floats(allow_nan=False) | st.none(),
        st.lists(st.text(max_size=2) | st.none(), max_size=2) | st.none(),
    )
    | st.none(),
    max_size=3,
)
NESTED = pa.list_(
    pa.struct(
        {
            "role": pa.string(),
            "at": pa.timestamp("us", tz="UTC"),
            "x": pa.float64(),
            "labels": pa.list_(pa.string()),
        }
    )
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.text(max_size=4) | st.none(),
            "n": st.integers(-(2**40), 2**40) | st.none(),
            "x": st.floats(allow_nan=False) | st.none(),
            "tags": st.lists(st.text(max_size=3), max_size=3),
        }
    ),
    max_size=8,
)
SCHEMA = pa.schema([("id", pa.string()), ("n", pa.int64()), ("x", pa.float64()), ("tags", pa.list_(pa.string()))])


def digest(rows) -> str:
    return content_hash(ds.dataset(pa.Table.from_pylist(rows, schema=SCHEMA)))


@given(ROWS, st.randoms())
def test_order_does_not_matter(rows, random):
    shuffled = random.sample(rows, len(rows))
    assert digest(rows) == digest(shuffled)


@given(ROWS.filter(bool))
def test_how_rows_lie_in_batches_does_not_matter(rows):
    alone = [pa.RecordBatch.from_pylist([row], schema=SCHEMA) for row in rows]
    assert digest(rows) == content_hash(ds.dataset(pa.Table.from_batches(alone)))


@given(ROWS.filter(bool), st.data())
def test_dropping_or_doubling_a_row_shows(rows, data):
    at = data.draw(st.integers(0, len(rows) - 1))
    assert digest(rows) != digest(rows[:at] + rows[at + 1 :])
    assert digest(rows) != digest([*rows, rows[at]])


@given(ROWS.filter(bool))
def test_changing_one_value_shows(rows):
    changed = [{**rows[0], "n": (rows[0]["n"] or 0) + 1}, *rows[1:]]
    assert digest(rows) != digest(changed)


def test_null_is_not_the_empty_text():
    assert digest([{"id": None, "n": 0, "x": 0.0, "tags": []}]) != digest([{"id": "", "n": 0, "x": 0.0, "tags": []}])


@given(ROWS, st.integers(0, 10**15), st.integers(0, 10**15))
def test_what_stands_before_the_at_is_the_same_for_equal_rows_of_two_nights(rows, one, other):
    def dated(moment: int) -> str:
        schema = SCHEMA.append(pa.field("as_of", pa.timestamp("us", tz="UTC")))
        return content_hash(ds.dataset(pa.Table.from_pylist([{**row, "as_of": moment} for row in rows], schema=schema)))

    assert undated(dated(one)) == undated(dated(other)) == digest(rows)
    assert (dated(one) == dated(other)) == (one == other or not rows)


def nested_digest(column) -> str:
    return content_hash(ds.dataset(pa.table({"pieces": pa.array(column, NESTED)})))


@given(st.lists(PIECES | st.none(), min_size=1, max_size=4), st.lists(PIECES | st.none(), min_size=1, max_size=4))
def test_lists_of_structs_have_one_hash_exactly_if_they_are_equal(one, other):
    assert nested_digest(one) == nested_digest(one[::-1])
    same = sorted(map(repr, one)) == sorted(map(repr, other))
    assert (nested_digest(one) == nested_digest(other)) == same


@given(PIECES, PIECES, st.integers(1, 5))
def test_a_list_is_hashed_by_its_own_elements_in_their_order(one, other, before):
    whole = nested_digest([[*one, *other], None])
    assert (nested_digest([[*other, *one], None]) == whole) == (repr([*one, *other]) == repr([*other, *one]))
    assert (nested_digest([one, other]) == nested_digest([[*one, *other], []])) == (not one or not other)
    # A part of an array that lies behind others in memory hashes as one that begins with it.
    behind = pa.table({"pieces": pa.array([other] * before + [one], NESTED)}).slice(before)
    assert content_hash(ds.dataset(behind)) == nested_digest([one])
