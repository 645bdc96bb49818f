"""The faces of what tenants store: conversations and answers, in OpenAI's shapes.

Promises: each is one function from a verified call to an answer; what it does, it does through the tenant's own store
with the caller's scope. None decides who may call, writes a record or knows a path: the pipeline and the table do.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from partywall.gateway.endpoints import Act
from partywall.gateway.faces import conversations, responses
from partywall.gateway.faces.call import Call, Face, Told, read_call

__all__ = ["FACES", "Call", "Face", "Told", "read_call"]

FACES: Final[Mapping[Act, Face]] = MappingProxyType({**conversations.FACES, **responses.FACES})
"""What answers each act."""
