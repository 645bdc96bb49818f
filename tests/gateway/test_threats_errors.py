"""What comes back when things go wrong holds nothing of ours, of another tenant's, or of the upstream's account."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.documents import KEYS, TENANTS, UPSTREAM_SECRETS, base_document, headers_of, write_document
from tests.support.inprocess import Reply, Session, session
from tests.support.upstream import Received, Upstream, answers, chat_answer, upstream

PATH = "/v1/chat/completions"
PROMPT = "the prompt of alpha, for nobody else's eyes"
BODY: dict[str, Any] = {"model": "alpha-model", "messages": [{"role": "user", "content": PROMPT}]}


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with upstream() as running:
        yield running


@pytest.fixture
def alive(server: Upstream, tmp_path: Path) -> Iterator[Session]:
    server.received.clear()
    document = write_document(tmp_path / "partywall.yaml", base_document(base_url=server.url))
    with session(document, tmp_path / "data") as running:
        yield running


def asked(alive: Session) -> Reply:
    return alive.post(PATH, headers_of("alpha"), BODY)


@pytest.mark.parametrize("status", [401, 403, 407])
def test_an_upstream_that_quotes_our_key_is_not_repeated(alive: Session, server: Upstream, status: int) -> None:
    """LiteLLM #29936: the body of a 403 printed upstream tokens."""
    quoted = orjson.dumps({"error": {"message": f"Incorrect API key provided: {UPSTREAM_SECRETS['alpha']}"}})
    server.behave = answers(status, quoted)
    reply = asked(alive)
    assert (reply.status, reply.code) == (502, "upstream_unavailable")
    assert UPSTREAM_SECRETS["alpha"].encode() not in reply.body
    (record,) = alive.recorded("alpha")
    assert UPSTREAM_SECRETS["alpha"] not in repr(record)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_upstreams_own_failure_is_told_without_its_words(alive: Session, server: Upstream, status: int) -> None:
    server.behave = answers(status, b'{"error":{"message":"worker of tenant beta ran out of memory"}}')
    reply = asked(alive)
    assert reply.code == "upstream_unavailable"
    assert b"beta" not in reply.body


def test_nothing_of_an_upstreams_headers_is_passed_on(alive: Session, server: Upstream) -> None:
    """They speak of the account: its organisation, what is left of its quota, its sessions."""
    telling = ["openai-organization: org-of-the-platform", "x-ratelimit-remaining-requests: 17", "set-cookie: s=beta"]
    answer = orjson.dumps(chat_answer(Received("POST", PATH, {}, orjson.dumps(BODY))))
    server.behave = answers(200, answer, *telling)
    reply = asked(alive)
    assert reply.status == 200
    expected = {b"content-type", b"content-length", b"cache-control", b"x-request-id", b"request-id"}
    assert {name for name, _ in reply.headers} == expected


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(alive: Session, server: Upstream, status: int) -> None:
    """Whoever answers for an upstream would choose the next one, and be handed the prompt."""
    server.behave = answers(status, b"", f"location: {server.url}/elsewhere")
    assert asked(alive).status == 502
    assert len(server.received) == 1


def test_neither_credentials_nor_prompts_are_written_down(
    alive: Session, server: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """After all that can go wrong, the data directory and the log hold no key, no prompt and no answer."""
    with caplog.at_level(logging.DEBUG):
        server.behave = None
        assert asked(alive).status == 200
        alive.post(PATH, headers_of("alpha"), BODY | {"stream": True})
        alive.post(PATH, headers_of("alpha", x_org_id="beta"), BODY)
        alive.post(PATH, headers_of("alpha", x_api_key="sk-typed-by-mistake"), BODY)
        alive.post(PATH, {"authorization": "Bearer sk-typed-by-mistake"}, BODY)
        alive.post(PATH, headers_of("alpha"), BODY | {"messages": PROMPT, "tools": PROMPT})
        alive.post(PATH, headers_of("alpha"), orjson.dumps(BODY)[:-1])
        server.behave = answers(400, orjson.dumps({"error": {"message": f"I can't read `{PROMPT}`"}}))
        asked(alive)
        server.behave = answers(200, PROMPT.encode())
        asked(alive)
    alive.run(alive.client.platform.trail.flush())
    kept = b"".join(file.read_bytes() for file in alive.data_dir.rglob("*") if file.is_file())
    assert len(alive.recorded("alpha")) >= 6  # the control: something was written
    logged = "\n".join(record.getMessage() for record in caplog.records)
    for secret in (*(KEYS[t] for t in TENANTS), *UPSTREAM_SECRETS.values(), "sk-typed-by-mistake", PROMPT):
        assert secret.encode() not in kept
        assert secret not in logged
