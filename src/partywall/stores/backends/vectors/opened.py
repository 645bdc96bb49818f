"""An engine as the document names it, opened and found fit to be served from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from partywall.errors import ConfigError
from partywall.stores.backends.vectors.address import EngineAddress, parse_engine_address
from partywall.stores.backends.vectors.chroma import Chroma
from partywall.stores.backends.vectors.engine import VectorEngine
from partywall.stores.backends.vectors.http import JsonClient
from partywall.stores.backends.vectors.pinecone import API_VERSION, Pinecone
from partywall.stores.backends.vectors.self_check import try_engine
from partywall.stores.backends.vectors.weaviate import Weaviate
from partywall.tenancy import Secret, TenantId

__all__ = ["EngineKind", "VectorSettings", "open_engine"]

EngineKind: TypeAlias = Literal["chroma", "qdrant", "weaviate", "pinecone"]

_WORTH: Final = {
    "chroma": "its own boundary is worth nothing: it has no authentication; see docs/threats.md",
    "qdrant": "tried in its client's local mode only, not with a server",
    "weaviate": "tried with an imitation of its interface only",
    "pinecone": "tried with an imitation of its interface only",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class VectorSettings:
    """Which engine, and where."""

    kind: EngineKind
    url: Callable[[], Secret]
    """Asked once, when it is opened."""
    shares: Callable[[TenantId], bool]
    """Whether a tenant's vectors may lie in one collection with others', where the engine has a choice."""
    timeout_seconds: float = 30.0


async def open_engine(settings: VectorSettings) -> VectorEngine:
    """The engine, once it was tried with two identities.

    Raises:
        ConfigError: it isn't fit to be served from, its address can't be read, or its extra isn't installed.
        StoreUnavailable: it can't be asked.
    """
    engine = _engine(settings, parse_engine_address(settings.url()))
    try:
        await engine.check()
        await try_engine(engine, dimensions=engine.dimensions if isinstance(engine, Pinecone) else None)
    except BaseException:
        await engine.aclose()
        raise
    _log.info("vectors of new collections go to `%s` (%s)", engine.name, _WORTH[engine.name])
    return engine


def _engine(settings: VectorSettings, address: EngineAddress) -> VectorEngine:
    key = None if address.key is None else address.key.reveal()
    if settings.kind == "qdrant":
        from partywall.stores.backends.vectors.qdrant import Qdrant, qdrant_client  # noqa: PLC0415 - an extra

        return Qdrant(qdrant_client(address), settings.shares)
    if settings.kind == "chroma":
        # Chroma Cloud and the usual proxies before a Chroma look for it there.
        headers = {} if key is None else {"x-chroma-token": key}
        return Chroma(JsonClient("chroma", address, headers, timeout_seconds=settings.timeout_seconds))
    if settings.kind == "weaviate":
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return Weaviate(JsonClient("weaviate", address, headers, timeout_seconds=settings.timeout_seconds))
    if key is None:
        raise ConfigError("storage: `pinecone` needs its API key in `vectors_url_ref`: `https://:KEY@host`")
    headers = {"api-key": key, "x-pinecone-api-version": API_VERSION}
    return Pinecone(JsonClient("pinecone", address, headers, timeout_seconds=settings.timeout_seconds))
