"""The task from a published night to a registered version, on Ray, with a tiny model; and what it may not look at."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tiny_llama

from ray_tasks import tune_generator
from ray_tasks.tuning.material import collect, training_histories
from ray_tasks.tuning.pairs import part_of
from schemas.champions import mlflow_client, registered_name
from schemas.config import freeze
from schemas.errors import LakeError, NothingToDo
from schemas.lake import Lake
from schemas.night import night_task, save_config, task_records
from schemas.published import PublishedNight
from schemas.stage_files import write_rows
from schemas.tables import TABLES

NIGHT = date(2026, 11, 20)
START = datetime(2026, 10, 1, tzinfo=UTC)
THEMES = ("crime", "comedy", "western", "romance")
N_ITEMS, N_USERS = 80, 60


def item(at):
    theme = THEMES[at % 4]
    plot = f"A quiet day in the town number {at}, told at length and with some patience"
    row = {"item_id": f"i{at:03}", "title": f"Title {at}", "categories": [theme], "content_hash": "0" * 64}
    return {**row, "document": f"genres: {theme}. plot: {plot}"}


def events(split="train", start=START, seed=5):
    """Users like one theme; eight events of each, ratings of 5 for it and 2 for others."""
    drawn = np.random.default_rng(seed)
    rows = []
    for user in range(N_USERS):
        for step, at in enumerate(drawn.permutation(N_ITEMS)[:12]):
            liked = at % 4 == user % 4 or step < 4
            when = start + timedelta(days=step, minutes=user)
            row = {"user_id": f"u{user:03}", "item_id": f"i{at:03}", "timestamp": when, "weight": 1.0}
            rows.append({**row, "rating": 5.0 if liked else 2.0, "split": split})
    return rows


def item_profile(at):
    theme = THEMES[at % 4]
    return {
        "item_id": f"i{at:03}",
        "summary": f"A quiet {theme} in a town, told with patience.",
        "audience": f"People who enjoy {theme}.",
        "themes": [theme],
        "moods": [],
        "source": "llm",
    }


def whole(table, row):
    """A row with something in every column that may not be null and is of no matter here."""

    def any_value(kind):
        if pa.types.is_timestamp(kind):
            return START
        return [] if pa.types.is_list(kind) else "0" if pa.types.is_string(kind) else 0

    return {f.name: row.get(f.name, None if f.nullable else any_value(f.type)) for f in TABLES[table].schema}


def publish(config, later=()):
    tables = {
        "item_documents": [item(at) for at in range(N_ITEMS)],
        "item_reviews": [],
        "vocabularies": [{"kind": "theme", "label": theme, "terms": [theme], "n_items": 20} for theme in THEMES],
        "splits": [*events(), *later],
        "item_profiles": [item_profile(at) for at in range(N_ITEMS)],
        "user_profiles": [],
    }
    lake, named = Lake(config.lake), []
    for name, rows in tables.items():
        stage = lake.stage(name, NIGHT, "night")
        write_rows(stage, pa.Table.from_pylist([whole(name, row) for row in rows], schema=TABLES[name].schema))
        done = lake.publish(stage, lambda table, files: [], {})
        named.append({"table": name, "version": done.version, "rows": done.rows, "content_hash": done.content_hash})
    row = {"run_id": "night", "config_hash": "0" * 64, "code_version": "1", "tables": named}
    stage = lake.stage("runs", NIGHT, "night")
    whole_row = {**row, "sequence": 1, "published_at": START}
    write_rows(stage, pa.Table.from_pylist([whole_row], schema=TABLES["runs"].schema))
    lake.publish(stage, lambda table, files: [], {})


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_llama.write(tmp_path_factory.mktemp("assets") / "tiny")


def config_of(folder, base, **changed):
    columns = {"user_id": "u", "item_id": "i", "timestamp": "t"}
    source = {
        "name": "small",
        "interactions": {"format": "csv", "path": "/x", "columns": columns},
        "items": {"format": "csv", "path": "/x", "columns": {"item_id": "i", "title": "t"}},
    }
    settings = {"max_minutes": 1, "epochs": 1, "rank": 2, "judged": 10, "learning_rate": 0.01}
    generator = {"path": base, "model": "tiny", "item_kind": "film", "max_new_tokens": 96, **changed}
    return freeze(
        {"source": source, "generator": generator, "tuning": settings, "encoder": {"path": "/x"}},
        run_id="weekly",
        run_date=date(2026, 11, 22),
        lake=str(folder / "lake"),
        mlflow_tracking_uri=f"sqlite:///{folder}/mlflow.db",
    )


def material(config):
    with night_task("tune_generator", save_config(config)) as task:
        return collect(PublishedNight.last(task), config)


@pytest.mark.ray
def test_a_tuning_is_judged_published_and_registered(tmp_path, base):
    config = config_of(tmp_path, base)
    publish(config)
    with night_task("tune_generator", save_config(config)) as task:
        tune_generator.tune(task)
    record = task_records(config)["tune_generator"]
    rows = Lake(config.lake).snapshot("tuning_trials", config.night).read().to_pylist()
    judged = {(row["arm"], row["kind"], row["task"]) for row in rows}
    tasks = {("item", "labels"), ("user", "next_item"), ("item", "profile"), ("user", "profile")}
    assert judged - {("lora", "item", "training")} == {
        (arm, *one) for arm in ("template", "prompting", "lora") for one in tasks
    }
    held_out = sum(part_of(f"i{at:03}", config.seed) == "test" for at in range(N_ITEMS))
    assert {row["n"] for row in rows if row["task"] == "labels"} == {held_out}
    client = mlflow_client(config.mlflow_tracking_uri)
    alias = "champion" if record["counters"]["promoted"] else "challenger"
    version = client.get_model_version_by_alias(registered_name("small"), alias)
    assert version.tags["nightrec.revision"] == next(row["revision"] for row in rows if row["arm"] == "lora")
    kept = sorted(Path(tune_generator.tuned_home(config)).iterdir())
    assert [str(path) for path in kept] == ([version.tags["nightrec.folder"]] if alias == "champion" else [])
    assert set(record["inputs"]) == {
        "item_documents",
        "item_reviews",
        "vocabularies",
        "splits",
        "item_profiles",
        "user_profiles",
    }


def test_what_is_outside_the_training_period_moves_nothing(tmp_path, base):
    plain, planted = config_of(tmp_path / "a", base), config_of(tmp_path / "b", base)
    publish(plain)
    later = [*events("validation", START + timedelta(days=30), 6), *events("test", START + timedelta(days=40), 7)]
    publish(planted, later)
    one, two = material(plain), material(planted)
    assert one == two


def test_held_out_items_and_users_are_in_no_training_pair(tmp_path, base):
    config = config_of(tmp_path, base)
    publish(config)
    found = material(config)
    for pair in found.pairs:
        assert pair.part == part_of(pair.entity_id, config.seed)
    held = {one.entity_id for entities in found.held_out.values() for one in entities}
    assert held
    assert not held & {pair.entity_id for pair in found.pairs if pair.part != "test"}
    assert {pair.task for pair in found.pairs if pair.part == "train"} == {"labels", "next_item", "profile"}


def test_the_same_night_gives_the_same_material(tmp_path, base):
    config = config_of(tmp_path, base)
    publish(config)
    assert material(config) == material(config)


def test_histories_have_each_item_once_most_recent_first():
    rows = events()[:12]
    again = {**rows[0], "timestamp": START + timedelta(days=90)}
    (history,) = training_histories([again, *rows])
    assert history["items"][0]["item_id"] == rows[0]["item_id"]
    assert len(history["items"]) == 12
    assert history["n_interactions"] == 13


def test_without_a_published_night_it_says_so(tmp_path, base):
    config = config_of(tmp_path, base)
    with pytest.raises(LakeError, match="no night up to 2026-11-22"):
        material(config)


def test_a_backend_without_weights_here_is_not_tuned(tmp_path, base):
    config = config_of(tmp_path, base, backend="openai")
    with night_task("tune_generator", save_config(config)) as task, pytest.raises(NothingToDo, match="openai"):
        tune_generator.tune(task)
