"""Anthropic's Messages API, and servers that speak it.

Promises: `metadata.user_id` is the tenant's pseudonym, whatever the client put there; workspace and user-profile
headers stay here.

Doesn't promise: a prefix cache of the tenant's own. Anthropic divides caches by workspace, and a credential belongs to
a workspace: give each tenant its own.

Sources, read in October 2026: the official client's types (`metadata.user_id`, `diagnostics`, `inference_geo`, the
workspace header); https://platform.claude.com/docs/en/build-with-claude/prompt-caching, and for the division by
workspace, in force since February 2026, https://herdingbots.ai/primers/prompt-caching-workspace-isolation.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from partywall.tenancy import Secret
from partywall.upstream.api import Api
from partywall.upstream.providers.base import Body, Header, Provider, Salts, TargetLike, key_header, suffix

__all__ = ["ANTHROPIC", "Anthropic"]

_VERSION: Final = (b"anthropic-version", b"2023-06-01")
"""Ours, never the client's: an answer's shape follows it, and the wire looks for tool calls in the shape it knows."""


class Anthropic(Provider):
    """A server that takes Messages requests."""

    __slots__ = ()

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            _user_id,
            apis=frozenset({Api.MESSAGES, Api.MODELS}),
            forward_headers=frozenset({b"accept", b"anthropic-beta"}),
            forward_query=frozenset({"beta"}),
        )

    def path(self, api: Api, target: TargetLike) -> bytes:
        tail = suffix(api, target.base_url, under_v1=False)
        return tail if _names_version(target.base_url) else b"/v1" + tail

    def credential_headers(
        self, secret: Secret | None, *, header: str | None = None, prefix: str | None = None
    ) -> list[Header]:
        if secret is None:
            return [_VERSION]
        return [key_header(secret, header or "x-api-key", prefix or ""), _VERSION]


def _user_id(api: Api, body: Body, salts: Salts) -> None:
    if api is Api.MESSAGES:
        body["metadata"] = {"user_id": salts.user}


@lru_cache(maxsize=1024)
def _names_version(base_url: str | None) -> bool:
    """Whether `/v1` is in `base_url`. The vendors' own documents leave it out (`ANTHROPIC_BASE_URL`); ours may not."""
    return base_url is None or urlsplit(base_url).path.rstrip("/").endswith("/v1")


ANTHROPIC: Final = Anthropic("anthropic")
