"""What a hostile tenant with a valid key tried, and found open once."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.documents import base_document, headers_of, write_document
from tests.support.inprocess import Reply, Session, session
from tests.support.upstream import Upstream, upstream, write_whole

from partywall.errors import UpstreamUnavailable
from partywall.gateway.forward import _is_our_shortage, _quotes
from partywall.gateway.http import _joined

CHAT = "/v1/chat/completions"


@pytest.fixture
def server() -> Iterator[Upstream]:
    with upstream() as running:
        yield running


@pytest.fixture
def alive(server: Upstream, tmp_path: Path) -> Iterator[Session]:
    document = base_document(base_url=server.url, provider="vllm")
    document["policies"]["chain"] = [{"rbac": {"when": {"model": "alpha-model"}}}, "audit-logger"]
    document["providers"]["targets"][0] |= {"api_key_header": "X-Auth", "api_key_prefix": "Token="}
    with session(write_document(tmp_path / "partywall.yaml", document), tmp_path / "data") as running:
        yield running


def chat(alive: Session, **fields: Any) -> Reply:
    body = {"model": "alpha-model", "messages": [{"role": "user", "content": "hello"}], **fields}
    return alive.run(alive.client.post(CHAT, headers_of("alpha"), body))


@pytest.mark.parametrize("name", ["alpha-model", "alpha-target", "vllm/alpha-model"])
def test_another_name_of_a_model_does_not_slip_past_a_condition(alive: Session, server: Upstream, name: str) -> None:
    tool = {"type": "function", "function": {"name": "delete_all", "parameters": {}}}
    assert chat(alive, model=name, tools=[tool]).status == 200
    assert "tools" not in server.received[0].json


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function", "function": {"name": f"t{n}"}} for n in range(1025)]},
        {"messages": [{}] * 10_001},
        {f"field{n}": 1 for n in range(300)},
        {"messages": [{"role": "user", "content": "x", "y": [[]] * 200_000}]},
    ],
    ids=["tools", "messages", "fields", "containers"],
)
def test_one_request_cannot_keep_everybody_waiting(alive: Session, server: Upstream, fields: dict[str, Any]) -> None:
    assert chat(alive, **fields).status == 400
    assert server.received == []


def test_brackets_in_a_long_text_are_fine(alive: Session) -> None:
    assert chat(alive, messages=[{"role": "user", "content": "{[" * 50_000}]).status == 200


def test_a_template_gets_no_tools_behind_the_roles_back(alive: Session, server: Upstream) -> None:
    arguments = {"tools": [{"name": "delete_all"}], "documents": [{}], "enable_thinking": False}
    assert chat(alive, chat_template_kwargs=arguments, chat_template="{{ x }}", tags=["eu-beta"]).status == 200
    sent = server.received[0].json
    assert sent["chat_template_kwargs"] == {"enable_thinking": False}
    assert not {"chat_template", "tags"} & set(sent)


def test_a_nested_hint_is_a_mismatch_and_no_error_of_ours(alive: Session) -> None:
    raw = orjson.dumps({"model": "alpha-model", "messages": []})[:-1] + b',"org_id":' + b"[" * 400 + b"]" * 400 + b"}"
    reply = alive.run(alive.client.post(CHAT, headers_of("alpha"), raw))
    assert (reply.status, reply.code) == (403, "tenant_mismatch")


def test_an_error_that_quotes_our_credential_is_not_passed_on(alive: Session, server: Upstream) -> None:
    async def quote(_request: object, writer: Any) -> bool:
        await write_whole(writer, 400, b'{"error":{"message":"bad key sk-upstream-alpha for you"}}')
        return True

    server.behave = quote
    reply = chat(alive)
    assert reply.status == 400
    assert b"sk-upstream" not in reply.body


def test_quoting_looks_behind_any_prefix() -> None:
    assert _quotes("key sk-1234567 is bad", b"Token=sk-1234567")
    assert not _quotes("your model is bad", b"Token=sk-1234567")


def test_our_own_shortage_is_no_fault_of_the_targets() -> None:
    ours, theirs = UpstreamUnavailable("x"), UpstreamUnavailable("x")
    ours.__cause__, theirs.__cause__ = OSError(errno.EMFILE, "files"), OSError(errno.ECONNREFUSED, "no")
    assert _is_our_shortage(ours)
    assert not _is_our_shortage(theirs)


def test_repeated_headers_are_joined_in_their_order() -> None:
    assert _joined([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]) == {b"a": b"1, 3", b"b": b"2"}
