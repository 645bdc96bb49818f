"""When things go wrong: a bug in a check refuses, nobody is led elsewhere, and nothing private is written down."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.documents import KEYS, TENANTS, UPSTREAM_SECRETS, base_document, headers_of, write_document
from tests.support.inprocess import Reply, Session, session
from tests.support.upstream import Upstream, answers, upstream

from partywall.gateway import pipeline

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
    server.behave = None
    document = write_document(tmp_path / "partywall.yaml", base_document(base_url=server.url))
    with session(document, tmp_path / "data") as running:
        yield running


def asked(alive: Session) -> Reply:
    return alive.post(PATH, headers_of("alpha"), BODY)


@pytest.mark.parametrize("step", ["inspect_body", "decide", "pairs"])
def test_a_step_that_breaks_refuses(
    alive: Session, server: Upstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    """A bug in a check is a refusal, never a way past it."""

    def broken(*_arguments: object, **_named: object) -> object:
        raise LookupError("a bug of ours")

    monkeypatch.setattr(pipeline, step, broken)
    with caplog.at_level(logging.CRITICAL):
        reply = asked(alive)
    assert (reply.status, reply.code) == (500, "internal_error")
    assert b"a bug of ours" not in reply.body
    assert server.received == []
    (record,) = alive.recorded("alpha")
    assert (record.verdict, record.outcome, record.reason) == ("block", "refused", "unexpected LookupError")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(alive: Session, server: Upstream, status: int) -> None:
    """Whoever answers for an upstream would choose the next one, and be handed the prompt."""
    server.behave = answers(status, b'{"choices":[]}', f"location: {server.url}/elsewhere")
    reply = asked(alive)
    assert (reply.status, reply.code) == (502, "upstream_unavailable")
    assert b"choices" not in reply.body
    assert len(server.received) == 1


def test_neither_credentials_nor_prompts_are_written_down(
    alive: Session, server: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """After all that can go wrong, the data directory and the log hold no key, no prompt and no answer."""
    with caplog.at_level(logging.DEBUG):
        assert asked(alive).status == 200
        alive.post(PATH, headers_of("alpha"), BODY | {"stream": True})
        alive.post(PATH, headers_of("alpha", x_org_id="beta"), BODY)
        alive.post(PATH, headers_of("alpha", x_api_key="sk-typed-by-mistake"), BODY)
        alive.post(PATH, {"authorization": "Bearer sk-typed-by-mistake"}, BODY)
        alive.post(PATH, headers_of("alpha"), BODY | {"messages": PROMPT, "tools": PROMPT})
        alive.post(PATH, headers_of("alpha"), orjson.dumps(BODY)[:-1])
        alive.post(PATH, headers_of("alpha"), BODY, f"note={PROMPT.replace(' ', '+')}&note=again")
        server.behave = answers(400, orjson.dumps({"error": {"message": f"I can't read `{PROMPT}`"}}))
        asked(alive)
        server.behave = answers(200, PROMPT.encode())
        asked(alive)
        alive.run(alive.client.platform.trail.flush())
    kept = b"".join(file.read_bytes() for file in alive.data_dir.rglob("*") if file.is_file())
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert len(alive.recorded("alpha")) >= 6  # the control: something was written
    for secret in (*(KEYS[t] for t in TENANTS), *UPSTREAM_SECRETS.values(), "sk-typed-by-mistake", PROMPT):
        assert secret.encode() not in kept
        assert secret not in logged
