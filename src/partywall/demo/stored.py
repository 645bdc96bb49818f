"""The attempts on what an organisation stores: its documents, conversations and responses.

Promises: what an answer is held against are the lines of the organisation's own documents, so that a row can't succeed
because nothing was found.
"""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from openai.types.responses import Response, ResponseOutputText

from partywall.demo.callers import MODELS, Callers

__all__ = [
    "NOBODYS",
    "asked",
    "asked_for",
    "conversation_continued",
    "conversation_kept",
    "file_read",
    "response_continued",
    "store_searched",
    "uploaded",
]

NOBODYS: Final = "nobody"
"""Has an id of each kind that nobody ever made."""

_WORDS: Final = "the spare key lies under the third stone"
_TEXTS: Final = (".md", ".html")
_TELLING: Final = 30
"""A line of a document that is as long as this is found in no other by chance."""


def uploaded(tenant: str, callers: Callers) -> str:
    """Every document of the organisation, put into a vector store of its own."""
    client = callers.openai[tenant]
    store = client.vector_stores.create(name="handbooks")
    statuses: list[str] = []
    for document in _documents(tenant):
        file = client.files.create(file=(document.name, document.read_bytes()), purpose="assistants")
        statuses.append(client.vector_stores.files.create(store.id, file_id=file.id).status)
        callers.notes[f"file of {tenant}"] = file.id
    callers.notes[f"store of {tenant}"] = store.id
    return f"{statuses.count('completed')} of {len(statuses)} indexed"


def asked(question: str, tenant: str, callers: Callers, *, role: str = "analyst") -> str:
    """A question about the organisation's documents; the document that the answer cites first."""
    answer = _answer(question, tenant, callers, role)
    cited = _cited(answer)
    if not _holds_lines_of(tenant, answer.output_text):
        return "found nothing"
    return f"cites {cited[0]}" if cited else "cites nothing"


def asked_for(owner: str, question: str, tenant: str, callers: Callers) -> str:
    """A question about the documents of `owner`, asked of one's own; whether anything of theirs is in the answer."""
    answer = _answer(question, tenant, callers, "analyst")
    if not _cited(answer):
        return "searched nothing"
    return f"{owner}'s text" if _holds_lines_of(owner, answer.output_text) else f"nothing of {owner}'s"


def _answer(question: str, tenant: str, callers: Callers, role: str) -> Response:
    return callers.openai[tenant].responses.create(
        model=MODELS[tenant],
        input=question,
        tools=[{"type": "file_search", "vector_store_ids": [callers.notes[f"store of {tenant}"]]}],
        extra_headers={"X-User-Role": role},
    )


def store_searched(owner: str, tenant: str, callers: Callers) -> str:
    """A search of the vector store of `owner`."""
    store = _id("store", "vs", owner, callers)
    found = callers.openai[tenant].vector_stores.search(store, query="the code for exceptions")
    return f"found {len(found.data)}"


def file_read(owner: str, tenant: str, callers: Callers) -> str:
    """The content of a file of `owner`."""
    content = callers.openai[tenant].files.content(_id("file", "file", owner, callers))
    return f"read {len(content.read())} bytes"


def conversation_kept(tenant: str, callers: Callers) -> str:
    """Two turns of a conversation; whether the second knows of the first."""
    client = callers.openai[tenant]
    conversation = client.conversations.create()
    client.responses.create(model=MODELS[tenant], input=f"{_WORDS}, says {tenant}", conversation=conversation.id)
    answer = client.responses.create(model=MODELS[tenant], input="Where is the key?", conversation=conversation.id)
    callers.notes[f"conversation of {tenant}"] = conversation.id
    callers.notes[f"response of {tenant}"] = answer.id
    return "remembered" if f"{_WORDS}, says {tenant}" in answer.output_text else "forgotten"


def conversation_continued(owner: str, tenant: str, callers: Callers) -> str:
    """Another turn of a conversation of `owner`."""
    answer = callers.openai[tenant].responses.create(
        model=MODELS[tenant],
        input="Where is the key?",
        conversation=_id("conversation", "conv", owner, callers),
    )
    return _remembered(owner, answer)


def response_continued(owner: str, tenant: str, callers: Callers) -> str:
    """A response that goes on from one of `owner`."""
    answer = callers.openai[tenant].responses.create(
        model=MODELS[tenant],
        input="Where is the key?",
        previous_response_id=_id("response", "resp", owner, callers),
    )
    return _remembered(owner, answer)


def _id(kind: str, prefix: str, owner: str, callers: Callers) -> str:
    return f"{prefix}_{'0' * 32}" if owner == NOBODYS else callers.notes[f"{kind} of {owner}"]


def _remembered(owner: str, answer: Response) -> str:
    return f"{owner}'s words" if f"{_WORDS}, says {owner}" in answer.output_text else "remembered nothing"


def _cited(answer: Response) -> list[str]:
    """The names of the cited documents, in order."""
    texts = [
        content
        for item in answer.output
        if item.type == "message"
        for content in item.content
        if isinstance(content, ResponseOutputText)
    ]
    return [note.filename for text in texts for note in text.annotations if note.type == "file_citation"]


def _documents(tenant: str) -> list[Traversable]:
    return sorted((files("partywall.demo") / "documents" / tenant).iterdir(), key=lambda document: document.name)


def _holds_lines_of(tenant: str, text: str) -> bool:
    lines = (
        line.strip()
        for document in _documents(tenant)
        if document.name.endswith(_TEXTS)
        for line in document.read_text(encoding="utf-8").splitlines()
    )
    return any(line in text for line in lines if len(line) >= _TELLING)
