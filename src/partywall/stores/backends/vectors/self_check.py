"""Trying an engine before anything is served from it: two made-up tenants, one of whom has a vector.

Promises: the one finds it, or nothing was tried; the other finds nothing, by the same names of index and group, with a
filter and without; and when it is dropped, nothing is left. It leaves nothing behind but the name of a tenant where an
engine can't delete one.

Doesn't promise: that the engine keeps tenants apart when asked in another way. What each is worth by itself stands in
docs/threats.md.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from partywall.errors import ConfigError
from partywall.stores.backends.vectors.engine import Found, Point, VectorEngine
from partywall.stores.backends.vectors.names import TenantNames
from partywall.tenancy import TenantId

__all__ = ["try_engine"]

_INDEX, _GROUP, _NUMBER = b"probe", b"probe", 7
_DIMENSIONS: Final = 8
_PATIENCE_SECONDS: Final = 20.0


async def try_engine(engine: VectorEngine, *, dimensions: int | None = None) -> None:
    """Refuse an engine that shows one tenant's vector to another, or can't find or drop it.

    Raises:
        ConfigError: it does.
        StoreUnavailable: it can't be asked.
    """
    # As many bytes as a key: made up each time, so that no two processes that start meet.
    one, other = (TenantNames(TenantId(name), secrets.token_bytes(32)) for name in ("probe-a", "probe-b"))
    vector = [1.0] + [0.0] * ((dimensions or _DIMENSIONS) - 1)
    point = Point(one.point(_INDEX, _GROUP, _NUMBER), _GROUP.hex(), _NUMBER, 1, vector)
    try:
        await engine.put(one.room(_INDEX, len(vector)), [point])
        if not await _within_patience(engine, one, vector):
            raise ConfigError(f"storage: `{engine.name}` doesn't find a vector that was put there; look at its log")
        # Where names were read in a shorter form, or a filter left out, the other would have it, too.
        await engine.put(
            other.room(b"another", len(vector)), [point._replace(id=other.point(b"another", _GROUP, _NUMBER))]
        )
        for groups in (None, [_GROUP.hex()]):
            found = await engine.nearest(other.room(_INDEX, len(vector)), vector, limit=10, groups=groups)
            if found:
                raise ConfigError(
                    f"storage: `{engine.name}` shows one tenant's vectors to another; nothing may be served from it"
                )
    finally:
        for names in (one, other):
            await engine.drop_all(names.whose)
    await _is_empty(engine, one)


async def _within_patience(engine: VectorEngine, names: TenantNames, vector: list[float]) -> bool:
    """Whether the tenant finds its own, at once or when the engine has come to it."""
    end = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while True:
        found = await engine.nearest(names.room(_INDEX, len(vector)), vector, limit=10, groups=None)
        if any(_is_own(names, each) for each in found):
            return True
        if asyncio.get_running_loop().time() > end:
            return False
        await asyncio.sleep(0.5)


def _is_own(names: TenantNames, found: Found) -> bool:
    return names.group_of(_INDEX, found) == _GROUP and found.number == _NUMBER


async def _is_empty(engine: VectorEngine, names: TenantNames) -> None:
    end = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while await engine.count(names.whose):
        if asyncio.get_running_loop().time() > end:
            raise ConfigError(f"storage: `{engine.name}` doesn't delete what it was told to; look at its log")
        await asyncio.sleep(0.5)
