"""The document's targets, ready to be called.

Promises: addresses come from the document alone and are read once, when it is loaded; credentials are resolved anew for
each call, from the target's own reference, and fall back to nothing. Only the headers made of a credential are kept, by
its own target, and only while each call resolves to that same credential.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from partywall.config.providers import Target
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
    return compiled


def _compile(target: Target) -> Upstream:
    provider = resolve(target.provider, base_url=target.base_url, speaks=target.format)
    address = target.base_url if target.base_url is not None else DEFAULT_BASE_URLS.get(target.vendor)
    origin, prefix = (None, b"") if address is None or provider.name == "parrot" else parse_base_url(address)
    return Upstream(
        id=target.id,
        provider=provider,
        origin=origin,
        paths={api: prefix + provider.path(api, target) for api in provider.apis},
        secret=_secret(target),
        secret_header=target.api_key_header,
        secret_prefix=target.api_key_prefix,
        allow_private=target.allow_private_network,
        answer_timeout_seconds=target.timeout_seconds,
    )


def _secret(target: Target) -> SecretRef | Secret | None:
    if target.api_key is not None:
        return Secret(target.api_key)
    return None if target.secret_key_ref is None else SecretRef.of(target.secret_key_ref)
