"""What a provider is: where a request goes, with which headers, and whose side of the vendor's caches it stays on.

Promises: `Provider.salt` sets the fields by which this provider tells tenants apart, from the tenant's salts alone, and
overwrites what stood there. `forward_headers` and `forward_query` are allow-lists: what they don't name stays here.

Doesn't promise: that a salt is a wall everywhere. `partitioned` names the APIs whose prefix cache it really divides;
for the others the wall is a credential of the tenant's own, or an upstream of its own (LESSONS C7). Nor does it take
out what clients may not choose at other vendors: `Wire.strip_request` did that, once for all targets.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol
from urllib.parse import urlsplit

from partywall.tenancy import Secret
from partywall.upstream.api import Api

__all__ = [
    "Body",
    "Header",
    "Partition",
    "Provider",
    "Salts",
    "TargetLike",
    "key_header",
    "suffix",
]

Body = dict[str, object]
"""A request body as orjson parsed it."""

Header = tuple[bytes, bytes]
"""A raw header, name in lower case."""

_HEX64: Final = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch

_SUFFIX: Final = {
    Api.CHAT: b"/chat/completions",
    Api.COMPLETIONS: b"/completions",
    Api.EMBEDDINGS: b"/embeddings",
    Api.RESPONSES: b"/responses",
    Api.MESSAGES: b"/messages",
    Api.MODELS: b"/models",
}


@dataclass(frozen=True, slots=True)
class Salts:
    """A tenant's two pseudonyms at an upstream, made elsewhere by HMAC with one label per purpose.

    Each is 64 lower-case hex digits and nothing else: a long or odd salt has crashed an engine (CVE-2026-105756), and
    OpenAI takes at most 64 characters.
    """

    cache: str
    user: str

    def __post_init__(self) -> None:
        if _HEX64(self.cache) is None or _HEX64(self.user) is None:
            raise ValueError("a salt is 64 lower-case hex digits")


Partition = Callable[[Api, Body, Salts], None]
"""Sets the fields that a provider takes on an API, and no field that it would answer with a 400.

INVARIANT: a field that is set is set always, whatever the client put there.
"""


class TargetLike(Protocol):
    """The part of `providers.targets[]` that a path depends on."""

    @property
    def upstream_model(self) -> str | None: ...
    @property
    def base_url(self) -> str | None: ...
    @property
    def api_version(self) -> str | None: ...


class Provider(ABC):
    """One vendor's or engine's way of being asked. Stateless; one instance serves all tenants."""

    __slots__ = ("_partition", "apis", "forward_headers", "forward_query", "name", "partitioned")

    name: str
    apis: frozenset[Api]
    """What it serves in its own dialect. An API that is known to drop the salt is left out when another keeps it."""
    partitioned: frozenset[Api]
    """The APIs whose shared prefix cache `salt` divides between tenants, in every version that we know."""
    forward_headers: frozenset[bytes]
    """Client headers that may be sent on, lower case. Never identity, credential, organisation, project, cookies,
    tracing or proxy headers; nor request ids and idempotency keys, which are global to an account (C20)."""
    forward_query: frozenset[str]
    """Query parameters that may be sent on."""

    def __init__(
        self,
        name: str,
        partition: Partition,
        *,
        apis: frozenset[Api],
        partitioned: frozenset[Api] = frozenset(),
        forward_headers: frozenset[bytes] = frozenset({b"accept"}),
        forward_query: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self._partition = partition
        self.apis = apis
        self.partitioned = partitioned
        self.forward_headers = forward_headers
        self.forward_query = forward_query

    @abstractmethod
    def path(self, api: Api, target: TargetLike) -> bytes:
        """What is appended to the path of the target's `base_url`, query included. The same for every request."""

    @abstractmethod
    def credential_headers(
        self, secret: Secret | None, *, header: str | None = None, prefix: str | None = None
    ) -> list[Header]:
        """The headers that authenticate us, and those without which the vendor won't answer.

        `header` and `prefix` are the document's `api_key_header` and `api_key_prefix`.
        """

    def salt(self, api: Api, body: Body, salts: Salts) -> None:
        """Put `body` on the tenant's own side of what the vendor shares among its callers.

        Changes the top level only; what is nested is replaced, never altered, so a shallow copy is enough to try
        another target with.
        """
        # OpenAI's older name for both salts; several vendors route their caches by it. Who takes it gets the tenant's.
        body.pop("user", None)
        self._partition(api, body, salts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"


def suffix(api: Api, base_url: str | None, *, under_v1: bool) -> bytes:
    """The path of `api` below `base_url`, with the `/v1` that `base_url` lacks when it is a bare host.

    Engines document both `http://host:8000` and `http://host:8000/v1`; `under_v1` says that this one has one place.
    """
    return (b"/v1" if under_v1 and _is_bare(base_url) else b"") + _SUFFIX[api]


@lru_cache(maxsize=1024)
def _is_bare(base_url: str | None) -> bool:
    return base_url is not None and urlsplit(base_url).path in {"", "/"}


def key_header(secret: Secret, name: str, prefix: str) -> Header:
    """One header with the credential in it.

    INVARIANT: secrets are printable ASCII (`SecretResolver`), so no secret can end the header and start another.
    """
    return name.lower().encode("ascii"), f"{prefix}{secret.reveal()}".encode("ascii")
