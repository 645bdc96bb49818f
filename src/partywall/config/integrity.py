"""Whether the parts of a document fit together.

Promises: a document without faults is unambiguous: each name means one thing, each reference leads somewhere, each
credential belongs to one group. `Platform.open` refuses a document with faults, and `lint` reports them as errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from partywall.config.document import Document
from partywall.config.platform import Storage

__all__ = ["Fault", "faults"]

Path = tuple[str | int, ...]


class Fault(NamedTuple):
    """One thing that doesn't fit: its rule, its place in the document, and what to say."""

    rule: str
    path: Path
    message: str


def faults(document: Document) -> Iterator[Fault]:
    """Every fault of `document`, in document order within each rule."""
    yield from _names_twice(document)
    yield from _dangling_upstreams(document)
    yield from _undeclared_tenants(document)
    yield from _shared_keys(document)
    yield from _storage(document)
    yield from _cache(document)
    yield from _unsealed_prompts(document)
    yield from _unsealed_answers(document)


def _names_twice(document: Document) -> Iterator[Fault]:
    groups = (group.name for group in document.consumer_groups.groups)
    yield from _repeated(("consumer_groups", "groups"), groups)
    yield from _repeated(("routes",), (route.name for route in document.routes))


def _repeated(path: Path, names: Iterable[str]) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if first.setdefault(name, index) != index:
            yield Fault(
                "name-twice",
                (*path, index, "name"),
                f"`{name}` is also the name of item {first[name] + 1}; decisions could not tell which one it was",
            )


def _dangling_upstreams(document: Document) -> Iterator[Fault]:
    known = {target.id for target in document.providers.targets}
    for path, names in _upstream_references(document):
        for name in names:
            if name not in known:
                yield Fault("unknown-upstream", path, f"no target has the id `{name}`")


def _upstream_references(document: Document) -> Iterator[tuple[Path, tuple[str, ...]]]:
    for index, group in enumerate(document.consumer_groups.groups):
        yield ("consumer_groups", "groups", index, "upstream"), group.upstream or ()
    for index, route in enumerate(document.routes):
        yield ("routes", index, "upstream"), route.upstream or ()
    if document.rag is not None and document.rag.embedding is not None:
        yield ("rag", "embedding", "target"), (document.rag.embedding.target,)
    for tenant, settings in document.tenants.items():
        if settings.embedding is not None:
            yield ("tenants", tenant, "embedding", "target"), (settings.embedding.target,)


def _undeclared_tenants(document: Document) -> Iterator[Fault]:
    if not document.tenants:
        return
    for index, group in enumerate(document.consumer_groups.groups):
        if group.tenant_id not in document.tenants:
            key = "tenant" if group.tenant is not None else "name"
            yield Fault(
                "undeclared-tenant",
                ("consumer_groups", "groups", index, key),
                f"the tenant `{group.tenant_id}` is not declared under `tenants`",
            )


def _shared_keys(document: Document) -> Iterator[Fault]:
    owner: dict[str, str] = {}
    for index, group in enumerate(document.consumer_groups.groups):
        for number, digest in enumerate(group.key_hashes()):
            other = owner.setdefault(digest, group.name)
            if other != group.name:
                path: Path = ("consumer_groups", "groups", index, "api_keys", number)
                if number >= len(group.api_keys):
                    path = ("consumer_groups", "groups", index, "api_key")
                yield Fault(
                    "key-in-two-groups",
                    path,
                    f"this key also belongs to the group `{other}`; whoever holds it would be in both",
                )


def _storage(document: Document) -> Iterator[Fault]:
    storage = document.storage
    yield from _engine(storage)
    if storage.backend == "postgres":
        if storage.dsn_ref is None:
            message = "`postgres` needs the connection string of the serving role in `dsn_ref`"
            yield Fault("storage-address", ("storage", "backend"), message)
        if storage.dsn_ref is not None and storage.dsn_ref == storage.owner_dsn_ref:
            message = "the same as `dsn_ref`; who serves must not own the tables"
            yield Fault("storage-address", ("storage", "owner_dsn_ref"), message)
        return
    if storage.vectors == "pgvector":
        message = f"`{storage.vectors}` is of PostgreSQL; say `backend: postgres` as well, or `memory`"
        yield Fault("storage-address", ("storage", "vectors"), message)
    for key in ("dsn_ref", "owner_dsn_ref"):
        if getattr(storage, key) is not None:
            message = f"`{storage.backend}` has no server; say `backend: postgres`, or leave it out"
            yield Fault("storage-address", ("storage", key), message)


def _engine(storage: Storage) -> Iterator[Fault]:
    is_outside = storage.vectors not in {"memory", "pgvector"}
    if is_outside and storage.vectors_url_ref is None:
        message = f"`{storage.vectors}` needs its address in `vectors_url_ref`"
        yield Fault("storage-address", ("storage", "vectors"), message)
    if not is_outside and storage.vectors_url_ref is not None:
        message = f"`{storage.vectors}` has no server of its own; name an engine in `vectors`, or leave it out"
        yield Fault("storage-address", ("storage", "vectors_url_ref"), message)


def _cache(document: Document) -> Iterator[Fault]:
    storage = document.storage
    if storage.cache == "valkey":
        if storage.cache_url_ref is None:
            message = "`valkey` needs the address of the serving user in `cache_url_ref`"
            yield Fault("storage-address", ("storage", "cache"), message)
        elif storage.cache_url_ref == storage.cache_owner_url_ref:
            message = "the same as `cache_url_ref`; who serves must not make users"
            yield Fault("storage-address", ("storage", "cache_owner_url_ref"), message)
        return
    for key in ("cache_url_ref", "cache_owner_url_ref"):
        if getattr(storage, key) is not None:
            message = "the embedded cache has no server; say `cache: valkey`, or leave it out"
            yield Fault("storage-address", ("storage", key), message)


def _unsealed_prompts(document: Document) -> Iterator[Fault]:
    isolation = document.multi_tenant.conversation_isolation
    if isolation is not None and isolation.system_prompt.per_tenant_config and document.encryption is None:
        yield Fault(
            "system-prompts-unsealed",
            ("multi_tenant", "conversation_isolation", "system_prompt", "per_tenant_config"),
            "tenants' own prompts are kept sealed, and the document has no `encryption`; add `encryption: {}`",
        )


def _unsealed_answers(document: Document) -> Iterator[Fault]:
    if document.encryption is not None:
        return
    message = "answers are kept sealed under their tenant's key, and the document has no `encryption`"
    if document.cache.mode != "off":
        yield Fault("answers-unsealed", ("cache", "mode"), message)
    for tenant, settings in document.tenants.items():
        if settings.cache not in (None, "off"):
            yield Fault("answers-unsealed", ("tenants", tenant, "cache"), message)
