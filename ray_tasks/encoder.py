"""What turns texts into unit vectors, behind one interface."""

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ray_tasks.profile_text import words
from schemas.config import Encoder as EncoderConfig
from schemas.errors import ModelError

Vectors = NDArray[np.float32]
"""(texts, dimensions), each row of unit length."""


class Encoder(Protocol):
    """Encodes texts, deterministically."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per text, in order."""
        ...


def make_encoder(config: EncoderConfig, threads: int) -> Encoder:
    """The configured encoder. Raises ModelError when its files are not in order."""
    return FakeEncoder() if config.backend == "fake" else SentenceEncoder(config.path, config.batch_size, threads)


def encoder_revision(config: EncoderConfig) -> str:
    """SHA-256 that names the encoder's weights. Raises ModelError when its files are not in order."""
    if config.backend == "fake":
        return FakeEncoder.revision
    from ray_tasks.model_files import model_revision

    return model_revision(config.path)


class SentenceEncoder:
    """A sentence-transformers model on CPU, loaded from a verified folder of safetensors."""

    def __init__(self, folder: str, batch_size: int, threads: int) -> None:
        import torch

        from ray_tasks.model_files import verify_model

        verify_model(folder)
        torch.set_num_threads(threads)
        try:
            from sentence_transformers import SentenceTransformer

            self._model: Any = SentenceTransformer(
                folder, device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
            )
        except Exception as error:
            raise ModelError(f"cannot load the encoder in {folder}: {error}. Run `make assets`.") from error
        self._batch_size = batch_size

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors; texts beyond the model's limit (256 tokens for MiniLM) are cut."""
        vectors = self._model.encode(
            list(texts), batch_size=self._batch_size, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)


class FakeEncoder:
    """Hashed bags of words in 32 dimensions: texts that share words are near. For tests, no model needed."""

    revision = "f" * 64
    dimensions = 32

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors; a text without words points along the first axis."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in words(text):
                vectors[row, hashlib.sha256(word.encode()).digest()[0] % self.dimensions] += 1
            if not vectors[row].any():
                vectors[row, 0] = 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
