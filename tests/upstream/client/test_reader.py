"""What is read, what is refused, and that segments don't matter.

The tables hold what llhttp refuses by itself as well as what we add, so that an upgrade of httptools can't take away
either in silence.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from partywall.upstream.client.reader import MAX_HEAD_BYTES, ProtocolViolation, ResponseReader

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def _read(*segments: bytes, eof: bool = False, head_request: bool = False) -> ResponseReader:
    reader = ResponseReader(is_head_request=head_request)
    for segment in segments:
        reader.feed(segment)
    if eof:
        reader.feed_eof()
    return reader


def _outcome(reader: ResponseReader) -> tuple[object, ...]:
    return reader.status, reader.headers, reader.complete, reader.take(), reader.complete and reader.reusable


@pytest.mark.parametrize(
    ("raw", "body", "reusable"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
        (OK + b"Content-Length:  5 \t\r\n\r\nhello", b"hello", True),
        (OK + b"Content-Length: 0\r\n\r\n", b"", True),
        (OK + b"Content-Length: 5\r\nContent-Encoding: identity\r\n\r\nhello", b"hello", True),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"", True),
        (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"hello", True),
        (CHUNKED + b"0\r\n\r\n", b"", True),
        (CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n000\r\n\r\n", b"hello", True),
        (CHUNKED + b"5;a=b\r\nhello\r\n0;c\r\n\r\n", b"hello", True),
        (CHUNKED + b"5\r\nhello\r\n0\r\nX-Trailer: dropped\r\n\r\n", b"hello", True),
        (CHUNKED + b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n", True),
        (OK + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello", True),
        (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
        (OK + b"Connection: x, Close\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
        (OK + b"Connection: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
        (OK + b"Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b"", False),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", b"", False),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + CHUNKED + b"0\r\n\r\n",
            b"",
            True,
        ),
    ],
)
def test_good_answers_whole_and_byte_by_byte(raw: bytes, body: bytes, reusable: bool) -> None:
    whole = _read(raw)
    assert whole.complete
    assert whole.reusable is reusable
    assert whole.take() == body
    single = _read(*(raw[i : i + 1] for i in range(len(raw))))
    assert (single.complete, single.reusable, single.take(), single.headers) == (True, reusable, body, whole.headers)


def test_names_are_lower_case_and_values_trimmed_and_order_and_repeats_kept() -> None:
    reader = _read(OK + b"Set-Cookie: a=1\r\nX-Empty:\r\nSET-COOKIE:\t b=\xff \r\nContent-Length: 0\r\n\r\n")
    assert reader.headers == [
        (b"set-cookie", b"a=1"),
        (b"x-empty", b""),
        (b"set-cookie", b"b=\xff"),
        (b"content-length", b"0"),
    ]


def test_interim_headers_and_trailers_are_not_headers() -> None:
    raw = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + CHUNKED + b"0\r\nSet-Cookie: late\r\n\r\n"
    assert _read(raw).headers == [(b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize(
    "raw",
    [
        OK + b"Content-Length: 5\r\n\r\n",
        CHUNKED,
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
def test_an_answer_to_head_ends_with_its_head(raw: bytes) -> None:
    assert _read(raw, head_request=True).complete
    late = _read(raw, b"hello", head_request=True)
    assert late.complete
    assert not late.reusable
    assert late.take() == b""


def test_a_body_without_length_ends_with_the_connection_and_is_never_followed() -> None:
    reader = _read(OK + b"\r\nhel", b"lo")
    assert not reader.complete
    reader.feed_eof()
    assert reader.complete
    assert not reader.reusable
    assert reader.take() == b"hello"


def test_over_tls_a_body_without_length_is_refused() -> None:
    with pytest.raises(ProtocolViolation, match="no length"):
        ResponseReader(accepts_eof=False).feed(OK + b"\r\nhello")
    ResponseReader(accepts_eof=False).feed(OK + b"Content-Length: 9\r\n\r\nhello")


REFUSED_BY_LLHTTP = [
    OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
    OK + b"Content-Length: 5, 5\r\n\r\n",
    OK + b"Content-Length: +5\r\n\r\n",
    OK + b"Content-Length: -5\r\n\r\n",
    OK + b"Content-Length: 0x5\r\n\r\n",
    OK + b"Content-Length: 5_0\r\n\r\n",
    OK + b"Content-Length: \r\n\r\n",
    OK + b"Content-Length: 99999999999999999999999\r\n\r\n",
    OK + b"X: a\r\n b\r\n\r\n",
    OK + b"X: a\r\n\tb\r\n\r\n",
    OK + b" X: a\r\n\r\n",
    OK + b"X: a\nY: b\r\n\r\n",
    OK + b"X: a\rY: b\r\n\r\n",
    OK + b"X: a\0b\r\n\r\n",
    OK + b"X: a\x01b\r\n\r\n",
    OK + b"X: a\x7fb\r\n\r\n",
    OK + b"X : a\r\n\r\n",
    OK + b"X(: a\r\n\r\n",
    OK + b": a\r\n\r\n",
    OK + b"X\r\n\r\n",
    OK + b"X\xe4: a\r\n\r\n",
    b"HTTP/1.1 200 OK\nX: a\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 2x0 OK\r\n\r\n",
    b"HTTP/1.1  200 OK\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    CHUNKED + b"x\r\n",
    CHUNKED + b"-5\r\n",
    CHUNKED + b"0x5\r\n",
    CHUNKED + b"5 \r\n",
    CHUNKED + b"5\nhello",
    CHUNKED + b"\r\n",
    CHUNKED + b"5\r\nhello0\r\n\r\n",
    CHUNKED + b"5\r\nhello!\r\n",
    CHUNKED + b"5;a\nb\r\nhello\r\n",
    CHUNKED + b"fffffffffffffffff\r\n",
    CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n",
    CHUNKED + b"0\r\nbad trailer\r\n\r\n",
]
REFUSED_BY_US = [
    OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    OK + b"Transfer-Encoding: xchunked\r\n\r\n",
    OK + b"Transfer-Encoding: \r\n\r\n",
    OK + b"Transfer-Encoding: identity\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n",
    OK + b"Content-Encoding: identity, br\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/0.9 200 OK\r\n\r\n",
    b"HTTP/2.0 200 OK\r\n\r\n",
    b"HTTP/1.2 200 OK\r\n\r\n",
    b"http/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 000 OK\r\n\r\n",
    b"HTTP/1.1 099 OK\r\n\r\n",
    b"HTTP/1.1 600 OK\r\n\r\n",
    b"HTTP/1.1 999 OK\r\n\r\n",
    b"\r\n" + OK + b"\r\n",
    b"\r\n\r\n" + OK + b"\r\n",
    b" " + OK + b"\r\n",
    b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x15\x03\x01\x00\x02\x02\x16",  # a TLS alert: https spoken on an http port
    b"<!doctype html>",
    b"\0",
]


@pytest.mark.parametrize("raw", REFUSED_BY_LLHTTP + REFUSED_BY_US)
def test_refused_whole_and_byte_by_byte(raw: bytes) -> None:
    for segments in ((raw,), tuple(raw[i : i + 1] for i in range(len(raw)))):
        with pytest.raises(ProtocolViolation):
            _read(*segments)


@pytest.mark.parametrize("raw", REFUSED_BY_US[-4:])
def test_what_is_not_http_is_refused_at_its_first_bytes(raw: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        _read(raw[:9])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.",
        OK,
        OK + b"Content-Length: 5\r\n\r\n",
        OK + b"Content-Length: 5\r\n\r\nhell",
        CHUNKED,
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n\r",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_an_end_too_early_is_no_end(raw: bytes) -> None:
    with pytest.raises(ProtocolViolation, match="closed the connection"):
        _read(*([raw] if raw else []), eof=True)


_COMPLETE = [
    OK + b"Content-Length: 5\r\n\r\nhello",
    OK + b"Content-Length: 0\r\n\r\n",
    CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
]
_SURPLUS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\r\r\n\r\n",
    b"H",
    b"x",
    b"\0",
    b"x\r\n\r\n",
    b"HTTP\r\n\r\n",
    OK + b"Content-Length: 4\r\n\r\nevil",
    b"\r\n" + OK + b"Content-Length: 0\r\n\r\n",
    CHUNKED + b"4\r\nevil\r\n0\r\n\r\n",
]


@pytest.mark.parametrize(("raw", "surplus"), list(itertools.product(_COMPLETE, _SURPLUS)))
def test_bytes_beyond_the_end_change_nothing_but_forbid_reuse(raw: bytes, surplus: bytes) -> None:
    """Response splitting: what follows must never be read as the next answer, nor as part of this one."""
    clean = _read(raw)
    headers, body = clean.headers, clean.take()
    everything = raw + surplus
    for segments in (
        (everything,),
        (raw, surplus),
        (everything[:-1], everything[-1:]),
        tuple(everything[i : i + 1] for i in range(len(everything))),
    ):
        reader = _read(*segments)
        assert reader.complete
        assert not reader.reusable, segments
        assert (reader.headers, reader.take()) == (headers, body)


def test_heads_are_bounded() -> None:
    line = b"X: " + b"a" * 1000 + b"\r\n"
    with pytest.raises(ProtocolViolation, match="headers"):
        _read(OK, *([line] * 70))
    with pytest.raises(ProtocolViolation, match="headers"):
        _read(OK + line * 70 + b"\r\n")
    room = MAX_HEAD_BYTES - len(OK + b"Content-Length: 0\r\nX: \r\n\r\n")
    assert _read(OK + b"Content-Length: 0\r\nX: " + b"a" * room + b"\r\n\r\n").complete
    with pytest.raises(ProtocolViolation, match="headers"):
        _read(OK + b"Content-Length: 0\r\nX: " + b"a" * (room + 1) + b"\r\n\r\n")


def test_interim_heads_are_bounded_together() -> None:
    with pytest.raises(ProtocolViolation, match="headers"):
        _read(*([b"HTTP/1.1 100 Continue\r\n\r\n"] * 5000))


@pytest.mark.parametrize("start", [b"5;", b"0\r\nX: "])
def test_chunk_framing_without_content_is_bounded(start: bytes) -> None:
    """An endless chunk extension or trailer costs CPU, or memory, and gives nothing."""
    with pytest.raises(ProtocolViolation, match="chunk framing"):
        _read(CHUNKED + start, *([b"a" * 1000] * 70))


def test_taking_empties() -> None:
    reader = _read(CHUNKED + b"3\r\nhel\r\n", b"2\r\nl")
    assert reader.buffered == 4
    assert reader.take() == b"hell"
    assert reader.buffered == 0
    assert reader.take() == b""
    reader.feed(b"o\r\n0\r\n\r\n")
    assert reader.take() == b"o"
    assert reader.reusable


# -- Properties ---

_NAMES = st.from_regex(rb"\A[A-Za-z][A-Za-z0-9-]{0,10}\Z").map(lambda name: b"x-" + name)
_VALUES = st.from_regex(rb"\A([!-~\x80-\xff]([\t -~\x80-\xff]{0,12}[!-~\x80-\xff])?)?\Z")


@st.composite
def _answers(draw: st.DrawFn) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
    """A valid answer, its body, and its headers but the framing ones."""
    headers = draw(st.lists(st.tuples(_NAMES, _VALUES), max_size=4))
    pieces = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5))
    body = b"".join(pieces)
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    if draw(st.booleans()):
        payload = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    else:
        extension = draw(st.sampled_from([b"", b";a", b";a=b"]))
        chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
        payload = b"Transfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunks
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    return interim + OK + lines + payload, body, [(name.lower(), value) for name, value in headers]


def _cut(raw: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(raw) + 1) for cut in cuts} - {0})
    return [raw[a:b] for a, b in itertools.pairwise([0, *places, len(raw)]) if a != b]


@given(_answers(), st.lists(st.integers(0, 2000), max_size=12))
def test_segments_do_not_matter(answer: tuple[bytes, bytes, list[tuple[bytes, bytes]]], cuts: list[int]) -> None:
    raw, body, headers = answer
    reader = _read(*_cut(raw, cuts))
    assert reader.status == 200
    assert reader.headers[: len(headers)] == headers
    assert reader.complete
    assert reader.reusable
    assert reader.take() == body


_WORDS = [
    *(b"HTTP/1.1 ", b"HTTP/1.0 ", b"200 OK\r\n", b"101 \r\n", b"204 \r\n", b"100 \r\n", b"\r\n\r\n", b"\r\n", b"\r"),
    *(
        b"Content-Length: ",
        b"Transfer-Encoding: ",
        b"chunked",
        b"Connection: ",
        b"close",
        b"upgrade",
        b"Upgrade: x\r\n",
    ),
    *(b"5", b"hello", b"0", b": ", b" ", b"\0", b";", b"\n", b"fffffffffffffff"),
]
_SOUP = st.lists(st.sampled_from(_WORDS), max_size=25).map(b"".join)


@given(_SOUP | st.binary(max_size=80) | _SOUP.map(lambda s: OK + s), st.lists(st.integers(0, 400), max_size=6))
@example(b"HTTP/1.1 200 OK\r\n\r\n", [])
@example(CHUNKED + b"0\r\n\r\n" + CHUNKED, [])
def test_any_bytes_give_an_answer_or_a_violation_the_same_however_cut(raw: bytes, cuts: list[int]) -> None:
    def run(segments: list[bytes]) -> object:
        try:
            return _outcome(_read(*segments, eof=True))
        except ProtocolViolation:
            return "violation"

    assert run(_cut(raw, cuts)) == run([raw] if raw else [])
