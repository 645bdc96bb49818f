"""The document's targets, ready to be called.

Promises: addresses come from the document alone and are read once, when it is loaded; credentials are resolved anew for
each call, from the target's own reference, and fall back to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from partywall.config.providers import SecretKeyRef, Target
from partywall.errors import ConfigError
from partywall.gateway.providers import (
    DEFAULT_BASE_URLS,
    Provider,
    SecretKind,
    SecretRef,
    SecretResolver,
    resolve,
)
from partywall.gateway.upstream import Origin, parse_base_url
from partywall.gateway.wire import Api
from partywall.tenancy import Secret

__all__ = ["Upstream", "compile_targets"]


@dataclass(frozen=True, slots=True)
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

    def credential_headers(self, secrets: SecretResolver) -> list[tuple[bytes, bytes]]:
        """The headers that carry this target's own credential, resolved now.

        Raises:
            CredentialUnavailable: the reference leads nowhere.
        """
        secret = secrets.resolve(self.secret) if isinstance(self.secret, SecretRef) else self.secret
        return self.provider.credential_headers(secret, header=self.secret_header, prefix=self.secret_prefix)


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
        secret=Secret(target.api_key) if target.api_key is not None else _reference(target.secret_key_ref),
        secret_header=target.api_key_header,
        secret_prefix=target.api_key_prefix,
        allow_private=target.allow_private_network,
        answer_timeout_seconds=target.timeout_seconds,
    )


def _reference(ref: SecretKeyRef | None) -> SecretRef | None:
    if ref is None:
        return None
    kind, locator = next((SecretKind(name), value) for name, value in ref if value is not None)
    return SecretRef(kind, locator)
