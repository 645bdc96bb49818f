"""Whatever bytes arrive, the answer is a clear 4xx, the process lives, and the next client is served.

A gateway of its own process, real sockets, an upstream that records. After every test a good request of beta's must be
answered, and the resident memory must not have grown beyond reason.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.documents import base_document, headers_of, write_document
from tests.support.inprocess import Reply
from tests.support.process import Served, serve
from tests.support.raw import RawConnection, chat_body, head, request
from tests.support.records import recorded, until
from tests.support.upstream import Upstream, upstream

from partywall.gateway.protocol import MAX_PIPELINED

MIB = 2**20
GROWTH_MIB = 120
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with upstream() as running:
        yield running


@pytest.fixture(scope="module")
def served(server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("hostile")
    document = base_document(base_url=server.url)
    document["server"]["body_timeout_seconds"] = 1
    document["policy"]["rbac"]["roles"] = {}  # any body at all goes on to the upstream
    with serve(write_document(folder / "partywall.yaml", document), folder / "data") as running:
        yield running


def resident_mib(served: Served) -> float:
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


@pytest.fixture(autouse=True)
def _lives_on(served: Served, server: Upstream) -> Iterator[None]:
    """The promise of this file, checked after each of its tests."""
    errors_before = served.log.read_text().count("Traceback")
    before = resident_mib(served)
    server.received.clear()
    yield
    with RawConnection(served.url) as connection:
        connection.send(request("beta", chat_body("beta", "still here")))
        reply = connection.answer()
    assert (reply.status, b"still here" in reply.body) == (200, True)
    assert served.process.poll() is None
    assert served.log.read_text().count("Traceback") == errors_before, "something unforeseen reached the edge"
    assert resident_mib(served) < before + GROWTH_MIB


def send(served: Served, data: bytes, *, timeout_seconds: float = 10.0) -> Reply:
    """The first answer to `data` on a connection of its own."""
    with RawConnection(served.url, timeout_seconds=timeout_seconds) as connection:
        connection.send(data)
        return connection.answer()


def arrived(server: Upstream) -> list[Any]:
    return [received.json for received in server.received]


# -- Bodies ----------------------------------------------------------------------------------------------------------


GOOD = chat_body("alpha")
BAD_BODIES = {
    "nothing": b"",
    "no JSON": b"hello",
    "truncated": GOOD[:-1],
    "truncated in a string": GOOD[:20],
    "two documents": GOOD + GOOD,
    "trailing comma": GOOD[:-1] + b",}",
    "a comment": b"/* */" + GOOD,
    "single quotes": GOOD.replace(b'"', b"'"),
    "NaN": GOOD[:-1] + b',"temperature":NaN}',
    "Infinity": GOOD[:-1] + b',"temperature":Infinity}',
    "-Infinity": GOOD[:-1] + b',"temperature":-Infinity}',
    "a number without bound": GOOD[:-1] + b',"temperature":1e999}',
    "an integer of 5,000 digits": GOOD[:-1] + b',"seed":' + b"9" * 5000 + b"}",
    "Latin-1": chat_body("alpha", "caf").replace(b"caf", b"caf\xe9"),
    "overlong UTF-8": chat_body("alpha", "X").replace(b"X", b"\xc0\xaf"),
    "a surrogate in UTF-8": chat_body("alpha", "X").replace(b"X", b"\xed\xa0\x80"),
    "a lone surrogate, escaped": chat_body("alpha", "X").replace(b"X", b"\\ud800"),
    "surrogates the wrong way round": chat_body("alpha", "X").replace(b"X", b"\\udc00\\ud800"),
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "a control character in a string": chat_body("alpha", "X").replace(b"X", b"\x00"),
    "an array": b"[" + GOOD + b"]",
    "a string": b'"hello"',
    "null": b"null",
    "no model": b'{"messages":[]}',
    "a model that is a list": b'{"model":["alpha-model"],"messages":[]}',
    "a model that is null": b'{"model":null,"messages":[]}',
    "a model with a line break": b'{"model":"alpha-model\\n","messages":[]}',
    "a stream that is a string": chat_body("alpha", stream="true"),
    "tools that are an object": chat_body("alpha", tools={}),
    "a field in another case": chat_body("alpha", Model="beta-model"),
    "10,000 levels": chat_body("alpha", "X").replace(b'"X"', b"[" * 10_000 + b"]" * 10_000),
    "100,000 levels": b"[" * 100_000,
    "2,000 levels": chat_body("alpha", "X").replace(b'"X"', b"[" * 2_000 + b"]" * 2_000),
    "2,000 objects": chat_body("alpha", "X").replace(b'"X"', b'{"a":' * 2_000 + b"1" + b"}" * 2_000),
    "300 levels": chat_body("alpha", "X").replace(b'"X"', b"[" * 300 + b"]" * 300),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body(served: Served, server: Upstream, name: str) -> None:
    since = time.time()
    reply = send(served, request("alpha", BAD_BODIES[name]))
    assert (reply.status, reply.code) == (400, "invalid_request"), reply.body
    assert server.received == []
    (record,) = until(lambda: [r for r in recorded(served.data_dir, "alpha", since=since) if r.outcome])
    assert (record.code, record.status, record.outcome) == ("invalid_request", 400, "refused")


@pytest.mark.parametrize("field", ["responses.input", "completions.prompt", "embeddings.input", "responses.tools"])
def test_depth_at_every_endpoint(served: Served, server: Upstream, field: str) -> None:
    api, _, name = field.partition(".")
    for levels in (300, 2_000, 100_000):
        body = b'{"model":"alpha-model","%s":%s}' % (name.encode(), b"[" * levels + b"]" * levels)
        reply = send(served, request("alpha", body, path=f"/v1/{api}"))
        assert (reply.status, reply.code) == (400, "invalid_request")
    assert server.received == []


@pytest.mark.parametrize(("first", "last"), [("alpha", "beta"), ("beta", "alpha")])
def test_a_repeated_key_means_the_same_to_us_and_the_upstream(
    served: Served, server: Upstream, first: str, last: str
) -> None:
    """Two readers of one text, each taking another of two keys: the classic way past a check."""
    body = b'{"model":"%s-model","messages":[{"role":"user","content":"x"}],"model":"%s-model"}'
    reply = send(served, request("alpha", body % (first.encode(), last.encode())))
    if last == "beta":
        assert (reply.status, reply.code, server.received) == (403, "model_denied", [])
        return
    assert reply.status == 200
    (sent,) = server.received
    assert sent.body.count(b'"model"') == 1
    assert sent.json["model"] == "alpha-model"


def test_a_repeated_tool_list_is_judged_as_it_is_sent(server: Upstream, served: Served) -> None:
    body = chat_body("alpha", tools=[{"type": "function", "function": {"name": "a"}}])
    body = body[:-1] + b',"messages":[{"role":"user","content":"last"}],"tools":[]}'
    assert send(served, request("alpha", body)).status == 200
    (sent,) = arrived(server)
    assert sent["messages"] == [{"role": "user", "content": "last"}]
    assert not sent.get("tools")


@pytest.mark.parametrize("number", ["18446744073709551615", "18446744073709551616", "1" + "0" * 40, "-1" + "0" * 40])
def test_huge_integers_stay_numbers(served: Served, server: Upstream, number: str) -> None:
    reply = send(served, request("alpha", GOOD[:-1] + f',"seed":{number}}}'.encode()))
    assert reply.status == 200
    (sent,) = arrived(server)
    assert sent["seed"] == pytest.approx(float(number))


def test_a_body_that_is_too_large_is_refused_readably(served: Served, server: Upstream) -> None:
    """An ordinary client writes its whole body before it reads; a connection cut meanwhile hides the 413 from it."""
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=20)
    body = chat_body("alpha", "x" * 10 * MIB)
    connection.request("POST", CHAT, body, headers_of("alpha"))
    response = connection.getresponse()
    assert (response.status, orjson.loads(response.read())["error"]["code"]) == (413, "payload_too_large")
    connection.request("POST", CHAT, GOOD, headers_of("alpha"))  # the same connection goes on
    again = connection.getresponse()
    assert again.status == 200
    again.read()
    connection.close()
    assert len(server.received) == 1


def test_it_is_readable_by_a_client_that_lets_go_of_the_connection(served: Served) -> None:
    """Closing at once, with the body still coming, would reset the connection and lose the answer."""
    for _ in range(2):
        connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=20)
        connection.request("POST", CHAT, b"x" * 24 * MIB, headers_of("alpha") | {"connection": "close"})
        response = connection.getresponse()
        assert (response.status, orjson.loads(response.read())["error"]["code"]) == (413, "payload_too_large")
        connection.close()


@pytest.mark.parametrize("body", [b"x" * 10 * MIB, [b"x" * MIB] * 10], ids=["with its length", "chunked"])
def test_a_refusal_before_the_body_is_readable_too(served: Served, body: bytes | list[bytes]) -> None:
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=20)
    connection.request("POST", CHAT, iter(body) if isinstance(body, list) else body, {"authorization": "Bearer nobody"})
    response = connection.getresponse()
    assert response.status == 401
    response.read()
    connection.close()


def test_a_body_without_end_is_not_kept(served: Served) -> None:
    """Chunked, so that no length warns us; far more than the limit, and more than is drained."""
    with RawConnection(served.url) as connection:
        connection.send(head("alpha", "transfer-encoding: chunked"))
        chunk = b"%x\r\n%s\r\n" % (MIB, b"x" * MIB)
        with contextlib.suppress(ConnectionError):
            for _ in range(80):
                connection.send(chunk)
        assert connection.answer().status == 413


def test_a_compressed_body_is_refused(served: Served, server: Upstream) -> None:
    for coding in ("gzip", "br", "deflate", "gzip, identity", "GZIP"):
        reply = send(served, request("alpha", GOOD, f"content-encoding: {coding}"))
        assert (reply.status, reply.code) == (400, "invalid_request")
    assert server.received == []


# -- Framing ---------------------------------------------------------------------------------------------------------


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


LENGTH = f"content-length: {len(GOOD)}"
CHUNKED = "transfer-encoding: chunked"
MALFORMED = {
    "a length and chunked": head("alpha", LENGTH, CHUNKED) + chunked(GOOD),
    "chunked and a length": head("alpha", CHUNKED, LENGTH) + chunked(GOOD),
    "two lengths": head("alpha", LENGTH, "content-length: 5") + GOOD,
    "the same length twice": head("alpha", LENGTH, LENGTH) + GOOD,
    "a list of lengths": head("alpha", f"content-length: {len(GOOD)}, {len(GOOD)}") + GOOD,
    "a signed length": head("alpha", f"content-length: +{len(GOOD)}") + GOOD,
    "a negative length": head("alpha", "content-length: -1") + GOOD,
    "a length in hex": head("alpha", "content-length: 0x10") + GOOD,
    "a length beyond 64 bits": head("alpha", "content-length: 99999999999999999999") + GOOD,
    "an unknown coding": head("alpha", "transfer-encoding: xchunked") + chunked(GOOD),
    "chunked, then identity": head("alpha", "transfer-encoding: chunked, identity") + chunked(GOOD),
    "chunked and identity apart": head("alpha", CHUNKED, "transfer-encoding: identity") + chunked(GOOD),
    "a chunk size that is no number": head("alpha", CHUNKED) + b"zz\r\n{}\r\n0\r\n\r\n",
    "a negative chunk size": head("alpha", CHUNKED) + b"-1\r\n{}\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": head("alpha", CHUNKED) + b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than its size": head("alpha", CHUNKED) + b"2\r\n{}xx\r\n0\r\n\r\n",
    "chunks that end in LF": head("alpha", CHUNKED) + chunked(GOOD).replace(b"\r\n", b"\n"),
    "a folded header": head("alpha", "x-fold: a\r\n b", LENGTH) + GOOD,
    "a NUL in a header": head("alpha", "x-nul: a\x00b", LENGTH) + GOOD,
    "a space before the colon": head("alpha", "x-org-id : beta", LENGTH) + GOOD,
    "a header without a name": head("alpha", ": beta", LENGTH) + GOOD,
    "a header without a colon": head("alpha", "x-org-id", LENGTH) + GOOD,
    "CR alone ends a line": head("alpha", "x-a: b\rx-org-id: beta", LENGTH) + GOOD,
    "LF alone ends a line": head("alpha", "x-a: b\nx-org-id: beta", LENGTH) + GOOD,
    "a space in the target": head("alpha", path="/v1/models /admin", method="GET"),
    "a target that isn't ASCII": head("alpha", path="/v1/mod\xe9ls", method="GET"),
    "an unknown method": head("alpha", method="BREW"),
    "CONNECT": head("alpha", method="CONNECT", path="upstream.example:443"),
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    "nothing like HTTP": b"hello, is there anybody in?\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_bad_framing(served: Served, server: Upstream, name: str) -> None:
    with RawConnection(served.url) as connection:
        connection.send(MALFORMED[name])
        assert connection.answer().status == 400
        assert connection.is_closed()
    assert server.received == []


def test_a_trailer_is_no_header(served: Served, server: Upstream) -> None:
    """A proxy in front judges headers; what comes behind the body, it has never seen."""
    trailers = b"0\r\nx-org-id: beta\r\nx-user-role: admin\r\nauthorization: Bearer nobody\r\n\r\n"
    since = time.time()
    reply = send(served, head("alpha", CHUNKED) + chunked(GOOD).removesuffix(b"0\r\n\r\n") + trailers)
    assert reply.status == 200
    (record,) = until(lambda: recorded(served.data_dir, "alpha", since=since))
    assert record.role == "analyst"
    without_role = b"\r\n".join(line for line in head("alpha", CHUNKED).split(b"\r\n") if b"x-user-role" not in line)
    since = time.time()
    assert send(served, without_role + chunked(GOOD).removesuffix(b"0\r\n\r\n") + trailers).status == 200
    (record,) = until(lambda: recorded(served.data_dir, "alpha", since=since))
    assert record.role is None


@pytest.mark.parametrize("start", [b"0\r\nx: ", b"0\r\n", b"1;x="])
def test_framing_without_end_is_cut_off(served: Served, start: bytes) -> None:
    """A trailer or chunk extension without end once filled the memory and stalled every tenant, without a key."""
    filler = b"a" * 65536 if start != b"0\r\n" else b"a: b\r\n" * 10923
    with RawConnection(served.url) as connection:
        connection.send(head(None, CHUNKED) + start)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 64 * MIB:
                sent += connection.socket.send(filler)
        assert sent < 64 * MIB


def test_bytes_beyond_the_length_spoil_nothing(served: Served, server: Upstream) -> None:
    """The request before them is whole: it is answered, and then the connection ends."""
    for surplus in (b"GARBAGE GARBAGE\r\n\r\n", b"{}", b"\x00\x01"):
        server.received.clear()
        with RawConnection(served.url) as connection:
            connection.send(request("alpha", chat_body("alpha", "mine")) + surplus)
            reply = connection.answer()
            assert (reply.status, b"mine" in reply.body) == (200, True)
            connection.socket.settimeout(3)
            assert connection.is_closed() or surplus == b"{}"
        assert len(server.received) == 1


def test_one_body_smuggles_no_second_request(served: Served, server: Upstream) -> None:
    """What one reading takes for a body is beta's request to the other."""
    inner = request("beta", chat_body("beta", "smuggled"))
    for framing in (("content-length: 4", CHUNKED), (CHUNKED, "content-length: 4"), ("Transfer-Encoding : chunked",)):
        with RawConnection(served.url) as connection:
            connection.send(head("alpha", *framing) + b"5c\r\n" + inner + b"0\r\n\r\n")
            assert connection.answer().status == 400
            assert connection.is_closed()
    assert server.received == []


def test_pipelined_requests_of_two_tenants(served: Served, server: Upstream) -> None:
    """A proxy may share one connection among its callers: each answer is its own request's."""
    order = ["alpha", "beta", "beta", "alpha"] * 5
    with RawConnection(served.url) as connection:
        connection.send(b"".join(request(t, chat_body(t, f"nonce-{t}-{n}")) for n, t in enumerate(order)))
        for number, tenant in enumerate(order):
            reply = connection.answer()
            assert reply.status == 200
            assert reply.json["choices"][0]["message"]["content"] == f"nonce-{tenant}-{number}"
            assert reply.json["model"] == f"{tenant}-model"
    assert len(server.received) == len(order)


def test_pipelined_refusals_keep_their_places(served: Served) -> None:
    requests = [
        request("alpha", chat_body("alpha")),
        request(None, chat_body("alpha")),
        request("beta", b"{"),
        head("beta", method="GET", path="/v1/models"),
        head("beta", method="GET", path="/nowhere"),
    ]
    with RawConnection(served.url) as connection:
        connection.send(b"".join(requests))
        assert [connection.answer().status for _ in requests] == [200, 401, 400, 200, 404]


def test_a_flood_of_pipelined_requests(served: Served) -> None:
    one = head("alpha", method="GET", path="/v1/models")
    with RawConnection(served.url) as connection:
        with contextlib.suppress(ConnectionError):
            connection.send(one * 20_000)
        answers = 0
        with contextlib.suppress(ConnectionError, EOFError):
            while connection.answer().status == 200:
                answers += 1
    assert MAX_PIPELINED <= answers < 20_000


def test_a_malformed_request_behind_a_good_one(served: Served) -> None:
    with RawConnection(served.url) as connection:
        connection.send(request("alpha", chat_body("alpha", "good")) + MALFORMED["a NUL in a header"])
        reply = connection.answer()
        assert (reply.status, b"good" in reply.body) == (200, True)
        assert connection.is_closed()


# -- Heads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"GET /v1/models HTTP/1.1\r\nx: " + b"a" * 70_000,
        b"GET /v1/models HTTP/1.1\r\nx: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\n" + b"a: b\r\n" * 12_000 + b"\r\n",
        b"\r\n\r\nGET /v1/models HTTP/1.1\r\n" + b"a: b\r\n" * 60_000,
    ],
    ids=["unfinished", "one header", "the target", "many headers", "behind blank lines"],
)
def test_a_head_that_is_too_large(served: Served, data: bytes) -> None:
    with RawConnection(served.url) as connection:
        with contextlib.suppress(ConnectionError):
            connection.send(data)
        assert connection.answer().status == 431
        assert connection.is_closed()


@pytest.mark.parametrize("line", ["a:b", "x-org-id:alpha", "x-user-role:analyst"])
def test_ten_thousand_headers(served: Served, line: str) -> None:
    count = min(10_000, 60_000 // (len(line) + 2))
    good = head("alpha", *[line] * count, method="GET", path="/v1/models")
    assert send(served, good).status == 200
    assert send(served, head("alpha", *[line] * count, "x-org-id: beta", method="GET", path="/v1/models")).status == 403


TWICE = {
    "two keys": (("authorization: Bearer pw-test-beta-0123456789abcdef",), 401, "invalid_credential"),
    "the same key": (("authorization: Bearer pw-test-alpha-0123456789abcdef",), 200, None),
    "a key in another place": (("x-api-key: pw-test-beta-0123456789abcdef",), 403, "tenant_mismatch"),
    "two tenants": (("x-org-id: beta",), 403, "tenant_mismatch"),
    "two tenants in one": (("x-org-id: alpha, beta",), 403, "tenant_mismatch"),
    "two users": (("x-user-id: eve",), 400, "invalid_request"),
    "two roles": (("x-user-role: admin",), 400, "invalid_request"),
    "another case": (("X-ORG-ID: beta",), 403, "tenant_mismatch"),
    "an underscore": (("x_org_id: beta",), 200, None),
    "bytes that are no UTF-8": (("x-user: \xff\xfe",), 400, "invalid_request"),
}


@pytest.mark.parametrize("name", TWICE)
def test_duplicated_identity(served: Served, name: str) -> None:
    lines, status, code = TWICE[name]
    reply = send(served, head("alpha", *lines, method="GET", path="/v1/models"))
    assert (reply.status, reply.code) == (status, code)
    if status == 200:
        assert [model["id"] for model in reply.json["data"]] == ["alpha-model"]


def test_an_absolute_target_is_only_a_path(served: Served) -> None:
    target = "http://upstream.example/v1/models"
    assert send(served, head("alpha", method="GET", path=target)).status == 200
    assert send(served, head("alpha", method="GET", path="http://upstream.example/admin/v1/config")).status == 401
    for path in ("http://upstream.example//v1/models", "http://upstream.example", "*"):
        assert send(served, head("alpha", method="GET", path=path)).status in (400, 404)


PATHS = [
    "/%61dmin/v1/config",
    "/admin%2fv1/config",
    "/v1/../admin/v1/config",
    "//admin/v1/config",
    "/v1/models%00",
    "/admin/v1/config?x",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_spelling_of_a_path_gets_past(served: Served, path: str) -> None:
    reply = send(served, head("alpha", method="GET", path=path))
    assert reply.status == (401 if path.endswith("?x") else 404)


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "PUT", "PATCH", "DELETE", "HEAD", "PROPFIND"])
def test_other_methods(served: Served, method: str) -> None:
    with RawConnection(served.url) as connection:
        connection.send(head("alpha", method=method, path="/v1/models"))
        status, _ = connection.head()
    assert status == 405


def test_nobody_is_spoken_to_but_in_http_1(served: Served) -> None:
    """An upgrade is ignored and the connection ends: what follows might be for another protocol."""
    for lines in (
        ("connection: Upgrade", "upgrade: websocket", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="),
        ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAARAAAAAAAIAAAAA"),
    ):
        with RawConnection(served.url) as connection:
            get = head("alpha", *lines, method="GET", path="/v1/models")
            connection.send(get + head("beta", method="GET", path="/v1/models"))
            reply = connection.answer()
            assert (reply.status, reply.header("connection")) == (200, "close")
            assert connection.is_closed()
        assert send(served, request("alpha", GOOD, *lines)).status == 200
        with RawConnection(served.url) as connection:  # in pieces, and in chunks
            connection.send(head("alpha", *lines, "transfer-encoding: chunked") + b"%x\r\n" % len(GOOD) + GOOD[:9])
            connection.send(GOOD[9:] + b"\r\n0\r\n\r\n")
            assert connection.answer().status == 200


def test_expect_continue(served: Served) -> None:
    with RawConnection(served.url) as connection:
        connection.send(head("alpha", LENGTH, "expect: 100-continue"))
        assert connection.head()[0] == 100
        connection.send(GOOD)
        assert connection.answer().status == 200
    with RawConnection(served.url) as connection:  # refused without being asked for the body
        connection.send(head(None, LENGTH, "expect: 100-continue"))
        assert connection.head()[0] == 401


# -- Slow clients ----------------------------------------------------------------------------------------------------


def test_a_slow_body(served: Served, server: Upstream) -> None:
    began = time.monotonic()
    since = time.time()
    reply = send(served, head("alpha", "content-length: 1000") + b'{"model":')
    assert (reply.status, reply.code) == (408, "request_timeout")
    assert 0.9 < time.monotonic() - began < 4
    (record,) = until(lambda: recorded(served.data_dir, "alpha", since=since))
    assert (record.code, record.outcome) == ("request_timeout", "refused")
    assert server.received == []


def test_hanging_up_before_the_body_is_there(served: Served, server: Upstream) -> None:
    since = time.time()
    with RawConnection(served.url) as connection:
        connection.send(head("alpha", "content-length: 1000") + b'{"model":')
    (record,) = until(lambda: recorded(served.data_dir, "alpha", since=since))
    assert record.outcome == "client_gone"
    assert server.received == []
