"""Every store, open over one backend and one keyring."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from partywall.errors import StoreUnavailable
from partywall.keys import KeyRing, Store, TenantStoreKeys
from partywall.stores.alarms import OnAlarm
from partywall.stores.backends.base import Backend
from partywall.stores.backends.sqlite import SqliteBackend
from partywall.stores.collection import Collection
from partywall.stores.conversations import Conversations
from partywall.stores.documents import Books, Documents, Files, Retrieval
from partywall.stores.fields import Clock
from partywall.stores.graph import Graph
from partywall.stores.memory import Memory
from partywall.stores.preferences import Preferences
from partywall.stores.provisioning import PostgresSettings, open_postgres
from partywall.stores.resealing import StoredRecords
from partywall.stores.responses import Responses
from partywall.stores.sessions import Sessions
from partywall.stores.system_prompts import SystemPrompts
from partywall.stores.trace_sessions import TraceSessions
from partywall.stores.vault import Vault
from partywall.stores.walls import Cryptography, Placement, Verification, Walls
from partywall.tenancy import TenantId, TenantScope

__all__ = ["Stores", "open_backend", "open_stores"]

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
    ) -> None:
        """`walls_of` makes the walls around a store; `open_stores` does so for everybody but tests."""
        self._collections = {store: Collection(walls_of(store)) for store in _BUILT}
        self.sessions: Final = Sessions(self._collections[Store.SESSIONS], clock)
        self.trace_sessions: Final = TraceSessions(self._collections[Store.SESSIONS], clock)
        self.conversations: Final = Conversations(self._collections[Store.CONVERSATIONS], self.sessions, clock)
        self.responses: Final = Responses(self._collections[Store.CONVERSATIONS], self.conversations, clock)
        self.graph: Final = Graph(self._collections[Store.GRAPH], clock)
        self.memory: Final = Memory(self._collections[Store.MEMORY], clock)
        self.preferences: Final = Preferences(self._collections[Store.PREFERENCES])
        self.system_prompts: Final = SystemPrompts(self._collections[Store.PROMPTS], clock)
        self.vault: Final = Vault(self._collections[Store.VAULT], clock)
        books = Books(self._collections[Store.DOCUMENTS], clock, retrieval.limits)
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
        left = {store.value: count for store, each in self._collections.items() if (count := await each.count(scope))}
        if left:
            raise StoreUnavailable(f"records of `{scope.tenant}` are left: {left}")
        return deleted


async def open_backend(data_dir: Path, postgres: PostgresSettings | None, *, durable: bool = True) -> Backend:
    """Where rows are kept: on that server, found fit to be served from; or, for None, in files below `data_dir`.

    Raises:
        ConfigError: nothing should be served from that server; or the extra `postgres` isn't installed.
        StoreUnavailable: the server can't be asked.
    """
    return SqliteBackend(data_dir, durable=durable) if postgres is None else await open_postgres(postgres)


@asynccontextmanager
async def open_stores(
    data_dir: Path,
    keys: KeyRing,
    *,
    on_alarm: OnAlarm,
    postgres: PostgresSettings | None = None,
    durable: bool = True,
    clock: Clock = time.time,
    retrieval: Retrieval = Retrieval(),  # noqa: B008 - it is frozen
) -> AsyncIterator[Stores]:
    """The stores in `data_dir` or on a server, sealed with the tenants' keys. `on_alarm` is called on the event loop.

    With `durable`, what was stored in a file survives a power cut, at the price of a flush for each change. A server
    has its own settings for that. Raises as `open_backend` does.
    """
    backend = await open_backend(data_dir, postgres, durable=durable)

    def walls_of(store: Store) -> Walls:
        return Walls(Placement(backend, store.value), Cryptography(keys.store(store)), Verification(), on_alarm)

    try:
        yield Stores(walls_of, clock, retrieval)
    finally:
        await backend.aclose()
