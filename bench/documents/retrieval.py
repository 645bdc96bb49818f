"""One search through all walls, beside the bare engine: a numpy scan and a fetch of the same texts from SQLite.

Promises: both draw the question's vector, scan the same matrix and return the same texts, which is checked; calls
alternate, so that both find the caches as the other left them. The median counts.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import numpy as np

from bench.documents.scene import Drawn, fill, opened, question
from bench.keys.rings import ALPHA, scope_of
from partywall.stores import Stores
from partywall.tenancy import TenantScope

__all__ = ["PIECES", "Retrieval", "measure_retrieval"]

PIECES: Final = 10_000
_K: Final = 5
_CALLS: Final = 1_000
_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Microseconds of a call."""

    pieces: int
    ours: float
    ours_p99: float
    bare: float
    bare_p99: float
    first: float
    """Of the first search, which loads the index from sealed records."""


def measure_retrieval(folder: Path, *, pieces: int = PIECES, calls: int = _CALLS) -> Retrieval:
    """Measure both at so many pieces."""
    return asyncio.run(_measure(folder, pieces, calls))


async def _measure(folder: Path, pieces: int, calls: int) -> Retrieval:
    scope = scope_of(ALPHA)
    async with opened(folder / "stores") as stores:
        await fill(stores, scope, pieces)
        begun = time.perf_counter()
        await stores.documents.search(scope, question(0), k=_K)
        first = time.perf_counter() - begun
        with closing(sqlite3.connect(folder / "bare.db")) as database:
            bare = _Bare(database, await _texts(stores, scope))
            ours: list[float] = []
            theirs: list[float] = []
            for number in range(calls):
                begun = time.perf_counter()
                hits = await stores.documents.search(scope, question(number), k=_K)
                between = time.perf_counter()
                found = bare.search(question(number), _K)
                theirs.append(time.perf_counter() - between)
                ours.append(between - begun)
                if [hit.text for hit in hits] != found:
                    raise AssertionError("the two found different texts")
            return Retrieval(len(bare.texts), _us(ours), _p99(ours), _us(theirs), _p99(theirs), first * 1e6)


class _Bare:
    """What anybody would write in ten lines: no tenant, no seal, no check."""

    def __init__(self, database: sqlite3.Connection, texts: Sequence[str]) -> None:
        self.texts = texts
        self._drawn = Drawn()
        self._matrix = np.stack([self._drawn.one(text) for text in texts])
        self._database = database
        database.execute("CREATE TABLE pieces (id INTEGER PRIMARY KEY, text TEXT)")
        database.executemany("INSERT INTO pieces VALUES (?, ?)", enumerate(texts))
        database.commit()

    def search(self, text: str, k: int) -> list[str]:
        scores = self._matrix @ self._drawn.one(text)
        best = np.argpartition(-scores, k)[:k]
        best = best[np.argsort(-scores[best])]
        find = "SELECT text FROM pieces WHERE id = ?"
        return [self._database.execute(find, (int(row),)).fetchone()[0] for row in best]


async def _texts(stores: Stores, scope: TenantScope) -> list[str]:
    """The text of every piece, from the files as they were handed over."""
    from partywall.stores.documents.chunking import cut  # noqa: PLC0415 - what `add` cuts with, for this comparison alone

    texts: list[str] = []
    after = None
    while True:
        page = await stores.documents.list_documents(scope, after=after, limit=_PAGE)
        for document in page.items:
            whole = (await stores.files.content(scope, document.file_id)).decode()
            texts += [whole[span.start : span.end] for span in cut(whole)]
        if not page.has_more:
            return texts
        after = page.items[-1].id


def _us(seconds: Sequence[float]) -> float:
    return median(seconds) * 1e6


def _p99(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=100)[-1] * 1e6
