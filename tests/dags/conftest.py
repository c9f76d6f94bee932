"""Airflow for unit tests: a home of its own, no database, and a small configuration."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for the fakes beside the tests
# Airflow reads these when it is first imported.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(Path(__file__).parents[2] / "dags")

SHOP = """\
source:
  name: shop
  interactions: {format: csv, path: events.csv, columns: {user_id: u, item_id: i, timestamp: t}}
  items: {format: csv, path: items.csv, columns: {item_id: i, title: n}}
ranking: {top_k: 12}
"""


@pytest.fixture
def shop(tmp_path, monkeypatch) -> Path:
    """A configuration file without a run date, with its own lake."""
    for name in ("NIGHTREC_LAKE", "NIGHTREC_ASSETS", "NIGHTREC_MLFLOW"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP)
    return path


@pytest.fixture
def config_uri(shop) -> str:
    """A frozen configuration in the lake."""
    from dags.freezing import save_frozen

    return save_frozen({"source": str(shop), "run_date": "2026-11-22"}, "manual__1", None)
