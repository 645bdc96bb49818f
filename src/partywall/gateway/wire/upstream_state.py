"""Refusing what would reach into state that a vendor keeps under one account.

A stored response, conversation, file, vector store, container, skill or prompt template is found by its id within the
whole account. Where two tenants share an upstream credential, a foreign id is enough to continue, read or attach it
(LESSONS R1, C37). Until partywall keeps such objects itself, with their owner, every such reference is refused.

Promises: a reference is refused wherever the API takes one: at the top level, in messages and input items, in tools.
The refusal is the same whether or not the object exists, and whoever owns it, because nobody asks.

Doesn't promise: to follow URLs in messages, nor to read what is inside arguments and schemas; those go to the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from partywall.errors import BadRequest, NotFound
from partywall.gateway.wire.shapes import JsonObject, malformed, more_than_text, objects, squash
from partywall.upstream.api import Api

__all__ = ["refuse_upstream_state"]

_IDS: Final = frozenset(
    {
        "container",  # as a string; an object describes a fresh one
        "container_id",  # OpenAI: in an old code_interpreter_call it re-attaches that container
        "file_id",
        "file_ids",
        "skill_id",
        "tunnel_id",  # OpenAI: into somebody's private network
        "vector_store_id",
        "vector_store_ids",
    }
)
"""Members of a message, input item or tool that name a stored object."""

_OPAQUE: Final = frozenset(
    {
        "action",
        "annotations",
        "arguments",
        "citations",
        "configs",
        "format",
        "headers",
        "input",
        "input_examples",
        "input_schema",
        "metadata",
        "operation",
        "output_schema",
        "parameters",
    }
)
"""Members whose own members the client or the model named: a tool may well have an argument `file_id`."""

_MEDIA_KEYS: Final = frozenset({"content_hash"})
"""SGLang's key of an image in its cache, chosen by the client: with another tenant's, its image would be read (C10)."""

_LOOKED_AT: Final = _IDS | _MEDIA_KEYS

_TOP_LEVEL: Final[Mapping[Api, tuple[str, ...]]] = {
    Api.RESPONSES: ("previous_response_id", "conversation", "prompt"),
    Api.MESSAGES: ("thread",),
}
_ON_ANY_API: Final = ("data_sources",)  # Azure: indexes read with the resource's own identity
_TOP_LEVEL_SQUASHED: Final = {
    api: frozenset(squash(name) for name in (*_TOP_LEVEL.get(api, ()), *_ON_ANY_API)) for api in Api
}
_REGION: Final = squash("inference_geo")
_TURNS: Final = {api: "input" if api is Api.RESPONSES else "messages" for api in Api}


def refuse_upstream_state(api: Api, body: JsonObject, unknown: Iterable[str]) -> list[str]:
    """Refuse references to stored objects, and take cache keys out of media; return the names of those.

    `unknown` are the keys of `body` that the API doesn't document.

    Raises:
        NotFound: the body refers to a stored object. It names the field, never the value.
        BadRequest: the body asks for something that only stored state could serve, or for another region.
    """
    for name in _TOP_LEVEL.get(api, ()):
        if body.get(name) is not None:
            raise _no_such(name)
    for key in unknown:
        name = squash(key)
        if name in _TOP_LEVEL_SQUASHED[api]:
            raise _no_such(key)
        if name == _REGION:
            raise _no_region()
    turns = _TURNS[api]
    conversation = body.get(turns)
    if isinstance(conversation, list):
        conversation = more_than_text(conversation)
    check = _CHECKS.get(api)
    if check is not None:
        check(body, conversation)
    stripped: set[str] = set()
    if conversation:
        _walk(turns, conversation, stripped)
    if "tools" in body:
        _walk("tools", body["tools"], stripped)
    return sorted(stripped)


def _walk(where: str, root: object, stripped: set[str]) -> None:
    """Look at every object below `root` but those in opaque members. Iterative: depth is the client's choice."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            if not _LOOKED_AT.isdisjoint(node):
                _refuse_ids(where, node)
                stripped.update(f"{where}.{key}" for key in _MEDIA_KEYS if node.pop(key, None) is not None)
            for key, value in node.items():
                kind = type(value)
                if (kind is dict or kind is list) and key not in _OPAQUE:
                    waiting.append(value)


def _refuse_ids(where: str, node: JsonObject) -> None:
    for name in sorted(_IDS.intersection(node)):
        if node[name] and isinstance(node[name], str | list):
            raise _no_such(f"{where}.{name}")


def _check_chat(body: JsonObject, conversation: object) -> None:
    for message in objects(conversation) if conversation else ():
        if isinstance(message.get("audio"), dict):  # an earlier spoken answer, kept by the vendor
            raise _no_such("messages.audio")
    audio = body.get("audio")
    if isinstance(audio, dict) and isinstance(audio.get("voice"), dict):
        raise _no_such("audio.voice")


def _check_responses(body: JsonObject, conversation: object) -> None:
    if body.get("background"):
        raise malformed("`background` needs answers to be stored upstream, which is switched off")
    options = body.get("background_options")
    if isinstance(options, dict) and options.get("continuation_id") is not None:
        raise _no_such("background_options.continuation_id")
    for item in objects(conversation) if conversation else ():
        if _is_reference(item):
            raise _no_such("input.id")


def _is_reference(item: JsonObject) -> bool:
    """Whether an input item is only the id of one that the vendor keeps.

    `type` is optional in an `item_reference`. A picture without its bytes, and reasoning with at most a summary, are
    references in disguise: OpenAI looks those up by their id.
    """
    kind = item.get("type")
    if kind == "item_reference":
        return True
    if kind is None:
        return "role" not in item and "content" not in item
    if kind == "reasoning":
        return not item.get("encrypted_content") and not item.get("content")
    return kind == "image_generation_call" and not item.get("result")


def _check_messages(body: JsonObject, _conversation: object) -> None:
    if body.get("inference_geo") is not None:
        raise _no_region()
    container = body.get("container")
    if isinstance(container, dict):
        _check_anthropic_container(container)
    elif container is not None:
        raise _no_such("container")


def _check_anthropic_container(container: JsonObject) -> None:
    """A fresh container is fine, and so are Anthropic's own skills in it."""
    if container.get("id") is not None:
        raise _no_such("container.id")
    if any(skill.get("type") != "anthropic" for skill in objects(container.get("skills"))):
        raise _no_such("container.skills")


def _no_region() -> BadRequest:
    # Not dropped in silence: data would be processed where the client said it may not be.
    return malformed("`inference_geo` is decided by the target, not by the request")


def _no_such(field: str) -> NotFound:
    return NotFound(
        f"`{field[:64]}` refers to an object stored under the upstream account",
        public_message=f"`{field[:64]}` refers to a stored object, and there is none of that id.",
    )


_CHECKS: Final[Mapping[Api, Callable[[JsonObject, object], None]]] = {
    Api.CHAT: _check_chat,
    Api.RESPONSES: _check_responses,
    Api.MESSAGES: _check_messages,
}
