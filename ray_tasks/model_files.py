"""A model's folder on disk: which weights it holds, and proof that no byte of it has changed.

A folder holds SHA256SUMS (as `sha256sum * > SHA256SUMS` writes it) and, optionally, REVISION with the SHA-256 that
names the model in every row that it wrote. Without REVISION the weights' own sum names it.
"""

import hashlib
import re
from pathlib import Path

from schemas.errors import ModelError

SUMS, REVISION = "SHA256SUMS", "REVISION"
REMEDY = (
    "Run `make assets` for the default models; for a model of your own, run `sha256sum * > SHA256SUMS` in its folder."
)


def model_revision(folder: str) -> str:
    """SHA-256 that names the model in `folder`: its REVISION, else the sum of its weights. Reads no weights.

    Raises ModelError when the folder or its sums are absent.
    """
    sums = _sums(Path(folder))
    stated = Path(folder) / REVISION
    if stated.is_file():
        return stated.read_text(encoding="utf-8").strip()
    weights = sorted(digest for name, digest in sums.items() if name.endswith(".safetensors"))
    if not weights:
        raise ModelError(f"{folder}/{SUMS} names no .safetensors file: only safetensors are loaded. {REMEDY}")
    return weights[0] if len(weights) == 1 else hashlib.sha256("".join(weights).encode()).hexdigest()


def verify_model(folder: str) -> None:
    """Check every file of the model against its sum, about 1 GB a second.

    Raises ModelError naming the file, the expected and the found sum.
    """
    for name, expected in _sums(Path(folder)).items():
        path = Path(folder) / name
        if not path.is_file():
            raise ModelError(f"model file {path} is absent; expected sha256 {expected}. {REMEDY}")
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != expected:
            raise ModelError(f"model file {path} is damaged: expected sha256 {expected}, found {found}. {REMEDY}")


def _sums(folder: Path) -> dict[str, str]:
    path = folder / SUMS
    if not path.is_file():
        what = f"holds no {SUMS}" if folder.is_dir() else "does not exist"
        raise ModelError(f"model folder {folder} {what}. {REMEDY}")
    lines = path.read_text(encoding="utf-8").splitlines()
    matches = [re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line) for line in lines if line.strip()]
    if not matches or None in matches:
        raise ModelError(f"{path} is not a list of sha256 sums. {REMEDY}")
    return {match[2]: match[1] for match in matches if match and match[2] not in (SUMS, REVISION)}
