"""One HTTP/1.1 response, from its first byte to its last, without a socket.

Promises: the same bytes give the same answer however they were cut into segments. `complete` is true only when the
framing said so. Every doubt about where the answer ends is a `ProtocolViolation`: both lengths at once, a repeated or
odd Content-Length, any Transfer-Encoding but `chunked`, folded lines, bare CR or LF, control bytes, another protocol
version, a head over 64 KiB. After a clean end `reusable` says whether a next request may follow; bytes beyond the end
make it false and are never looked at.

llhttp (through httptools) reads heads and chunks. It would let pass, and we don't: `gzip, chunked`, a coding it doesn't
know, HTTP/0.9 and 2.0, statuses outside 100-599, blank lines before or after a message, trailers and chunk extensions
without end. `tests/upstream/client/test_reader.py` holds both lists.

Doesn't promise: to keep trailers (they are dropped), the reason phrase or the case of header names.
"""

from __future__ import annotations

from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

__all__ = ["MAX_HEAD_BYTES", "ProtocolViolation", "ResponseReader"]

MAX_HEAD_BYTES: Final = 64 * 1024
"""Of one response: its interim heads and its final head together; also of chunk framing that carries no content."""

_END_OF_HEAD: Final = b"\r\n\r\n"
_VERSIONS: Final = (b"HTTP/1.1 ", b"HTTP/1.0 ")
_FRAMING_NAMES: Final = frozenset({b"content-length", b"transfer-encoding", b"content-encoding"})
_NO_ENCODING: Final = frozenset({b"", b"identity"})
_UNTIL_EOF: Final = -1
_UNREAD: Final = -1


class ProtocolViolation(Exception):
    """The peer's bytes have no single meaning. The text names the rule that was broken and quotes nothing."""


def _check_start(head: bytes) -> None:
    # Without this, garbage would be waited on until the time-out instead of being refused at once.
    if not any(version.startswith(head[: len(version)]) for version in _VERSIONS):
        raise ProtocolViolation("did not answer in HTTP/1.1")


class ResponseReader:
    """Feed it what the socket gave; take what is decoded.

    `accepts_eof` is false over TLS: there the end of the stream may have been forged by anyone on the path, because
    event loops don't tell a bare one from a signed one (RFC 9112, section 9.8).

    The `on_*` methods are httptools' names for its events; nobody else calls them, but for `on_body` in here.
    """

    __slots__ = (
        "_accepts_eof",
        "_chunk_overhead",
        "_code",
        "_framing",
        "_head",
        "_head_bytes",
        "_is_head_request",
        "_keep_alive",
        "_parser",
        "_remaining",
        "_tail",
        "complete",
        "headers",
        "reusable",
        "started",
        "status",
        "untaken",
    )

    def __init__(self, *, is_head_request: bool = False, accepts_eof: bool = True) -> None:
        self.status = 0
        """0 until the final head has been read."""
        self.headers: list[tuple[bytes, bytes]] = []
        self.started = False
        """Whether any byte has arrived."""
        self.complete = False
        self.reusable = False
        """Whether the connection is provably at the start of a next response."""
        self.untaken: bytes | bytearray = b""
        """The decoded bytes that wait to be taken."""
        self._is_head_request = is_head_request
        self._accepts_eof = accepts_eof
        self._head = b""
        self._head_bytes = 0
        self._framing: list[tuple[bytes, bytes]] = []
        self._parser: HttpResponseParser | None = None
        self._code = _UNREAD
        self._keep_alive = False
        self._remaining = _UNTIL_EOF
        self._tail = b""
        self._chunk_overhead = 0

    @property
    def buffered(self) -> int:
        """How many decoded bytes wait to be taken."""
        return len(self.untaken)

    @property
    def known_bytes(self) -> int:
        """How many untaken body bytes there are for certain: those buffered, and those declared and still to come."""
        return len(self.untaken) + max(self._remaining, 0)

    def take(self) -> bytes:
        """The body bytes decoded since the last call; empty when there are none."""
        data, self.untaken = self.untaken, b""
        return bytes(data)

    def feed(self, data: bytes) -> None:
        """Read what the socket gave.

        Raises:
            ProtocolViolation: and then nothing more may be fed.
        """
        self.started = True
        if not self.status:
            data = self._feed_head(data)
            if not data:
                return
        if self.complete:
            self.reusable = False
        elif len(data) == self._remaining and not self.untaken:
            # Most answers that are no streams: the whole body in one segment, most often the head's.
            self.untaken = data
            self._remaining = 0
            self.complete = True
            self.reusable = self._keep_alive
        elif self._parser is not None:
            self._feed_chunks(self._parser, data)
        elif self._remaining == _UNTIL_EOF:
            self.on_body(data)
        else:
            self._feed_counted(data)

    def feed_eof(self) -> None:
        """The peer will send no more.

        Raises:
            ProtocolViolation: the answer isn't complete.
        """
        if self.complete:
            return
        if not self.status:
            raise ProtocolViolation("closed the connection before its answer began")
        if self._parser is not None or self._remaining != _UNTIL_EOF:
            self._parser = None
            raise ProtocolViolation("closed the connection in the middle of its answer")
        self.complete = True

    # -- The head ---

    def _feed_head(self, data: bytes) -> bytes:
        """Read heads up to the final one. Returns what follows it, or nothing while it is incomplete."""
        if self._head:
            data = self._head + data
            self._head = b""
        while not self.status:
            end = data.find(_END_OF_HEAD)
            size = len(data) if end < 0 else end + 4
            if self._head_bytes + size > MAX_HEAD_BYTES:
                raise ProtocolViolation(f"sent more than {MAX_HEAD_BYTES} bytes of headers")
            if end < 0:
                _check_start(data)
                self._head = data
                return b""
            self._head_bytes += size
            self._parse_head(data[:size])
            data = data[size:]
        return data

    def _parse_head(self, raw: bytes) -> None:
        if not raw.startswith(_VERSIONS):
            raise ProtocolViolation("did not answer in HTTP/1.1")
        self.headers.clear()
        self._framing.clear()
        self._code = _UNREAD
        parser = self._parser = HttpResponseParser(self)
        try:
            parser.feed_data(raw)
        except HttpParserUpgrade:
            raise ProtocolViolation("tried to change the protocol") from None
        except HttpParserError as err:
            raise ProtocolViolation(f"sent a malformed head: {err}") from None
        finally:
            # The parser holds us by its callbacks: kept, it would be a reference cycle for each request.
            self._parser = None
        if self._code == _UNREAD:
            raise ProtocolViolation("sent a head whose end is in doubt")
        if self._code < 200:
            self._skip_interim()
        else:
            self._decide_body(parser, is_http_10=raw.startswith(_VERSIONS[1]))

    def _skip_interim(self) -> None:
        if self._code < 100 or self._code == 101:
            raise ProtocolViolation(f"answered with status {self._code}")
        if self._framing:
            raise ProtocolViolation("gave an interim answer a body")

    def _decide_body(self, parser: HttpResponseParser, *, is_http_10: bool) -> None:
        """RFC 9112, section 6.3, without the cases in which it lets a recipient guess."""
        length, codings = self._read_framing()
        if self._code > 599:
            raise ProtocolViolation(f"answered with status {self._code}")
        if codings and (is_http_10 or codings != [b"chunked"]):
            raise ProtocolViolation("used a transfer coding other than `chunked`")
        self.status = self._code
        if self._is_head_request or self._code in (204, 304):
            self.complete = True
            # A 204 that speaks of a body may be followed by one.
            self.reusable = self._keep_alive and (self._code != 204 or not (length or codings))
        elif codings:
            self._parser = parser
        elif length is not None:
            self._remaining = length
            self.complete = length == 0
            self.reusable = self.complete and self._keep_alive
        elif not self._accepts_eof:
            raise ProtocolViolation("declared no length, so that its answer could be cut short unnoticed")

    def _read_framing(self) -> tuple[int | None, list[bytes]]:
        length: int | None = None
        codings: list[bytes] = []
        for name, value in self._framing:
            if name == b"content-length":
                # llhttp refuses a second one, signs, lists and overflow; a differing one would be a split answer.
                if length is not None or not value.isdigit():
                    raise ProtocolViolation("declared its length in an odd way")
                length = int(value)
            elif name == b"transfer-encoding":
                codings.append(value.lower())
            elif value.lower() not in _NO_ENCODING:
                raise ProtocolViolation("compressed its answer, though asked for `identity`")
        return length, codings

    # -- The body ---

    def _feed_counted(self, data: bytes) -> None:
        surplus = len(data) > self._remaining
        if surplus:
            data = data[: self._remaining]
        self.on_body(data)
        self._remaining -= len(data)
        self.complete = self._remaining == 0
        self.reusable = self.complete and self._keep_alive and not surplus

    def _feed_chunks(self, parser: HttpResponseParser, data: bytes) -> None:
        before = len(self.untaken)
        try:
            parser.feed_data(data)
        except HttpParserError as err:
            self._parser = None
            if not self.complete:
                raise ProtocolViolation(f"sent malformed chunks: {err}") from None
            self._keep_alive = False
        self._tail = (self._tail + data[-5:])[-5:]
        if self.complete:
            self._parser = None
            self.reusable = self._keep_alive and self._ends_at_last_chunk()
        elif len(self.untaken) != before:
            self._chunk_overhead = 0
        else:
            self._bound_overhead(len(data))

    def _ends_at_last_chunk(self) -> bool:
        # llhttp skips blank lines after a message without a word. Exactly one blank line ends a chunked body, so the
        # byte before it belongs to another line's text.
        return self._tail[1:] == _END_OF_HEAD and self._tail[:1] not in (b"\r", b"\n")

    def _bound_overhead(self, size: int) -> None:
        # httptools joins a trailer's value without limit, and chunk extensions cost CPU and yield nothing.
        self._chunk_overhead += size
        if self._chunk_overhead > MAX_HEAD_BYTES:
            self._parser = None
            raise ProtocolViolation(f"sent more than {MAX_HEAD_BYTES} bytes of chunk framing without content")

    # -- What httptools calls ---

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the head; after the head, a trailer."""
        if self.status:
            return
        field = name.lower(), value.rstrip(b" \t")
        self.headers.append(field)
        if field[0] in _FRAMING_NAMES:
            self._framing.append(field)

    def on_headers_complete(self) -> None:
        """llhttp and we agree where the head ends; or a second message follows in one segment."""
        parser = self._parser
        if self.complete:
            self._keep_alive = False
        elif parser is not None and not self.status:
            self._code = parser.get_status_code()
            self._keep_alive = parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        """The content of a chunk, or a piece of another body. Where nothing waits, it is kept as it is."""
        if self.complete:
            return
        if not self.untaken:
            self.untaken = data
        elif isinstance(self.untaken, bytearray):
            self.untaken += data
        else:
            self.untaken = bytearray(self.untaken)
            self.untaken += data

    def on_message_complete(self) -> None:
        """The last chunk's end. (llhttp also says so at the end of a head without a body, which isn't asked here.)"""
        if self.status:
            self.complete = True
