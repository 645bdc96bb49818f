"""The document's targets, ready to be called.

Promises: addresses come from the document alone and are read once, when it is loaded; credentials are resolved anew for
each call, from the target's own reference, and fall back to nothing. Only the headers made of a credential are kept, by
its own target, and only while each call resolves to that same credential.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from partywall.config.providers import CacheUsage, Target
from partywall.config.secret_refs import SecretRef, SecretResolver
from partywall.errors import ConfigError
from partywall.tenancy import Secret
from partywall.upstream.api import Api
from partywall.upstream.client import Origin, parse_base_url
from partywall.upstream.providers import (
    DEFAULT_BASE_URLS,
    Header,
    Provider,
    resolve,
)

__all__ = ["Upstream", "compile_targets"]


_CONTENT_TYPE: Final = (b"content-type", b"application/json")


class CredentialHeaders:
    """What a target's own credential makes of a request's headers."""

    __slots__ = ("carriers", "fixed", "may_add", "secret")

    def __init__(self, secret: Secret | None, carriers: list[Header], forwarded: frozenset[bytes]) -> None:
        self.secret = secret
        """The very object that they were made of."""
        self.carriers = carriers
        """Those that carry the credential, and those without which the vendor won't answer."""
        self.fixed = (*carriers, _CONTENT_TYPE)
        """Those that are the same for each request with this credential."""
        self.may_add = tuple(sorted(forwarded - {name for name, _ in self.fixed}))
        """The client's that may be added. None has a name of ours, whatever the document calls the credential's."""


@dataclass(slots=True, eq=False)
class Upstream:
    """One target, ready to be called. `origin` is None for a provider that answers in this process."""

    id: str
    provider: Provider
    origin: Origin | None
    paths: Mapping[Api, bytes]
    secret: SecretRef | Secret | None
    secret_header: str | None
    secret_prefix: str | None
    allow_private: bool
    answer_timeout_seconds: float | None
    model: str | None
    slots: tuple[int, ...]
    """llama.cpp: those that it lends to tenants; the last is everybody's."""
    cache_usage: Mapping[Api, CacheUsage]
    """What clients are told about its caches, for each API."""
    _made: CredentialHeaders | None = field(default=None, init=False, repr=False)

    def credential_headers(self, secrets: SecretResolver) -> CredentialHeaders:
        """The headers that carry this target's own credential, resolved now.

        Raises:
            CredentialUnavailable: the reference leads nowhere.
        """
        secret = secrets.resolve(self.secret) if isinstance(self.secret, SecretRef) else self.secret
        made = self._made
        if made is None or made.secret is not secret:
            carriers = self.provider.credential_headers(secret, header=self.secret_header, prefix=self.secret_prefix)
            made = self._made = CredentialHeaders(secret, carriers, self.provider.forward_headers)
        return made


def compile_targets(targets: Mapping[str, Target]) -> dict[str, Upstream]:
    """Every target of a document.

    Raises:
        ConfigError: a target has no usable address, or its provider isn't known.
    """
    compiled: dict[str, Upstream] = {}
    for name, target in targets.items():
        try:
            compiled[name] = _compile(target)
        except ConfigError as error:
            raise ConfigError(f"providers.targets `{name}`: {error}") from error
    _refuse_shared_slots(compiled)
    return compiled


def _refuse_shared_slots(compiled: Mapping[str, Upstream]) -> None:
    """A request that comes by another target would leave its prompt in a slot that a tenant holds."""
    by_origin: dict[Origin, str] = {}
    slotted = {upstream.origin for upstream in compiled.values() if upstream.slots}
    for name, upstream in compiled.items():
        if upstream.origin is None or upstream.origin not in slotted:
            continue
        if (other := by_origin.setdefault(upstream.origin, name)) != name:
            raise ConfigError(
                f"providers.targets `{name}`: `{other}` has the same server, and one of them has `slots`; "
                "the slots of a server are one target's"
            )


def _compile(target: Target) -> Upstream:
    provider = resolve(target.provider, base_url=target.base_url, speaks=target.format)
    address = target.base_url if target.base_url is not None else DEFAULT_BASE_URLS.get(target.vendor)
    origin, prefix = (None, b"") if address is None or provider.name == "parrot" else parse_base_url(address)
    slots = _slots(target, provider)
    # An embedding has no `id_slot`: it would leave its text in a slot that a tenant holds.
    apis = provider.apis - {Api.EMBEDDINGS} if slots else provider.apis
    return Upstream(
        id=target.id,
        provider=provider,
        origin=origin,
        paths={api: prefix + provider.path(api, target) for api in apis},
        secret=_secret(target),
        secret_header=target.api_key_header,
        secret_prefix=target.api_key_prefix,
        allow_private=target.allow_private_network,
        answer_timeout_seconds=target.timeout_seconds,
        model=target.upstream_model,
        slots=slots,
        cache_usage=_cache_usage(target, provider),
    )


def _slots(target: Target, provider: Provider) -> tuple[int, ...]:
    slots = target.slots or ()
    if slots and provider.name != "llama.cpp":
        raise ConfigError(f"`slots` are a thing of llama.cpp's servers, not of `{provider.name}`")
    if len(set(slots)) != len(slots):
        raise ConfigError("a slot stands twice in `slots`")
    return slots


def _cache_usage(target: Target, provider: Provider) -> dict[Api, CacheUsage]:
    """What is told on each API. All of it only where no other tenant can have filled the cache.

    Raises:
        ConfigError: the document wants all of it told, and on no API it may be.
    """
    own = provider.apis if len(target.tenants or ()) == 1 else provider.partitioned
    if target.cache_usage is CacheUsage.PASS and not own:
        raise ConfigError(
            f"`cache_usage: pass` would tell tenants of each other's cache: `{provider.name}` has no partition of its "
            "prefix cache; name the one tenant in `tenants`, or leave it at `strip`"
        )
    return {
        api: CacheUsage.STRIP if target.cache_usage is CacheUsage.PASS and api not in own else target.cache_usage
        for api in provider.apis
    }


def _secret(target: Target) -> SecretRef | Secret | None:
    if target.api_key is not None:
        return Secret(target.api_key)
    return None if target.secret_key_ref is None else SecretRef.of(target.secret_key_ref)
