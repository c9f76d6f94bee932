"""A tuned model as a folder like any other: base weights with the adapter added in, tokenizer, sums, revision.

The folder is made under a hidden name and renamed when it is whole, so that a folder which is there can be used.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ray_tasks.model_files import REVISION, SUMS, model_revision
from schemas.errors import ModelError

WEIGHTS = "adapter_model.safetensors"


def tuned_revision(base: str, adapter: Mapping[str, bytes]) -> str:
    """SHA-256 that names a tuned model: of its base's revision and the adapter's weights."""
    if WEIGHTS not in adapter:
        raise ModelError(f"the adapter holds no {WEIGHTS}; it holds {', '.join(sorted(adapter)) or 'nothing'}")
    digest = hashlib.sha256(adapter[WEIGHTS]).hexdigest()
    return hashlib.sha256(f"{model_revision(base)}\n{digest}\n".encode()).hexdigest()


def folder_name(revision: str) -> str:
    """Name of a tuned model's folder."""
    return f"tuned-{revision[:16]}"


@contextmanager
def merged(base: str, adapter: Mapping[str, bytes], home: str) -> Iterator[Path]:
    """A merged model for the body of the `with`, in a hidden folder below `home` that is removed at the end.

    `keep` moves it to its lasting place. Raises ModelError when the base's files are not in order.
    """
    Path(home).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tuned-", dir=home) as scratch:
        made = Path(scratch) / folder_name(tuned_revision(base, adapter))
        _merge(base, adapter, Path(scratch) / "adapter", made)
        _seal(made, tuned_revision(base, adapter))
        yield made


def keep(made: Path, home: str) -> Path:
    """Move a merged model to its lasting place below `home`; one that is there already is the same."""
    target = Path(home) / made.name
    if not target.exists():
        made.rename(target)
    return target


def _merge(base: str, adapter: Mapping[str, bytes], scratch: Path, made: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    scratch.mkdir()
    for name, content in adapter.items():
        (scratch / name).write_bytes(content)
    model = AutoModelForCausalLM.from_pretrained(base, use_safetensors=True, local_files_only=True, dtype=torch.float32)
    PeftModel.from_pretrained(model, str(scratch)).merge_and_unload().save_pretrained(made)
    for path in sorted(Path(base).iterdir()):
        known = path.name in (SUMS, REVISION) or path.name.startswith(".") or path.suffix == ".safetensors"
        if path.is_file() and not known and not (made / path.name).exists():
            shutil.copyfile(path, made / path.name)


def _seal(made: Path, revision: str) -> None:
    lines = []
    for path in sorted(made.iterdir()):
        with path.open("rb") as stream:
            lines.append(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {path.name}")
    (made / SUMS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (made / REVISION).write_text(revision + "\n", encoding="utf-8")
