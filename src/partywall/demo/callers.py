"""The programs that call: the official clients, each with its organisation's key and identity headers.

Promises: no retries, so that one attempt is one request; the id of each decision is noted as it comes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Final, Protocol, Self

from anthropic import Anthropic
from anthropic import DefaultHttpxClient as AnthropicHttp
from openai import DefaultHttpxClient as OpenAIHttp
from openai import OpenAI

__all__ = ["KEYS", "MODELS", "Callers"]

KEYS: Final = {
    "alpha": "pw-demo-alpha-not-a-secret",
    "beta": "pw-demo-beta-not-a-secret",
    "operator": "pw-demo-operator-not-a-secret",
}
"""Published, for the document beside this file alone."""
MODELS: Final = {"alpha": "alpha-assistant", "beta": "beta-assistant"}

_TIMEOUT_SECONDS: Final = 10.0
_USERS: Final = {"alpha": "ann@alder.example", "beta": "bert@birch.example"}


class _Response(Protocol):
    @property
    def headers(self) -> Mapping[str, str]: ...


class Callers:
    """Clients of one gateway, by tenant, and what one attempt leaves for a later one."""

    def __init__(self, url: str) -> None:
        self.decision_ids: list[str] = []
        """Of every answer so far, in order."""
        self.notes: dict[str, str] = {}
        """What was seen, by a name that the attempts agree on."""
        hooks = {"response": [self._note]}
        self._openai_http = OpenAIHttp(event_hooks=hooks)
        self._anthropic_http = AnthropicHttp(event_hooks=hooks)
        self.openai = {
            tenant: OpenAI(
                base_url=f"{url}/v1",
                api_key=KEYS[tenant],
                default_headers=_identity(tenant),
                http_client=self._openai_http,
                timeout=_TIMEOUT_SECONDS,
                max_retries=0,
            )
            for tenant in MODELS
        }
        self.anthropic = {
            tenant: Anthropic(
                base_url=url,
                api_key=KEYS[tenant],
                default_headers=_identity(tenant),
                http_client=self._anthropic_http,
                timeout=_TIMEOUT_SECONDS,
                max_retries=0,
            )
            for tenant in MODELS
        }

    def _note(self, response: _Response) -> None:
        self.decision_ids.append(response.headers["x-request-id"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._openai_http.close()
        self._anthropic_http.close()


def _identity(tenant: str) -> dict[str, str]:
    return {"X-Org-ID": tenant, "X-User-ID": _USERS[tenant], "X-User-Role": "analyst"}
