"""Stores, tenants and texts for the measurements: real keys and files, and vectors that are drawn instead of embedded.

Vectors are drawn from the text's digest, so that measurements are of storing and finding and not of a model.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from bench.keys.rings import Setting
from partywall.keys import KeyRing
from partywall.stores import Stores, WallAlarm, open_stores
from partywall.tenancy import TenantScope

__all__ = ["DIMENSIONS", "Drawn", "fill", "opened", "question", "text_of"]

DIMENSIONS: Final = 256
_WORDS: Final = "refund parcel train thirty days money returns policy terms contract invoice customer".split()  # noqa: SIM905 - words
_CHARACTERS: Final = 900


class Drawn:
    """An `Embedder` whose vectors are drawn from a text's digest."""

    name = "drawn"
    dimensions = DIMENSIONS

    def one(self, text: str) -> npt.NDArray[np.float32]:
        """The text's vector."""
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
        vector = np.random.default_rng(seed).standard_normal(DIMENSIONS).astype(np.float32)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)

    async def embed(self, scope: TenantScope, texts: Sequence[str]) -> npt.NDArray[np.float32]:  # noqa: ARG002 - one for all
        return np.stack([self.one(text) for text in texts])


def text_of(seed: str, pieces: int) -> bytes:
    """A text that is cut into so many pieces: each begins with a heading and fills most of one."""
    parts = []
    for number in range(pieces):
        words = [_WORDS[(number * 7 + place * place) % len(_WORDS)] for place in range(_CHARACTERS // 8)]
        parts.append(f"{seed} {number} " + " ".join(words)[: _CHARACTERS - 40])
    return "\n\n".join(parts).encode()


def question(number: int) -> str:
    """One of many questions."""
    return f"question {number}"


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Stores]:
    """Stores below the folder, as the platform opens them, but for the flush of each change."""
    settings = Setting.in_files(folder).key_ring(hold_seconds=600)
    async with (
        KeyRing.open(settings, "bench", _unheard) as ring,
        open_stores(folder / "data", ring, on_alarm=_failed, durable=False) as stores,
    ):
        drawn = Drawn()
        stores.documents.embed_with(lambda scope: drawn)  # noqa: ARG005 - one for all
        yield stores


async def fill(stores: Stores, scope: TenantScope, pieces: int, *, of_document: int = 100) -> None:
    """Give a tenant so many pieces, in documents of some size."""
    for number, first in enumerate(range(0, pieces, of_document)):
        data = text_of(f"{scope.tenant} {number}", min(of_document, pieces - first))
        await stores.documents.add(scope, name=f"document {number}", data=data)


def _unheard(alarm: object) -> None:
    """Keys used for the first time are of no interest here."""


def _failed(alarm: WallAlarm) -> None:
    raise AssertionError(f"a wall was met in a benchmark: {alarm}")
