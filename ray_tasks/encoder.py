"""Text encoders behind one Protocol: a sentence-transformers model, packed where it can be, and a fake for tests."""

import hashlib
import logging
import re
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_tasks.model_files import model_revision, verify_model
from ray_tasks.ray_session import threads_per_actor
from schemas.errors import ModelError
from schemas.generation_config import Encoder as EncoderConfig

log = logging.getLogger("nightrec.embeddings")

Vectors = NDArray[np.float32]


class Encoder(Protocol):
    """Turns texts into unit vectors."""

    def encode(self, texts: list[str]) -> Vectors:
        """(texts, dimensions), each row of length 1."""
        ...


class SentenceTransformerEncoder:
    """A sentence-transformers model on CPU or GPU, as its library runs it."""

    def __init__(self, model: Any, batch_size: int) -> None:
        self.model, self.batch_size = model, batch_size

    def encode(self, texts: list[str]) -> Vectors:
        """See Encoder."""
        found = self.model.encode(
            texts, batch_size=self.batch_size, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
        return np.asarray(found, dtype=np.float32)


class FakeEncoder:
    """Hashed bags of words in 32 dimensions: deterministic and quick, for tests only."""

    dimensions = 32

    def encode(self, texts: list[str]) -> Vectors:
        """See Encoder."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()) or [""]:
                vectors[row, hashlib.sha256(word.encode()).digest()[0] % self.dimensions] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def load_encoder(config: EncoderConfig) -> Encoder:
    """The configured encoder, ready to encode. Raises ModelError when it cannot be loaded."""
    if config.backend == "fake":
        return FakeEncoder()
    model = _load(config)
    if config.backend == "packed":
        import torch

        from ray_tasks.packed_bert import PackedBert

        try:
            return PackedBert(model, config.batch_tokens, getattr(torch, precision_of(config)))
        except ValueError as reason:
            log.info("%s is encoded by its own library, with padding: %s", config.model, reason)
    return SentenceTransformerEncoder(model, config.batch_size)


def _load(config: EncoderConfig) -> Any:
    import torch
    from sentence_transformers import SentenceTransformer

    verify_model(config.path)
    torch.set_num_threads(threads_per_actor(config.actors))
    try:
        return SentenceTransformer(
            config.path, local_files_only=True, trust_remote_code=False, model_kwargs={"use_safetensors": True}
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"cannot load the encoder from {config.path}: {error}") from error


def precision_of(config: EncoderConfig) -> str:
    """The type of number that the packed backend multiplies here: what is configured; with `auto` bfloat16 where the
    processor has products of it, which take half the time.
    """
    if config.backend != "packed":
        return "float32"
    if config.precision != "auto":
        return config.precision
    import torch

    able = torch.cpu.get_capabilities()
    is_native = able.get("avx512_bf16", False) or able.get("amx_bf16", False)
    return "bfloat16" if is_native and not torch.cuda.is_available() else "float32"


def encoder_revision(config: EncoderConfig) -> str:
    """What names the encoder in a text's hash: its name, the SHA-256 of its weights, and how they are multiplied."""
    weights = "fake" if config.backend == "fake" else model_revision(config.path)
    precision = precision_of(config)
    return f"{config.model}@{weights}" if precision == "float32" else f"{config.model}@{weights}:{precision}"


class EncoderActor:
    """A Ray Data actor that loads the encoder once: column `text` in, column `vector` added."""

    def __init__(self, config: EncoderConfig) -> None:
        self.encoder = load_encoder(config)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One batch."""
        vectors = self.encoder.encode(batch["text"].to_pylist())
        flat = pa.array(vectors.ravel(), pa.float32())
        lists = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]).cast(pa.list_(pa.float32()))
        return batch.append_column("vector", lists)
