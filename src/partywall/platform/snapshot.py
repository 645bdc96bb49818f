"""One document, compiled: what a request holds on to from its first step to its last.

Promises: a snapshot never changes. A reload makes a new one; requests under way finish under the one they began with.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from partywall.config.document import Document
from partywall.config.integrity import faults
from partywall.config.platform import Issuer, Server
from partywall.config.providers import Fallback, Target
from partywall.errors import ConfigError
from partywall.identity import Authenticator, IdentitySettings, IssuerSettings, KeyEntry, parse_key_hash
from partywall.platform.caching import Cached
from partywall.platform.encryption import Encrypted
from partywall.platform.retrieval import Retrieved
from partywall.platform.scanned import Scanned
from partywall.platform.storage import Stored
from partywall.policy import Rules
from partywall.tenancy import GroupName, TenantId

__all__ = ["Instructions", "Snapshot", "compile_snapshot"]


@dataclass(frozen=True, slots=True)
class Instructions:
    """What every model is told first."""

    base: str | None
    """The platform's own words."""
    base_digest: str
    """Their SHA-256, hex, for records; empty without any."""
    per_tenant: bool
    """Whether each tenant adds its own."""

    @classmethod
    def of(cls, document: Document) -> Instructions | None:
        """None for a document that asks for none."""
        base = None if document.prompts is None else document.prompts.base_system_prompt
        isolation = document.multi_tenant.conversation_isolation
        per_tenant = isolation is not None and isolation.system_prompt.per_tenant_config
        if base is None and not per_tenant:
            return None
        return cls(base, "" if base is None else hashlib.sha256(base.encode()).hexdigest(), per_tenant)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one document means."""

    digest: str
    """SHA-256 of the document's bytes, hex: which version decided."""
    tenants: frozenset[TenantId]
    """Every tenant that the document names."""
    rules: Rules
    authenticator: Authenticator
    targets: Mapping[str, Target]
    server: Server
    fallback: Fallback | None
    encrypted: Encrypted | None
    """What is sealed, and under which roots; None for a document without `encryption`."""
    retrieved: Retrieved
    """What it says about documents and their retrieval."""
    instructions: Instructions | None
    """System prompts; None when nothing is put before a request."""
    scanned: Scanned | None
    """What texts are scanned for; None when no chain asks for it."""
    stored: Stored
    """Where rows lie."""
    cached: Cached
    """Whose answers are given again."""
    operator_keys: frozenset[bytes]
    """SHA-256 digests of the operators' keys. Empty: nobody is an operator."""
    source: str
    """The path of the file it was read from."""
    published: bytes
    """The document as JSON without secrets, zlib-compressed: it is asked for rarely and may be long."""

    def is_operator(self, key: str) -> bool:
        """Whether `key` is an operator's. The digest is looked up, so time tells nothing about the keys."""
        return hashlib.sha256(key.encode()).digest() in self.operator_keys


def compile_snapshot(document: Document, digest: str, source: Path) -> Snapshot:
    """Compile `document`, read from `source`; relative paths in it start beside that file.

    Raises:
        ConfigError: its parts don't fit together, or nobody could ever be let in.
    """
    for fault in faults(document):
        raise ConfigError(f"{source}: {'.'.join(map(str, fault.path))}: {fault.message} [{fault.rule}]")
    return Snapshot(
        digest=digest,
        tenants=frozenset(map(TenantId, document.tenant_ids())),
        rules=Rules(document),
        authenticator=Authenticator(_identity(document, source.parent)),
        targets={target.id: target for target in document.providers.targets},
        server=document.server,
        fallback=document.providers.fallback,
        encrypted=Encrypted.of(document),
        retrieved=Retrieved.of(document),
        instructions=Instructions.of(document),
        scanned=Scanned.of(document),
        stored=Stored.of(document),
        cached=Cached.of(document),
        operator_keys=frozenset(parse_key_hash(text) for text in document.server.admin.api_keys),
        source=str(source),
        published=zlib.compress(orjson.dumps(_without_secrets(document.model_dump(mode="json", exclude_unset=True)))),
    )


_MASK: Final = "**********"


def _without_secrets(value: object, key: str = "") -> object:
    """Mask credentials in clear text, and shorten key hashes to what names them."""
    if isinstance(value, dict) and key in ("header", "headers"):
        return dict.fromkeys(value, _MASK)  # what a route or condition compares with may be a shared secret
    if isinstance(value, dict):
        return {name: _without_secrets(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item, key) for item in value]
    if key == "api_key":
        return _MASK
    if key == "api_keys" and isinstance(value, str):
        return value[:19] + "…"
    return value


def _identity(document: Document, base: Path) -> IdentitySettings:
    keys: dict[bytes, KeyEntry] = {}
    groups: dict[TenantId, list[GroupName]] = {}
    for group in document.consumer_groups.groups:
        tenant, name = TenantId(group.tenant_id), GroupName(group.name)
        groups.setdefault(tenant, []).append(name)
        for text in group.key_hashes():
            keys[parse_key_hash(text)] = KeyEntry(tenant, name)
    if not keys and not document.server.jwt:
        raise ConfigError("consumer_groups: no API key and no JWT issuer, so every request would be refused")
    headers = document.server.identity_headers
    header = document.consumer_groups.key_header
    try:
        return IdentitySettings(
            keys=keys,
            groups_by_tenant={tenant: tuple(names) for tenant, names in groups.items()},
            issuers=tuple(_issuer(document, issuer, base) for issuer in document.server.jwt),
            key_header=None if header is None else header.lower().encode(),
            tenant_headers=_lower(headers.tenant),
            user_headers=_lower(headers.user),
            role_headers=_lower(headers.role),
        )
    except ValueError as error:
        raise ConfigError(f"identity: {error}") from error


def _issuer(document: Document, issuer: Issuer, base: Path) -> IssuerSettings:
    return IssuerSettings(
        issuer=issuer.issuer,
        audiences=issuer.audience,
        algorithms=issuer.algorithms,
        jwks_url=issuer.jwks_url,
        jwks_file=None if issuer.jwks_file is None else base / issuer.jwks_file,
        typ=issuer.typ,
        tenant_claim=issuer.tenant_claim or document.multi_tenant.tenant_id_claim,
        user_claim=issuer.user_claim,
        role_claim=issuer.role_claim,
        leeway_seconds=issuer.leeway_seconds,
        jwks_refresh_seconds=issuer.refresh_seconds,
        jwks_max_age_seconds=max(3600.0, issuer.refresh_seconds),
        tenants=None if issuer.tenants is None else frozenset(TenantId(tenant) for tenant in issuer.tenants),
    )


def _lower(names: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(name.lower().encode() for name in names)
