"""JSON over HTTP to an engine, through the client that asks upstreams.

Promises: a connection is one tenant's and serves no other (R10); one that was left between question and answer is
closed. No redirect is followed. An answer that isn't JSON, or too long, is none. No message holds what was answered.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import orjson

from partywall.errors import StoreUnavailable, UpstreamUnavailable
from partywall.stores.backends.vectors.address import EngineAddress
from partywall.tenancy import TenantId
from partywall.upstream.client import PoolKey, UpstreamPool

__all__ = ["JsonClient"]

_MOST_ANSWER_BYTES: Final = 64 * 2**20
_CONNECT_SECONDS: Final = 5.0
_IDLE_SECONDS: Final = 30.0
_MOST_IDLE: Final = 128
_MOST_IDLE_OF_TENANT: Final = 4


class JsonClient:
    """Made on the event loop that uses it, and closed with `aclose`."""

    def __init__(
        self, name: str, address: EngineAddress, headers: Mapping[str, str], *, timeout_seconds: float = 30.0
    ) -> None:
        """`headers` are sent with every request: the key, and which version of the interface is meant."""
        self.name: Final = name
        self._address = address
        self._headers = tuple((key.encode(), value.encode()) for key, value in headers.items())
        self._timeout_seconds = timeout_seconds
        self._pool = UpstreamPool(
            connect_timeout_seconds=_CONNECT_SECONDS,
            idle_timeout_seconds=_IDLE_SECONDS,
            max_idle_total=_MOST_IDLE,
            max_idle_per_key=_MOST_IDLE_OF_TENANT,
        )

    async def ask(
        self, tenant: TenantId, method: str, path: str, body: object = None, *, fine: Collection[int] = ()
    ) -> tuple[int, object]:
        """The status and what the answer holds, over a connection of this tenant's.

        Raises:
            StoreUnavailable: no answer, no JSON, or a status other than 200 and those that are `fine`.
        """
        data = b"" if body is None else orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        try:
            async with await self._pool.send(
                PoolKey(tenant, "vectors"),
                self._address.origin,
                method=method.encode(),
                path=(self._address.prefix + path).encode(),
                headers=((b"content-type", b"application/json"), (b"accept", b"application/json")),
                fixed_headers=self._headers,
                body=data,
                head_timeout_seconds=self._timeout_seconds,
                allow_private=True,
            ) as answer:
                if answer.status != 200 and answer.status not in fine:
                    raise StoreUnavailable(f"vectors: `{self.name}` answered {answer.status}")
                said = await answer.read(_MOST_ANSWER_BYTES)
                return answer.status, orjson.loads(said) if said else None
        except UpstreamUnavailable as error:
            raise StoreUnavailable(f"vectors: `{self.name}` can't be asked: {error}") from error
        except orjson.JSONDecodeError:
            raise StoreUnavailable(f"vectors: `{self.name}` answered something that is no JSON") from None

    def odd(self) -> StoreUnavailable:
        """To be raised when an answer has another shape than it should."""
        return StoreUnavailable(f"vectors: `{self.name}` answered something else than it should")

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
