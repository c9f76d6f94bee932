"""Factors that Spark left: read for a catalogue, in use without being configured, and users solved from them."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_log import N_ITEMS, Event, item_id, log_of, random_vectors, texts_of

from ray_tasks.retrieval.factory import SourceFactory, grids
from ray_tasks.retrieval.ials import Ials, fit_ials
from ray_tasks.retrieval.item_factors import covered, read_factors, with_ials
from schemas.candidates_config import Candidates
from schemas.errors import LakeError
from schemas.lake import Snapshot
from schemas.tables import TABLES

NARROW = Candidates(max_core_items=10, sources=("popularity", "ease"))
PARAMETERS = {"l2": 0.01, "unobserved": 0.1, "half_life": 3.0}
TAKEN = [Event(u, i, 10 * u + i, "train") for u, i in [(0, 0), (0, 2), (1, 2), (1, 4), (2, 1), (2, 3), (3, 3), (3, 5)]]


@pytest.fixture
def published(tmp_path):
    def write(rows):
        uri = str(tmp_path / "factors.parquet")
        pq.write_table(pa.Table.from_pylist(rows, schema=TABLES["item_factors"].schema), uri)
        return Snapshot("item_factors", date(2026, 11, 22), 0, (uri,))

    return write


def rows_of(fitted: Ials, window: str) -> list[dict]:
    """What Spark would have published, in no order."""
    return [
        {"window": window, "item_id": item_id(item), "factors": factors.tolist()}
        for item, factors in reversed(list(zip(fitted.core.tolist(), fitted.items, strict=True)))
    ]


def test_without_factors_the_night_is_as_configured(published):
    nothing = published([])
    assert with_ials(NARROW, nothing) == NARROW
    assert read_factors(nothing, "serving", log_of(TAKEN).item_ids) is None


def test_with_factors_ials_is_in_use_and_tuned_though_not_configured(published):
    some = published([{"window": "test", "item_id": item_id(1), "factors": [1.0, 0.0]}])
    assert with_ials(NARROW, some).used == (*NARROW.used, "ials")
    assert "ials" in grids(with_ials(NARROW, some))
    assert with_ials(with_ials(NARROW, some), some) == with_ials(NARROW, some)


def test_the_factory_scores_by_the_factors_of_its_window_and_fits_nothing(published):
    """Factors as our own fit finds them give the scores of our own fit: the same users are solved from them."""
    log = log_of(TAKEN)
    histories = log.histories()
    own = fit_ials(histories, N_ITEMS, dimensions=3, unobserved=0.1, l2=0.01, seed=4)
    elsewhere = [{"window": "test", "item_id": item_id(7), "factors": [9.0, 9.0, 9.0]}]
    factors = read_factors(published([*elsewhere, *rows_of(own, "validation")]), "validation", log.item_ids)
    factory = SourceFactory(log, texts_of(random_vectors()), NARROW, 1, factors)
    scores = factory.fit("ials", PARAMETERS).score(histories)
    wanted = Ials(own.core, own.items, PARAMETERS["unobserved"], PARAMETERS["l2"], PARAMETERS["half_life"], N_ITEMS)
    assert np.array_equal(scores, wanted.score(histories), equal_nan=True)
    assert np.isnan(scores[:, 7]).all()


def test_items_outside_the_core_have_a_score_from_factors_alone(published):
    log = log_of([*TAKEN, *(Event(u, 0, 500 + u, "train") for u in range(4))])
    own = fit_ials(log.histories(), N_ITEMS, dimensions=3, unobserved=0.1, l2=0.01)
    factors = read_factors(published(rows_of(own, "serving")), "serving", log.item_ids)
    settings = NARROW.model_copy(update={"max_core_items": 2})
    factory = SourceFactory(log, texts_of(random_vectors()), settings, 1, factors)
    scored = {
        name: set(np.flatnonzero(~np.isnan(factory.fit(name, values).score(log.histories())).all(axis=0)).tolist())
        for name, values in {"ease": {"l2": 5.0, "half_life": 0.0}, "ials": PARAMETERS}.items()
    }
    assert len(scored["ease"]) == 2
    assert scored["ials"] == {0, 1, 2, 3, 4, 5}
    assert covered(log, 2, factors) == {"items_taken": 6, "dense_items": 2, "factor_items": 6}
    assert covered(log, 10, None) == {"items_taken": 6, "dense_items": 6, "factor_items": 0}


def test_factors_of_an_item_that_is_not_in_the_catalogue_are_an_error(published):
    stray = published([{"window": "serving", "item_id": "gone", "factors": [1.0]}])
    with pytest.raises(LakeError, match="1 items are not in table items"):
        read_factors(stray, "serving", log_of(TAKEN).item_ids)
