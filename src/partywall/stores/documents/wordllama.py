"""The model that needs no network: WordLlama's static embeddings, out of its own wheel.

Promises: nothing is downloaded. Equal texts give equal vectors, whatever else is embedded with them. It runs on a
thread of its own and keeps nothing between two calls but the model.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from partywall.errors import ConfigError
from partywall.stores.documents.extras import require
from partywall.tenancy import TenantScope

if TYPE_CHECKING:
    from partywall.stores.documents.embedding import Vectors

__all__ = ["WordLlamaEmbedder"]

_NAME: Final = "wordllama/l2_supercat_256"
"""Names the weights and not the package: a new release with the same weights embeds the same."""
_DIMENSIONS: Final = 256
_BATCH: Final = 32


class _Model(Protocol):
    def embed(self, texts: list[str], *, norm: bool, batch_size: int) -> Vectors: ...


class WordLlamaEmbedder:
    """WordLlama, loaded when it is first needed."""

    def __init__(self) -> None:
        """Nothing is loaded yet.

        Raises:
            ConfigError: it isn't installed.
        """
        require("numpy", "wordllama")
        self.name: Final = _NAME
        self.dimensions: Final = _DIMENSIONS

    async def embed(self, scope: TenantScope, texts: Sequence[str]) -> Vectors:  # noqa: ARG002 - one model for everybody
        """See `Embedder.embed`."""
        return await asyncio.get_running_loop().run_in_executor(_thread(), _embed, list(texts))


@functools.cache
def _thread() -> ThreadPoolExecutor:
    """One for the process: the model is one, and holds nothing of anybody's."""
    return ThreadPoolExecutor(1, thread_name_prefix="partywall-embed")


def _embed(texts: list[str]) -> Vectors:
    import numpy as np  # noqa: PLC0415 - of the extra `documents`

    vectors = _load().embed(texts, norm=False, batch_size=_BATCH).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    return vectors


@functools.cache
def _load() -> _Model:
    root = logging.getLogger()
    # Importing it calls `logging.basicConfig`, which does nothing to a root that has a handler.
    guard = logging.NullHandler()
    root.addHandler(guard)
    try:
        wordllama = importlib.import_module("wordllama")  # slow, and only when something is embedded
        package = Path(str(wordllama.__file__)).parent
        model: _Model = wordllama.WordLlama.load(cache_dir=package, disable_download=True)
    except ImportError as error:
        raise ConfigError('`wordllama` can\'t be loaded; pip install "partywall[documents]"') from error
    finally:
        root.removeHandler(guard)
    return model
