"""The block of the models that read histories: what a place may see, and what dropout leaves."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_tasks.retrieval.causal import Past, attention, make_block, make_dropout


@settings(max_examples=20)
@given(st.integers(1, 7), st.integers(0, 1_000))
def test_a_place_sees_nothing_that_comes_after_it(seen, seed):
    torch.manual_seed(seed)
    block = make_block(8, 2, 16, 0.5).eval()
    x = torch.randn(3, 1, 8, 8)
    other = x.clone()
    other[:, :, seen:] = torch.randn(3, 1, 8 - seen, 8)
    assert torch.allclose(block(x)[0][:, :, :seen], block(other)[0][:, :, :seen], atol=1e-6)
    assert not torch.allclose(block(x)[0][:, :, seen:], block(other)[0][:, :, seen:], atol=1e-3)


@settings(max_examples=20)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 1_000))
def test_a_past_counts_like_what_was_read_in_one_piece(past, beams, seed):
    torch.manual_seed(seed)
    query, key, value = torch.randn(3, 2, beams, 2, past + 3, 4)
    key[:, :, :, :past], value[:, :, :, :past] = key[:, :1, :, :past], value[:, :1, :, :past]
    whole = attention(query, key, value, None)[:, :, :, past:]
    shared = Past((key[:, 0, :, :past], value[:, 0, :, :past]), torch.ones(2, past, dtype=torch.bool))
    later = [one[:, :, :, past:] for one in (query, key, value)]
    assert torch.allclose(attention(*later, shared), whole, atol=1e-5)
    # The latest place alone, when what the beam has written before is at hand.
    last = attention(later[0][:, :, :, -1:], *later[1:], shared)
    assert torch.allclose(last, whole[:, :, :, -1:], atol=1e-5)


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 1_000))
def test_a_beam_that_keeps_what_it_has_written_goes_on_as_if_it_was_read_again(past, written, seed):
    torch.manual_seed(seed)
    block = make_block(8, 2, 16, 0.0).eval()
    history, beams = torch.randn(3, 1, past, 8), torch.randn(3, 2, written + 1, 8)
    _, (keys, values) = block(history)
    before = Past((keys[:, 0], values[:, 0]), torch.rand(3, past) < 0.7)
    again, _ = block(beams, before)
    _, own = block(beams[:, :, :-1], before)
    on, (keys, _) = block(beams[:, :, -1:], replace(before, own=own))
    assert torch.allclose(on, again[:, :, -1:], atol=1e-5)
    assert keys.shape == (3, 2, 2, written + 1, 4)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_dropout_leaves_out_its_share_and_keeps_the_mean(share):
    torch.manual_seed(1)
    dropout, x = make_dropout(share), torch.ones(1_000, 77)
    found = dropout(x)
    assert float((found == 0).float().mean()) == pytest.approx(share, abs=0.01)
    assert float(found.mean()) == pytest.approx(1, abs=0.01)
    assert float((found[:, 1:] == found[:, :-1]).float().mean()) == pytest.approx(share**2 + (1 - share) ** 2, abs=0.01)
    assert torch.equal(dropout.eval()(x), x)


def test_dropout_is_the_same_for_the_same_seed():
    dropout, x = make_dropout(0.5), torch.ones(9, 5)
    drawn = [dropout(x) for _ in range(2) if torch.manual_seed(3)]
    assert torch.equal(*drawn)
