"""`/v1/files`: a tenant's files, in OpenAI's shapes.

Promises: what was uploaded comes back byte for byte, as bytes and never as a page that a browser would run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from partywall.gateway.endpoints import Act
from partywall.gateway.faces.call import Call, Face, Told, listed, told
from partywall.gateway.wire import JsonObject
from partywall.gateway.wire.shapes import malformed
from partywall.stores import File

__all__ = ["FACES"]

_MOST: Final = 10_000
"""That OpenAI lets one ask for at once, and what one gets without asking."""
_LONGEST_PURPOSE: Final = 64


async def _create(call: Call) -> Told:
    if call.upload is None:
        raise malformed("`file` is required")
    refused = [name for name in call.upload.fields if name != "purpose"]
    if any(name.startswith("expires_after") for name in refused):
        raise malformed("`expires_after` isn't known here: files stay until they are deleted")
    purpose = call.upload.fields.get("purpose", "")
    if not 1 <= len(purpose) <= _LONGEST_PURPOSE or not purpose.isprintable():
        raise malformed("`purpose` is required, and is a word")
    file = await call.stores.files.create(call.scope, name=call.upload.name, data=call.upload.data, purpose=purpose)
    return told(_shown(file), f"stored a file of {file.bytes} bytes")


async def _list(call: Call) -> Told:
    after, limit, backwards = call.page(most=_MOST, default=_MOST)
    purpose = call.query.get("purpose")
    page = await call.stores.files.list_own(call.scope, after=after, limit=limit, backwards=backwards, purpose=purpose)
    answer = listed([_shown(file) for file in page.items], has_more=page.has_more)
    return told(answer, f"listed {len(page.items)} files")


async def _retrieve(call: Call) -> Told:
    return told(_shown(await call.stores.files.get(call.scope, call.ids[0])), "read what a file is")


async def _delete(call: Call) -> Told:
    await call.stores.files.delete(call.scope, call.ids[0])
    return told({"id": call.ids[0], "object": "file", "deleted": True}, "deleted a file and its documents")


async def _content(call: Call) -> Told:
    data = await call.stores.files.content(call.scope, call.ids[0])
    kind = b"application/octet-stream\r\nx-content-type-options: nosniff"
    return Told(data, f"read a file of {len(data)} bytes", kind)


def _shown(file: File) -> JsonObject:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created),
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
        "expires_at": None,
    }


FACES: Final[Mapping[Act, Face]] = {
    Act.FILE_CREATE: _create,
    Act.FILE_LIST: _list,
    Act.FILE_RETRIEVE: _retrieve,
    Act.FILE_DELETE: _delete,
    Act.FILE_CONTENT: _content,
}
