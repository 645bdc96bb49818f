"""Engines for vectors, beside SQLite: each real where it can be had here, and else an imitation that says so.

A folder has names of its own there, as a platform has, so that tests on one server don't meet.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.engines.chroma import chroma_server
from tests.support.engines.pinecone import pinecone_imitation
from tests.support.engines.weaviate import weaviate_imitation

from partywall.stores.backends.base import Backend, Change, DropIndex, DropVectors, Partition, PutVectors, VectorChange
from partywall.stores.backends.sqlite import SqliteBackend
from partywall.stores.backends.vectors.address import parse_engine_address
from partywall.stores.backends.vectors.beside import BesideBackend, BesidePartition
from partywall.stores.backends.vectors.engine import VectorEngine
from partywall.stores.backends.vectors.opened import EngineKind, VectorSettings, _engine
from partywall.stores.backends.vectors.qdrant import Qdrant
from partywall.tenancy import Secret, TenantId

__all__ = ["ENGINES", "Beside", "beside_in", "engine_for", "settings_of"]

ENGINES: Final = ("chroma", "qdrant", "qdrant-payload", "weaviate", "pinecone")


def settings_of(kind: EngineKind, dimensions: int = 2) -> VectorSettings:
    """As `platform` would make them of a document."""
    urls = {
        "chroma": lambda: chroma_server().url,
        "weaviate": lambda: weaviate_imitation().url,
        "pinecone": lambda: pinecone_imitation().url(dimensions),
    }
    return VectorSettings(kind=kind, url=lambda: Secret(urls[kind]()), shares=lambda tenant: False)


def engine_for(kind: str, dimensions: int = 2) -> VectorEngine:
    """An engine of that kind. Qdrant's is empty, since its client's local mode is all there is of it here."""
    if kind.startswith("qdrant"):
        from qdrant_client import AsyncQdrantClient  # noqa: PLC0415 - half a second, and few tests need it

        # Said of what local mode doesn't have, and true: payload indexes and graphs aren't tested here.
        for message in ("Payload indexes have no effect", "Local mode performs exact"):
            warnings.filterwarnings("ignore", message=message, category=UserWarning)
        return Qdrant(AsyncQdrantClient(location=":memory:"), lambda tenant: kind == "qdrant-payload")
    settings = settings_of(kind, dimensions)  # type: ignore[arg-type]  # one of `ENGINES`
    return _engine(settings, parse_engine_address(settings.url()))


class Beside(BesideBackend):
    """Remembers which indexes there were, which no engine could tell."""

    indexes: dict[TenantId, dict[bytes, None]]

    def partition(self, tenant: TenantId, store: str) -> Partition:
        made = super().partition(tenant, store)
        return _Noted(self, made._rows, tenant) if isinstance(made, BesidePartition) else made


class _Noted(BesidePartition):
    async def commit(self, changes: Sequence[Change | VectorChange]) -> bool:
        assert isinstance(self._backend, Beside)
        for change in changes:
            if isinstance(change, PutVectors | DropVectors | DropIndex):
                self._backend.indexes.setdefault(self._tenant, {})[change.within] = None
        return await super().commit(changes)


def beside_in(folder: Path, kind: str, dimensions: int = 2, rows: Backend | None = None) -> Beside:
    """SQLite in the folder, and its names in the engine."""

    async def secret_of(tenant: TenantId) -> bytes:
        return hashlib.sha256(f"{folder} {tenant}".encode()).digest()

    rows = rows or SqliteBackend(folder / "data", durable=False, max_open_files=64)
    made = Beside(rows, engine_for(kind, dimensions), secret_of, store="documents")
    made.indexes = {}
    return made
