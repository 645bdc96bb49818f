"""No cache between us and a client may keep what is a tenant's, and no header is computed from what tenants share.

Every endpoint with every method, with a credential and without one, and every way of being refused. LESSONS C26. `vary`
is not sent: it would tell caches how to share what none may keep.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from tests.support.documents import base_document, headers_of, write_document
from tests.support.inprocess import Reply, Session, session
from tests.support.upstream import Received, answers, chat_answer, chat_events, streams, upstream

from partywall.gateway.endpoints import ENDPOINTS, Guard

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
HEADERS = {
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "request-id",
    "retry-after",
    "www-authenticate",
    "x-content-type-options",
    "x-request-id",
    "x-should-retry",
}
"""All that an answer may carry. `etag`, `last-modified`, `age`, `via`, `x-cache` and their like aren't among them."""
VALIDATORS = [
    'etag: "of-alpha"',
    "last-modified: Thu, 01 Jan 2026 00:00:00 GMT",
    "age: 17",
    "via: 1.1 cache",
    "x-cache: HIT",
    "x-kv-cache: hit",
    "expires: Thu, 01 Jan 2099 00:00:00 GMT",
    "cache-control: public, max-age=3600",
    "vary: x-org-id",
    "set-cookie: a=b",
    "openai-processing-ms: 3",
]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    place = tmp_path_factory.mktemp("headers")
    with session(write_document(place / "d.yaml", base_document()), place / "data") as made:
        yield made


def check(reply: Reply, *, control: str = "private, no-store") -> None:
    names = [name.decode() for name, _ in reply.headers]
    assert set(names) <= HEADERS
    assert names.count("cache-control") == 1
    assert reply.header("cache-control") == control


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "path", sorted({e.path for e in ENDPOINTS if e.guard is not Guard.PUBLIC} | {"/", "/v1/nothing"})
)
def test_nothing_of_a_tenant_s_may_be_kept(opened: Session, path: str, method: str) -> None:
    for headers in ({}, headers_of("alpha"), headers_of("alpha") | {"x-org-id": "beta"}):
        for body in (b"", b"{", {"model": "alpha-model", "messages": [{"role": "user", "content": "hello"}]}):
            check(opened.run(opened.client.call(method, path, headers=headers, body=body)))


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("method", METHODS)
def test_public_answers_are_the_same_for_everybody(opened: Session, path: str, method: str) -> None:
    replies = [opened.run(opened.client.call(method, path, headers=h)) for h in ({}, headers_of("alpha"))]
    check(replies[0], control="no-store")
    assert replies[0] == replies[1]
    assert b"alpha" not in replies[0].body


def test_there_are_no_metrics_without_a_guard(opened: Session) -> None:
    assert not any(e.path == "/metrics" and e.guard is Guard.PUBLIC for e in ENDPOINTS)
    check(opened.run(opened.client.call("GET", "/metrics")))


def test_a_body_that_is_too_large_is_refused_likewise(tmp_path: Path) -> None:
    document = base_document()
    document["server"]["max_body_bytes"] = 1024
    with session(write_document(tmp_path / "d.yaml", document), tmp_path / "data") as small:
        reply = small.post("/v1/chat/completions", headers_of("alpha"), b" " * 2000)
        assert reply.status == 413
        check(reply)


@pytest.mark.parametrize("streamed", [False, True])
def test_no_header_of_an_upstream_s_cache_is_passed_on(tmp_path: Path, *, streamed: bool) -> None:
    request = Received("POST", "/", {}, orjson.dumps({"model": "m", "messages": []}))
    body = {"model": "alpha-model", "messages": [{"role": "user", "content": "x"}], "stream": streamed}
    with upstream() as vendor:
        vendor.behave = (
            streams(chat_events(request)) if streamed else answers(200, orjson.dumps(chat_answer(request)), *VALIDATORS)
        )
        document = base_document(base_url=vendor.url)
        with session(write_document(tmp_path / "d.yaml", document), tmp_path / "data") as real:
            reply = real.post("/v1/chat/completions", headers_of("alpha"), body)
            assert reply.status == 200
            check(reply)
            vendor.behave = answers(429, b'{"error":{"message":"slow"}}', *VALIDATORS, "retry-after: 3")
            check(real.post("/v1/chat/completions", headers_of("alpha"), body))
