"""A model's folder: absent, damaged and foreign files end in an error that says what to do."""

import hashlib

import pytest

from ray_tasks.generation.factory import generator_revision, make_token_counter
from ray_tasks.model_files import model_revision, verify_model
from schemas.errors import ModelError
from schemas.generation_config import Generator as GeneratorConfig


@pytest.fixture
def folder(tmp_path):
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{digest}  model.safetensors\n")
    return tmp_path


def test_an_intact_folder_verifies_and_its_weights_name_it(folder):
    verify_model(str(folder))
    assert model_revision(str(folder)) == hashlib.sha256(b"weights").hexdigest()


def test_a_stated_revision_names_the_model(folder):
    (folder / "REVISION").write_text("abc\n")
    assert model_revision(str(folder)) == "abc"


def test_a_damaged_file_is_named_with_both_sums(folder):
    (folder / "model.safetensors").write_bytes(b"weighty")
    found = hashlib.sha256(b"weighty").hexdigest()
    with pytest.raises(
        ModelError, match=rf"model\.safetensors is damaged: expected sha256 .*found {found}.*make assets"
    ):
        verify_model(str(folder))


def test_an_absent_file_is_named(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors is absent.*make assets"):
        verify_model(str(folder))


def test_an_absent_folder_is_named(tmp_path):
    config = GeneratorConfig(path=str(tmp_path / "nowhere"))
    for use in (generator_revision, make_token_counter):
        with pytest.raises(ModelError, match=r"nowhere does not exist.*make assets"):
            use(config)


def test_sums_that_are_none_and_weights_that_are_no_safetensors_are_refused(folder):
    (folder / "SHA256SUMS").write_text("not sums\n")
    with pytest.raises(ModelError, match="not a list of sha256 sums"):
        verify_model(str(folder))
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  model.bin\n")
    with pytest.raises(ModelError, match="only safetensors"):
        model_revision(str(folder))
