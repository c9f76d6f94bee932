"""A configuration file is accepted whole or refused with every problem named."""

from datetime import UTC, date, datetime

import pytest

from schemas.config import freeze, load_yaml
from schemas.errors import ConfigError

SOURCE = {
    "name": "toy",
    "interactions": {
        "format": "csv",
        "path": "events.csv",
        "columns": {"user_id": "u", "item_id": "i", "timestamp": {"column": "t", "unit": "s"}},
    },
    "items": {"format": "csv", "path": "items.csv", "columns": {"item_id": "i", "title": "t"}},
}


@pytest.fixture(autouse=True)
def places(monkeypatch):
    for name in ("NIGHTREC_LAKE", "NIGHTREC_ASSETS", "NIGHTREC_MLFLOW"):
        monkeypatch.setenv(name, f"/somewhere/{name.lower()}")


def test_defaults_fill_what_a_minimal_file_leaves_out():
    config = freeze({"source": SOURCE}, run_date=date(2026, 11, 22))
    assert config.as_of == datetime(2026, 11, 22, tzinfo=UTC)
    assert config.generator.path == "/somewhere/nightrec_assets/smollm2-135m-instruct"
    assert config.lake == "/somewhere/nightrec_lake"


def test_overrides_win_and_none_leaves_the_file_alone():
    document = {"source": SOURCE, "ranking": {"top_k": 5, "trees": 7}}
    config = freeze(document, ranking__top_k=9, ranking__arm=None, run_date=None)
    assert (config.ranking.top_k, config.ranking.trees, config.run_date) == (9, 7, None)


def test_all_problems_are_listed_at_once_with_the_nearest_name():
    broken = {
        "source": {**SOURCE, "items": {**SOURCE["items"], "delimeter": ";"}},
        "rankng": {},
        "ranking": {"top_k": 0},
        "features": {"histroy_length": 3},
    }
    with pytest.raises(ConfigError) as failure:
        freeze(broken, "my.yaml")
    text = str(failure.value)
    assert "my.yaml: 4 problem(s)" in text
    assert "source.items.delimeter: unknown key; did you mean 'delimiter'?" in text
    assert "rankng: unknown key; did you mean 'ranking'?" in text
    assert "features.histroy_length: unknown key; did you mean 'history_length'?" in text
    assert "ranking.top_k" in text
    assert "found 0" in text


def test_only_tastes_among_the_attributes_are_stated():
    def fields(*stated):
        users = {"format": "csv", "path": "u.csv", "columns": {"user_id": "u"}, "stated": stated}
        named = {**users, "attributes": ["likes:token_seq", "age:token", "Birth_Day", "languages"]}
        return freeze({"source": {**SOURCE, "users": named}}).source.users.stated_fields

    assert fields("likes:token_seq", "languages") == ("likes", "languages")
    with pytest.raises(ConfigError, match="which 'attributes' does not"):
        fields("wishes")
    for name in ("age:token", "Birth_Day"):
        with pytest.raises(ConfigError, match="who a user is decides no list"):
            fields("languages", name)


def test_a_missing_entity_is_named():
    with pytest.raises(ConfigError, match=r"source\.items: required, but missing"):
        freeze({"source": {"name": "x", "interactions": SOURCE["interactions"]}})


def test_a_vocabulary_lies_relative_to_the_file_too(tmp_path):
    path = tmp_path / "shop.yaml"
    path.write_text("source: {name: s}\nvocabulary: {path: words/mine.yaml}\n")
    assert load_yaml(path)["vocabulary"]["path"] == str(tmp_path / "words" / "mine.yaml")


def test_source_paths_are_relative_to_the_file_and_variables_are_filled(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA", "/data")
    path = tmp_path / "my.yaml"
    path.write_text(
        "source:\n  interactions: {path: events.csv}\n  items: {path: '${DATA}/items.csv'}\n"
        "  users: {path: '${NOT_SET:-s3://bucket}/users'}\n"
    )
    source = load_yaml(path)["source"]
    assert source["interactions"]["path"] == str(tmp_path / "events.csv")
    assert source["items"]["path"] == "/data/items.csv"
    assert source["users"]["path"] == "s3://bucket/users"


def test_a_variable_that_is_not_set_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text("source: {items: {path: '${SURELY_NOT_SET}/x'}}")
    with pytest.raises(ConfigError, match="SURELY_NOT_SET"):
        load_yaml(path)


@pytest.mark.parametrize("text", ["- a list", "a: [unclosed", ""])
def test_what_is_no_yaml_mapping_is_refused(tmp_path, text):
    path = tmp_path / "my.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        load_yaml(path)
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_yaml(tmp_path / "absent.yaml")


def test_the_hash_depends_on_everything_but_the_run_id():
    one, same, other = (
        freeze({"source": SOURCE}, run_id=run_id, seed=seed) for run_id, seed in (("a", 1), ("b", 1), ("a", 2))
    )
    assert one.config_hash == same.config_hash != other.config_hash
