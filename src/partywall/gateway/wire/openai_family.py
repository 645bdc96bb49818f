"""What Chat, Completions, Embeddings, Models and Responses share: OpenAI's errors and its counting of tokens."""

from __future__ import annotations

from typing import Final

import orjson

from partywall.errors import PartywallError
from partywall.gateway.wire import refusals
from partywall.gateway.wire.base import Wire
from partywall.gateway.wire.refusals import Header
from partywall.gateway.wire.shapes import JsonObject, Usage, token_count

__all__ = ["OpenAIWire"]

_DONE: Final = b"data: [DONE]\n\n"


class OpenAIWire(Wire):
    """An API of OpenAI's. By itself: Embeddings and Models, which have no tools."""

    __slots__ = ()

    def usage(self, message: JsonObject) -> Usage | None:
        usage = message.get("usage")
        if not isinstance(usage, dict):
            return None
        return Usage(token_count(usage.get("prompt_tokens")), token_count(usage.get("completion_tokens")))

    def error_body(self, error: PartywallError, request_id: str) -> tuple[list[Header], bytes]:
        return refusals.headers(error, request_id), orjson.dumps(refusals.openai_error(error))

    def error_events(self, error: PartywallError, request_id: str) -> bytes:  # noqa: ARG002  # has no place for the id
        return refusals.sse(refusals.openai_error(error)) + _DONE
