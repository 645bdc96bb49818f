"""`Platform`: the library's front door. The gateway uses nothing else.

Promises: what opens is whole: a document that can't be read, that is ambiguous, or that asks for what this build can't
honour is refused before anything is served. Reloading keeps the old document when the new one is bad, and says so.
"""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from partywall.errors import ConfigError
from partywall.identity import Headers, acting_for
from partywall.keys import KeyRing
from partywall.platform.embedders import Embedders
from partywall.platform.encryption import serving_keys
from partywall.platform.remembered import remember_document, remembered_document
from partywall.platform.salts import Salter
from partywall.platform.snapshot import Snapshot
from partywall.platform.source import Source
from partywall.platform.standing import Standing
from partywall.platform.tenants import Tenants
from partywall.stores import (
    Conversations,
    Counters,
    Documents,
    Files,
    Graph,
    Memory,
    Preferences,
    Sessions,
    Stores,
    SystemPrompts,
    Vault,
    WallAlarm,
    open_stores,
)
from partywall.tenancy import TenantScope, parse_tenant_id
from partywall.trail import Trail

__all__ = ["Platform"]

_TRAIL: Final = "trail"
"""Who uses a tenant's key to seal what was decided about it."""

_log = logging.getLogger(__name__)


class Platform:
    """One document and one data directory, open. Get one with `Platform.open`."""

    def __init__(
        self,
        snapshot: Snapshot,
        trail: Trail,
        salter: Salter,
        source: Source,
        keys: KeyRing | None,
        stores: Stores | None,
        standing: Standing,
        data_dir: Path,
    ) -> None:
        self.snapshot = snapshot
        self.trail = trail
        self.salter = salter
        self.data_dir = data_dir
        self.source = source
        self.keys = keys
        """Every tenant's keys; None for a document without `encryption`."""
        self._stores = stores
        self.standing = standing
        """Who is suspended, for the path of every request."""
        self.tenants = Tenants(standing, lambda: self.snapshot.tenants, self.acting_for, stores)
        """Whom the document names, and suspending them."""
        self.reload_error: str | None = None
        """Why the newest document on disk is not the one that serves; None when it is."""
        self._listeners: list[Callable[[Snapshot], None]] = []

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        document: str | Path,
        *,
        data_dir: str | Path = ".partywall",
        unsafe_without_isolation: bool = False,
        command: str | None = None,
    ) -> AsyncIterator[Platform]:
        """Open the document at the path `document` and its data directory, for the length of the block.

        `unsafe_without_isolation` permits `isolation_model: none`; it is refused otherwise. A `command`, which works
        beside a gateway or without one, gives its name: it stands in the records of key uses in place of
        `server.name`, no key is rotated because it has come of age, and the directory goes on remembering the document
        that it was served with.

        Raises:
            ConfigError: the document can't be served, or the data directory or the database server can't be trusted.
            StoreUnavailable: the database server can't be asked.
        """
        directory = Path(data_dir)
        source = Source(Path(document), unsafe_without_isolation=unsafe_without_isolation)
        snapshot = await asyncio.to_thread(source.read)
        await asyncio.to_thread(_own, directory)
        async with AsyncExitStack() as opened:
            keys, seals, stores, keys_dir = None, None, None, None
            salter = Salter.open(directory)
            if (encrypted := snapshot.encrypted) is not None:
                keys_dir = encrypted.keys_dir(base=source.path.parent, data_dir=directory)
                keys = await opened.enter_async_context(
                    serving_keys(
                        encrypted,
                        base=source.path.parent,
                        data_dir=directory,
                        service=command or snapshot.server.name,
                        rotates=command is None,
                    )
                )
                seals = keys.records(_TRAIL) if encrypted.seals_records else None
                server = await asyncio.to_thread(snapshot.stored.serving)
                engine = await asyncio.to_thread(snapshot.stored.engine)
                stores = await opened.enter_async_context(
                    open_stores(
                        directory,
                        keys,
                        on_alarm=_log_alarm,
                        postgres=server,
                        vectors=engine,
                        valkey=await asyncio.to_thread(snapshot.stored.serving_cache, salter),
                        retrieval=snapshot.retrieved.settings,
                        memory=snapshot.cached.memory,
                    )
                )
            trail = Trail.open(directory, durability=snapshot.server.trail_durability, seals=seals)
            opened.push_async_callback(trail.aclose)
            standing = await asyncio.to_thread(Standing.open, directory)
            platform = cls(snapshot, trail, salter, source, keys, stores, standing, directory)
            opened.push_async_callback(platform._let_go)
            if stores is not None:
                offline = stores.documents.offline_embedder
                embedders = Embedders(lambda: platform.snapshot, platform.salter, offline)
                opened.push_async_callback(embedders.aclose)
                stores.documents.embed_with(embedders)
                stores.cache.embed_with(embedders)
            if command is None or remembered_document(directory) is None:
                await asyncio.to_thread(remember_document, directory, source.path, keys_dir=keys_dir)
            yield platform

    async def _let_go(self) -> None:
        await self.snapshot.authenticator.aclose()

    @property
    def stores(self) -> Stores:
        """What tenants leave behind, sealed.

        Raises:
            ConfigError: the document has no `encryption`, and nothing is stored in clear.
        """
        if self._stores is None:
            raise ConfigError(
                f"{self.source.path}: what tenants store is sealed under their keys, and the document has no "
                "`encryption`; add `encryption: {}` and restart"
            )
        return self._stores

    @property
    def stores_or_none(self) -> Stores | None:
        """As `stores`; None for a document without `encryption`."""
        return self._stores

    @property
    def conversations(self) -> Conversations:
        """Conversations of tenants' users. Raises as `stores` does."""
        return self.stores.conversations

    @property
    def sessions(self) -> Sessions:
        """Sessions of tenants' users. Raises as `stores` does."""
        return self.stores.sessions

    @property
    def counters(self) -> Counters:
        """What is counted of each tenant. Raises as `stores` does."""
        return self.stores.counters

    @property
    def documents(self) -> Documents:
        """Documents of tenants, and the search over them. Raises as `stores` does."""
        return self.stores.documents

    @property
    def files(self) -> Files:
        """Files of tenants. Raises as `stores` does."""
        return self.stores.files

    @property
    def graph(self) -> Graph:
        """Each tenant's knowledge graph. Raises as `stores` does."""
        return self.stores.graph

    @property
    def memory(self) -> Memory:
        """Notes of tenants' agents. Raises as `stores` does."""
        return self.stores.memory

    @property
    def preferences(self) -> Preferences:
        """Settings of tenants' users. Raises as `stores` does."""
        return self.stores.preferences

    @property
    def system_prompts(self) -> SystemPrompts:
        """What each tenant has models told first. Raises as `stores` does."""
        return self.stores.system_prompts

    @property
    def vault(self) -> Vault:
        """Credentials of tenants' tools. Raises as `stores` does."""
        return self.stores.vault

    async def authenticate(self, headers: Headers) -> TenantScope:
        """The scope of whoever sent `headers` (a mapping, or pairs of names and values).

        Raises:
            MissingIdentity: there is no credential.
            InvalidCredential: there is one, and it doesn't verify.
            TenantMismatch: a header names another tenant than the credential does.
            TenantSuspended: the tenant is suspended.
            StoreUnavailable: nobody can tell whether it is.
        """
        scope = await self.snapshot.authenticator.authenticate(headers)
        self.standing.require_active(scope.tenant)
        return scope

    @asynccontextmanager
    async def acting_for(
        self, tenant: str, *, who: str, action: str, why: str, user: str | None = None
    ) -> AsyncIterator[TenantScope]:
        """An operator's scope of `tenant`, for the length of the block: see `identity.operators`.

        `who` is the operator, `action` what is done, `why` the reason; all three stand in the tenant's own records
        before the scope is made. A suspended tenant can be acted for, or nobody could look after it.

        Raises:
            ConfigError: the document names no such tenant; or a word is empty, too long or doesn't print.
            InvalidTenantId: it is no tenant's id.
            TrailUnavailable: it can't be recorded, so it isn't done.
        """
        name = parse_tenant_id(tenant)
        if name not in self.snapshot.tenants:
            raise ConfigError(f"{self.source.path}: names no tenant `{name}`")
        async with acting_for(self.trail, name, who=who, action=action, why=why, user=user) as scope:
            yield scope

    def on_reload(self, listener: Callable[[Snapshot], None]) -> None:
        """Call `listener` with each new snapshot, before it serves. It may raise `ConfigError` to refuse it."""
        self._listeners.append(listener)

    async def reload(self, data: bytes | None = None) -> None:
        """Serve the document anew: `data`, or what its file holds now.

        Raises:
            ConfigError: it is bad. The old one goes on serving, and `reload_error` says why.
        """
        try:
            snapshot = await asyncio.to_thread(self.source.read, data)
            self._refuse_other_places(snapshot)
            for listener in self._listeners:
                listener(snapshot)
        except ConfigError as error:
            self.reload_error = str(error)
            raise
        old, self.snapshot = self.snapshot, snapshot
        self.reload_error = None
        await old.authenticator.aclose()

    def _refuse_other_places(self, snapshot: Snapshot) -> None:
        if snapshot.encrypted != self.snapshot.encrypted:
            raise ConfigError(f"{self.source.path}: a change of `encryption` or of a `root_key` needs a restart")
        if snapshot.stored != self.snapshot.stored:
            raise ConfigError(
                f"{self.source.path}: a change of `storage` or of an `isolation_strategy` needs a restart"
            )
        if snapshot.retrieved.settings != self.snapshot.retrieved.settings:
            raise ConfigError(f"{self.source.path}: a change of `rag` or of the counting of namespaces needs a restart")
        if snapshot.cached.memory != self.snapshot.cached.memory:
            raise ConfigError(f"{self.source.path}: a change of the bytes that the `cache` keeps needs a restart")


def _log_alarm(alarm: WallAlarm) -> None:
    _log.error("alarm: %s", alarm)


def _own(directory: Path) -> None:
    """Make the data directory, or take back what others could write in it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(directory.stat().st_mode)
        if mode & 0o022:
            directory.chmod(mode & ~0o022)
    except OSError as error:
        raise ConfigError(f"data directory `{directory}`: {error.strerror}; give another --data-dir") from error
