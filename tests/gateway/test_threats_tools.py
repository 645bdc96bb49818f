"""A model that calls what the role may not use: no byte of that call reaches the client, whole or streamed.

The parrot stands behind the gateway and calls whatever it is told to call, offered or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.documents import base_document, headers_of, write_document
from tests.support.inprocess import Reply, Session, session

TOOLS = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("search", "get_secret")]
MESSAGES_TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ("search", "get_secret")]
RESPONSES_TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": name, "parameters": {}} for name in ("search", "get_secret")
]
MARK = "mark "
"""Repeated in the prompt, so that wherever a stream is cut some are whole."""


@pytest.fixture(scope="module")
def alive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("tools")
    with session(write_document(folder / "partywall.yaml", base_document()), folder / "data") as running:
        yield running


def bodies(say: str) -> dict[str, dict[str, Any]]:
    """One request of each API, whose prompt tells the parrot what to call."""
    turns = [{"role": "user", "content": f"{MARK * 20}{say}"}]
    return {
        "/v1/chat/completions": {"messages": turns, "tools": TOOLS},
        "/v1/responses": {"input": turns, "tools": RESPONSES_TOOLS},
        "/v1/messages": {"messages": turns, "tools": MESSAGES_TOOLS, "max_tokens": 10},
    }


def asked(alive: Session, path: str, say: str, *, stream: bool) -> Reply:
    body = {"model": "alpha-model", "stream": stream, **bodies(say)[path]}
    return alive.post(path, headers_of("alpha", role="analyst"), body)


EACH_API = pytest.mark.parametrize("path", list(bodies("")))


@EACH_API
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("say", ["call:get_secret", "call:search call:get_secret", "call:never_offered"])
def test_a_forbidden_call_is_stopped(alive: Session, path: str, say: str, stream: bool) -> None:
    reply = asked(alive, path, say, stream=stream)
    assert b"tool_denied" in reply.body
    forbidden = say.rpartition("call:")[2]
    assert f'"name":"{forbidden}"'.encode() not in reply.body
    if not stream or "search" not in say:  # a permitted call before the forbidden one has been streamed
        assert MARK.encode() not in reply.body
    record = alive.recorded("alpha")[-1]
    assert (record.verdict, record.code) == ("block", "tool_denied")
    assert record.policies[-1].stage == "pre-response"


@EACH_API
@pytest.mark.parametrize("stream", [False, True])
def test_a_permitted_call_arrives(alive: Session, path: str, stream: bool) -> None:
    """The control: what is stopped above is stopped for the tool's name alone."""
    reply = asked(alive, path, "call:search", stream=stream)
    assert reply.status == 200
    assert b'"name":"search"' in reply.body
    assert MARK.encode() in reply.body
    assert b"tool_denied" not in reply.body
    assert reply.header("cache-control") == "private, no-store"


@EACH_API
def test_a_forbidden_tool_is_not_even_offered(alive: Session, path: str) -> None:
    reply = asked(alive, path, "hello", stream=False)
    assert reply.status == 200
    assert b"search" in reply.body  # the parrot repeats what it was offered
    assert b"get_secret" not in reply.body
