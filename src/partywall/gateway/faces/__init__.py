"""The faces of what tenants store: conversations, answers, files and vector stores, in OpenAI's shapes.

Promises: each is one function from a verified call to an answer; what it does, it does through the tenant's own store
with the caller's scope. None decides who may call, writes a record or knows a path: the pipeline and the table do.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from partywall.errors import ConfigError, NothingStored
from partywall.gateway.endpoints import Act
from partywall.gateway.faces import conversations, files, responses, vector_files, vector_stores
from partywall.gateway.faces.call import Call, Face, Told, read_call

__all__ = ["FACES", "Call", "Face", "Told", "answer_call", "read_call"]

FACES: Final[Mapping[Act, Face]] = MappingProxyType(
    {**conversations.FACES, **responses.FACES, **files.FACES, **vector_stores.FACES, **vector_files.FACES}
)
"""What answers each act."""


async def answer_call(act: Act, call: Call) -> Told:
    """What is answered to `call`.

    Raises:
        NothingStored: what it needs isn't installed.
        PartywallError: as the stores do.
    """
    try:
        return await FACES[act](call)
    except ConfigError as error:
        raise NothingStored(str(error), public_message="This gateway isn't set up for documents.") from None
