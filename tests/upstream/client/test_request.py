"""One request in, one request out: nothing a caller passes can become a second one."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from partywall.errors import UpstreamUnavailable
from partywall.upstream.client import Origin
from partywall.upstream.client.request import _OURS, _fixed_lines, encode_head

ORIGIN = Origin("https", "api.example", 443)


class Parsed:
    """What a server makes of the bytes."""

    def __init__(self, raw: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.url = b""
        self.body = b""
        self.messages = 0
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(raw)
        self.method = parser.get_method()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.messages += 1


def test_the_bytes() -> None:
    head = encode_head(ORIGIN, b"POST", b"/v1/x?y=z", [(b"authorization", b"Bearer k"), (b"accept", b"*/*")], 5)
    assert head == (
        b"POST /v1/x?y=z HTTP/1.1\r\nhost: api.example\r\naccept-encoding: identity\r\n"
        b"authorization: Bearer k\r\naccept: */*\r\ncontent-length: 5\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("method", "size", "length"),
    [
        (b"GET", 0, None),
        (b"HEAD", 0, None),
        (b"DELETE", 0, None),
        (b"GET", 3, b"3"),
        (b"POST", 0, b"0"),
        (b"PUT", 0, b"0"),
    ],
)
def test_content_length(method: bytes, size: int, length: bytes | None) -> None:
    headers = dict(Parsed(encode_head(ORIGIN, method, b"/", [], size) + b"x" * size).headers)
    assert headers.get(b"content-length") == length


@pytest.mark.parametrize(
    "name",
    [
        b"host",
        b"content-length",
        b"connection",
        b"transfer-encoding",
        b"te",
        b"trailer",
        b"upgrade",
        b"expect",
        b"keep-alive",
        b"proxy-connection",
        b"accept-encoding",
    ],
)
def test_lines_about_the_connection_are_ours(name: bytes) -> None:
    evil = [(name, b"evil")]
    for head in (encode_head(ORIGIN, b"POST", b"/", evil, 2), encode_head(ORIGIN, b"POST", b"/", [], 2, tuple(evil))):
        assert b"evil" not in head
        assert head.count(b"host: api.example\r\n") == 1
        assert head.count(b"content-length: 2\r\n") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x", b"a\r\nhost: evil"),
        (b"x", b"a\nb"),
        (b"x", b"a\rb"),
        (b"x", b"a\r\n\r\nGET / HTTP/1.1"),
        (b"x", b"a\0b"),
        (b"x", b"\x7f"),
        (b"x\r\nhost", b"evil"),
        (b"x: y", b"evil"),
        (b"transfer-encoding ", b"chunked"),
        (b" transfer-encoding", b"chunked"),
        (b"Transfer-Encoding", b"chunked"),
        (b"transfer\0encoding", b"chunked"),
        (b"", b"evil"),
        (b"\xc3\xa4", b"evil"),
    ],
)
def test_what_could_change_the_meaning_is_refused(name: bytes, value: bytes) -> None:
    headers = [(b"accept", b"*/*"), (name, value)]
    for _ in range(2):  # a refusal isn't remembered as an answer
        for theirs, fixed in ((headers, []), ([], headers), (headers[:1], headers[1:])):
            with pytest.raises(UpstreamUnavailable, match="not sent") as caught:
                encode_head(ORIGIN, b"POST", b"/", theirs, 0, tuple(fixed))
            assert "evil" not in str(caught.value)


def test_nothing_of_a_client_s_is_remembered() -> None:
    """Else one client could push out what others need, or learn what they send from the time that it takes."""
    fixed = ((b"authorization", b"Bearer k"),)
    encode_head(ORIGIN, b"POST", b"/", [], 0, fixed)
    before = _fixed_lines.cache_info()
    for number in range(3):
        text = b"%d" % number
        assert text in encode_head(ORIGIN, b"POST", b"/?x=" + text, [(b"accept", text)], number, fixed)
    after = _fixed_lines.cache_info()
    assert (after.currsize, after.misses) == (before.currsize, before.misses)


def test_what_is_remembered_is_of_one_credential_and_one_origin() -> None:
    heads = [
        encode_head(Origin("https", host, 443), b"POST", b"/", [], 0, ((b"authorization", key),))
        for host in ("a.example", "b.example")
        for key in (b"alpha", b"beta")
        for _ in range(2)
    ]
    assert [(b"alpha" in head, b"a.example" in head) for head in heads[::2]] == [
        (True, True),
        (False, True),
        (True, False),
        (False, False),
    ]
    assert heads[::2] == heads[1::2]


@pytest.mark.parametrize("host", ["a\r\nx: y", "a\nb", "a\0"])
def test_a_host_that_could_end_its_line(host: str) -> None:
    with pytest.raises(UpstreamUnavailable, match="not sent"):
        encode_head(Origin("http", host, 80), b"GET", b"/", [], 0)


@pytest.mark.parametrize("method", [b"", b"get", b"CONNECT", b"TRACE", b"POST /evil", b"POST\r\n"])
def test_methods(method: bytes) -> None:
    with pytest.raises(UpstreamUnavailable, match="not sent"):
        encode_head(ORIGIN, method, b"/", [], 0)


@pytest.mark.parametrize(
    "path", [b"", b"v1", b"http://evil/", b"/a b", b"/a\r\nx: y", b"/a\0", b"/a#b", b"/\xff", b"/a\tb", b'/"']
)
def test_paths(path: bytes) -> None:
    with pytest.raises(UpstreamUnavailable, match="not sent"):
        encode_head(ORIGIN, b"GET", path, [], 0)


_NASTY = st.lists(
    st.sampled_from([b"\r", b"\n", b"\0", b":", b" ", b"\t", b"host", b"te", b"a", b"X", b"0", b"chunked", b"\xff"]),
    max_size=6,
).map(b"".join)


@given(
    st.lists(st.tuples(_NASTY | st.binary(max_size=8), _NASTY | st.binary(max_size=8)), max_size=5), st.integers(0, 5)
)
@example([(b"a", b"b\r\nc: d")], 0)
@example([(b"a", b"b\r\nc: d")], 1)
@example([(b"a", b"b\r\n"), (b"", b"")], 1)
def test_a_server_reads_what_was_meant_or_nothing_is_sent(headers: list[tuple[bytes, bytes]], fixed: int) -> None:
    """`fixed` of the headers are the document's, the others the client's."""
    try:
        head = encode_head(ORIGIN, b"POST", b"/v1", headers[fixed:], 4, tuple(headers[:fixed]))
    except UpstreamUnavailable:
        return
    seen = Parsed(head + b"body")
    assert (seen.method, seen.url, seen.body, seen.messages) == (b"POST", b"/v1", b"body", 1)
    # llhttp drops blanks before a value and keeps those after it; neither belongs to the value.
    meant = [(name, value.strip(b" \t")) for name, value in headers if name not in _OURS]
    assert [(name, value.strip(b" \t")) for name, value in seen.headers if name not in _OURS] == meant
    assert sorted(name for name, _ in seen.headers if name in _OURS) == [b"accept-encoding", b"content-length", b"host"]
