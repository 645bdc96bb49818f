"""What each public API looks like on the wire, in one place. Pure functions over parsed JSON and bytes; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from partywall.gateway.wire.base import Wire
from partywall.gateway.wire.chat import ChatWire
from partywall.gateway.wire.completions import CompletionsWire
from partywall.gateway.wire.material import Passage
from partywall.gateway.wire.messages import MessagesWire
from partywall.gateway.wire.openai_family import OpenAIWire
from partywall.gateway.wire.responses import ResponsesWire
from partywall.gateway.wire.shapes import JsonObject, Usage
from partywall.gateway.wire.sse import SseEvent, SseSplitter
from partywall.gateway.wire.tool_watch import HOLD, RELEASE, Step, ToolWatch
from partywall.upstream.api import Api

__all__ = [
    "HOLD",
    "RELEASE",
    "WIRES",
    "Api",
    "JsonObject",
    "Passage",
    "SseEvent",
    "SseSplitter",
    "Step",
    "ToolWatch",
    "Usage",
    "Wire",
]

WIRES: Final[Mapping[Api, Wire]] = MappingProxyType(
    {
        Api.CHAT: ChatWire(),
        Api.COMPLETIONS: CompletionsWire(),
        Api.EMBEDDINGS: OpenAIWire(Api.EMBEDDINGS),
        Api.RESPONSES: ResponsesWire(),
        Api.MESSAGES: MessagesWire(),
        Api.MODELS: OpenAIWire(Api.MODELS),
        Api.CONVERSATIONS: OpenAIWire(Api.CONVERSATIONS),
        Api.FILES: OpenAIWire(Api.FILES),
        Api.VECTOR_STORES: OpenAIWire(Api.VECTOR_STORES),
    }
)
"""The wire of each API."""
