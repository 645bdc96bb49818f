"""Every store, open over one backend and one keyring."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from partywall.errors import ConfigError, StoreUnavailable
from partywall.keys import KeyRing, Store, TenantStoreKeys
from partywall.stores.alarms import OnAlarm
from partywall.stores.backends.base import Backend
from partywall.stores.backends.memory_values import MemoryBounds, MemoryValues
from partywall.stores.backends.sqlite import SqliteBackend
from partywall.stores.backends.values import ValueBackend
from partywall.stores.backends.vectors.beside import BesideBackend
from partywall.stores.backends.vectors.opened import VectorSettings, open_engine
from partywall.stores.caching import ResponseCache
from partywall.stores.collection import Collection
from partywall.stores.conversations import Conversations
from partywall.stores.counters import Counters
from partywall.stores.documents import Books, Documents, Files, Retrieval
from partywall.stores.fields import Clock
from partywall.stores.graph import Graph
from partywall.stores.memory import Memory
from partywall.stores.preferences import Preferences
from partywall.stores.provisioning import PostgresSettings, ValkeySettings, open_postgres, open_valkey
from partywall.stores.resealing import StoredRecords
from partywall.stores.responses import Responses
from partywall.stores.sealed_values import SealedValues
from partywall.stores.served import Served
from partywall.stores.session_shelves import RecordShelf, ValueShelf
from partywall.stores.sessions import Sessions
from partywall.stores.system_prompts import SystemPrompts
from partywall.stores.trace_sessions import TraceSessions
from partywall.stores.vault import Vault
from partywall.stores.walls import Cryptography, Placement, ValuePlacement, Verification, Walls
from partywall.tenancy import TenantId, TenantScope

if TYPE_CHECKING:
    from partywall.stores.backends.postgres.backend import PostgresBackend

__all__ = ["Stores", "VectorSettings", "open_stores"]

_MARK: Final = "whose database"
"""What the platform's key makes a database's mark of. Another word would make every database another's."""
_ENGINE_NAMES: Final = "names of a vector engine"
"""What the platform's key makes tenants' names in an engine of. Another word would lose all of them."""
_BUILT: Final = (
    Store.CONVERSATIONS,
    Store.DOCUMENTS,
    Store.GRAPH,
    Store.MEMORY,
    Store.PREFERENCES,
    Store.PROMPTS,
    Store.SESSIONS,
    Store.VAULT,
)


class Stores:
    """What a tenant leaves behind. Every call takes its scope."""

    def __init__(
        self,
        walls_of: Callable[[Store], Walls],
        clock: Clock,
        retrieval: Retrieval = Retrieval(),  # noqa: B008 - it is frozen
        *,
        values: ValueBackend | None = None,
        shared: bool = False,
        values_of: Callable[[ValueBackend, str], ValuePlacement] = ValuePlacement,
    ) -> None:
        """`walls_of` makes the walls around a store; `open_stores` does so for everybody but tests.

        Without `values`, they are kept in this process. Where they are `shared` by every gateway, sessions lie there
        too; otherwise among the records.
        """
        self._collections = {store: Collection(walls_of(store)) for store in _BUILT}
        walls = walls_of(Store.SESSIONS)
        values = values or MemoryValues()
        self._session_values = SealedValues(values_of(values, Store.SESSIONS.value), walls) if shared else None
        shelf = (
            RecordShelf(self._collections[Store.SESSIONS])
            if self._session_values is None
            else ValueShelf(self._session_values)
        )
        self.sessions: Final = Sessions(shelf, clock)
        self.counters: Final = Counters(values_of(values, "counters"), walls.cryptography)
        self.trace_sessions: Final = TraceSessions(self._collections[Store.SESSIONS], clock)
        self.conversations: Final = Conversations(self._collections[Store.CONVERSATIONS], self.sessions, clock)
        self.responses: Final = Responses(self._collections[Store.CONVERSATIONS], self.conversations, clock)
        self.graph: Final = Graph(self._collections[Store.GRAPH], clock)
        self.memory: Final = Memory(self._collections[Store.MEMORY], clock)
        self.preferences: Final = Preferences(self._collections[Store.PREFERENCES])
        self.system_prompts: Final = SystemPrompts(self._collections[Store.PROMPTS], clock)
        self.vault: Final = Vault(self._collections[Store.VAULT], clock)
        walls = walls_of(Store.CACHE)
        self.cache: Final = ResponseCache(
            values_of(values, Store.CACHE.value),
            walls.cryptography,
            walls.verification,
            walls.on_alarm,
            clock,
        )
        """Answers that are given again."""
        books = Books(self._collections[Store.DOCUMENTS], clock, retrieval.limits, retrieval.vectors_engine)
        self.files: Final = Files(books)
        self.documents: Final = Documents(books, self.files, retrieval)

    def resealable(self, scope: TenantScope) -> Mapping[str, tuple[TenantStoreKeys, StoredRecords]]:
        """What `keys.reseal_all` needs in order to bring each store of the scope's tenant to its current key."""
        return {store.value: each.resealable(scope) for store, each in self._collections.items()}

    async def sizes_for_operators(self, tenant: TenantId) -> Mapping[str, int]:
        """How many records a tenant has, by store. No key is used for it, and nothing that a request reaches asks.

        Raises:
            StoreUnavailable: it can't be told.
        """
        return {store.value: await each.size_for_operators(tenant) for store, each in self._collections.items()}

    async def erase(self, scope: TenantScope) -> Mapping[str, int]:
        """Delete everything that the scope's tenant has in any store; returns how many records, by store.

        Raises:
            StoreUnavailable: not everything could be deleted, or something came back meanwhile. Do it again.
        """
        deleted = {store.value: await each.erase(scope) for store, each in self._collections.items()}
        deleted[Store.CACHE.value] = await self.cache.erase(scope)
        left = {store.value: count for store, each in self._collections.items() if (count := await each.count(scope))}
        if left:
            raise StoreUnavailable(f"records of `{scope.tenant}` are left: {left}")
        if self._session_values is not None:
            deleted[Store.SESSIONS.value] += await self._session_values.erase(scope)
        await self.counters.erase(scope)
        return deleted


def _files(data_dir: Path, served: Served, *, durable: bool, looks_only: bool) -> Backend:
    """Rows in files below `data_dir`."""
    served.refuse_other("sqlite")
    if not looks_only:
        served.note("sqlite")
    return SqliteBackend(data_dir, durable=durable)


async def _server(postgres: PostgresSettings, served: Served, keys: KeyRing, *, looks_only: bool) -> Backend:
    """Rows on a server that was found fit to be served from, and whose rows are sealed under these keys."""
    served.refuse_other("postgres")
    backend = await open_postgres(postgres)
    if looks_only:
        return backend
    try:
        served.note("postgres", await _name_of(backend, served, keys))
    except BaseException:
        await backend.aclose()
        raise
    return backend


async def _name_of(backend: PostgresBackend, served: Served, keys: KeyRing) -> str:
    """The name of the database, once it is known to be these keys' and the one that was served from before."""
    mark = await keys.platform_store(Store.SESSIONS).index(_MARK, b"")
    found = await backend.belonging(mark, may_claim=served.database is None)
    if found is None or served.database not in (None, found[1]):
        raise served.refuse_other_database()
    if found[0] != mark:
        raise ConfigError(
            f"storage: the rows in this database are sealed under other keys than those in `{keys.keys_dir}`, and "
            "neither would ever see what the other stores; let `encryption.keys_dir` and the root key be those of "
            "the gateway that served from it first, or put these keys back from their copy, or serve from a "
            "database of its own"
        )
    return found[1]


async def _beside(rows: Backend, vectors: VectorSettings, keys: KeyRing) -> Backend:
    """The same rows, and documents' vectors in an engine that was found fit to have them."""
    names = keys.platform_store(Store.DOCUMENTS)

    async def secret_of(tenant: TenantId) -> bytes:
        # By the platform's key, not by the tenant's: when that is gone, what lies there can still be found and deleted.
        return await names.index(_ENGINE_NAMES, tenant.encode())

    try:
        return BesideBackend(rows, await open_engine(vectors), secret_of, store=Store.DOCUMENTS.value)
    except BaseException:
        await rows.aclose()
        raise


@asynccontextmanager
async def open_stores(
    data_dir: Path,
    keys: KeyRing,
    *,
    on_alarm: OnAlarm,
    postgres: PostgresSettings | None = None,
    vectors: VectorSettings | None = None,
    valkey: ValkeySettings | None = None,
    durable: bool = True,
    clock: Clock = time.time,
    retrieval: Retrieval = Retrieval(),  # noqa: B008 - it is frozen
    memory: MemoryBounds = MemoryBounds(),  # noqa: B008 - it is frozen
    looks_only: bool = False,
) -> AsyncIterator[Stores]:
    """The stores in `data_dir` or on a server, sealed with the tenants' keys. `on_alarm` is called on the event loop.

    With `durable`, what was stored in a file survives a power cut, at the price of a flush for each change. A server
    has its own settings for that. With `valkey`, the cache, sessions and counters are there; without, `memory` bounds
    what is kept in this process alone. What `looks_only` uses no key and leaves no mark; it is for counting rows: an
    engine outside, in `vectors`, isn't asked for its own.

    Raises:
        ConfigError: nothing should be served from that server; its rows are sealed under other keys; the directory was
            served from elsewhere before; an engine for vectors isn't fit; or an extra isn't installed.
        StoreUnavailable: the server, or an engine, can't be asked.
        KeyUnavailable, SealBroken: the platform's own key can't be used, by which a database is known.
    """
    served = await asyncio.to_thread(Served, data_dir)
    if postgres is None:
        backend = _files(data_dir, served, durable=durable, looks_only=looks_only)
    else:
        backend = await _server(postgres, served, keys, looks_only=looks_only)
    if vectors is not None and not looks_only:
        backend = await _beside(backend, vectors, keys)

    def walls_of(store: Store) -> Walls:
        return Walls(Placement(backend, store.value), Cryptography(keys.store(store)), Verification(), on_alarm)

    async with AsyncExitStack() as opened:
        opened.push_async_callback(backend.aclose)
        values: ValueBackend = MemoryValues(memory) if valkey is None else await open_valkey(valkey)
        opened.push_async_callback(values.aclose)
        yield Stores(walls_of, clock, retrieval, values=values, shared=valkey is not None)
