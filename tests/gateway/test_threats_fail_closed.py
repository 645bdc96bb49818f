"""What can't be recorded, judged or paid for with its own credential doesn't leave; and only its tenant notices."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.documents import UPSTREAM_SECRETS, base_document, headers_of, write_document
from tests.support.inprocess import Session, session
from tests.support.upstream import Upstream, upstream

from partywall.gateway import pipeline

PATH = "/v1/chat/completions"


def chat(tenant: str) -> dict[str, Any]:
    return {"model": f"{tenant}-model", "messages": [{"role": "user", "content": f"prompt of {tenant}"}]}


@contextmanager
def running(tmp_path: Path, **alphas_target: Any) -> Iterator[tuple[Session, Upstream]]:
    """A gateway before a real upstream; `alphas_target` replaces settings of alpha's target, None taking one out."""
    with upstream() as server:
        document = base_document(base_url=server.url)
        target = document["providers"]["targets"][0] | alphas_target
        document["providers"]["targets"][0] = {key: value for key, value in target.items() if value is not None}
        document["providers"]["fallback"] = {}
        with session(write_document(tmp_path / "partywall.yaml", document), tmp_path / "data") as alive:
            yield alive, server


def assert_beta_is_served(alive: Session, server: Upstream) -> None:
    assert alive.post(PATH, headers_of("beta"), chat("beta")).status == 200
    assert server.received[-1].credential == UPSTREAM_SECRETS["beta"]


def test_what_cannot_be_recorded_is_not_sent(tmp_path: Path) -> None:
    """No trail, no data; and a tenant's broken file is that tenant's trouble alone."""
    (tmp_path / "data" / "tenants" / "alpha" / "decisions.db").mkdir(parents=True)
    with running(tmp_path) as (alive, server):
        reply = alive.post(PATH, headers_of("alpha"), chat("alpha"))
        assert (reply.status, reply.code) == (503, "trail_unavailable")
        assert server.received == []
        assert alive.get("/v1/models", headers_of("alpha")).status == 503
        assert alive.post(PATH, headers_of("alpha", x_org_id="beta"), chat("alpha")).status == 503
        assert_beta_is_served(alive, server)


def test_without_its_credential_nothing_goes_out_under_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALPHAS_UPSTREAM_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-process")
    with running(tmp_path, api_key=None, secret_key_ref={"env": "ALPHAS_UPSTREAM_KEY"}) as (alive, server):
        reply = alive.post(PATH, headers_of("alpha"), chat("alpha"))
        assert (reply.status, reply.code) == (502, "upstream_unavailable")
        assert b"ALPHAS_UPSTREAM_KEY" not in reply.body
        assert server.received == []
        assert_beta_is_served(alive, server)
        monkeypatch.setenv("ALPHAS_UPSTREAM_KEY", "sk-new")  # resolved for each call, so no restart
        assert alive.post(PATH, headers_of("alpha"), chat("alpha")).status == 200
        assert server.received[-1].credential == "sk-new"


@pytest.mark.parametrize("step", ["inspect_body", "decide", "pairs"])
def test_a_step_that_breaks_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    """A bug in a check is a refusal, never a way past it."""

    def broken(*_arguments: object) -> object:
        raise LookupError("a bug of ours")

    with running(tmp_path) as (alive, server):
        monkeypatch.setattr(pipeline, step, broken)
        with caplog.at_level(logging.CRITICAL):
            reply = alive.post(PATH, headers_of("alpha"), chat("alpha"))
        assert (reply.status, reply.code) == (500, "internal_error")
        assert b"a bug of ours" not in reply.body
        assert server.received == []
        (record,) = alive.recorded("alpha")
        assert (record.verdict, record.outcome, record.reason) == ("block", "refused", "unexpected LookupError")


def test_a_fall_back_stays_among_the_tenants_own_targets(tmp_path: Path) -> None:
    """Alpha's target is out of reach; beta's would answer, and isn't asked."""
    with running(tmp_path, base_url="http://127.0.0.1:1/v1") as (alive, server):
        assert alive.post(PATH, headers_of("alpha"), chat("alpha")).status == 502
        assert server.received == []
        assert_beta_is_served(alive, server)
