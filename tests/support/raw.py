"""A connection on which a test may write any bytes at all, and read whole answers."""

from __future__ import annotations

import socket
from typing import Self

import orjson
from tests.support.documents import headers_of
from tests.support.inprocess import Reply

__all__ = ["RawConnection", "chat_body", "head", "request"]


def chat_body(tenant: str, content: str = "hello", **fields: object) -> bytes:
    body = {"model": f"{tenant}-model", "messages": [{"role": "user", "content": content}], **fields}
    return orjson.dumps(body)


def head(tenant: str | None, *lines: str, method: str = "POST", path: str = "/v1/chat/completions") -> bytes:
    """The head of a request of `tenant`'s, or of nobody's, with further header lines."""
    own = [] if tenant is None else [f"{name}: {value}" for name, value in headers_of(tenant).items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: gateway", *own, *lines, "", ""]).encode("latin-1")


def request(tenant: str | None, body: bytes = b"", *lines: str, **head_options: str) -> bytes:
    """A whole request with its length."""
    return head(tenant, *lines, f"content-length: {len(body)}", **head_options) + body


class RawConnection:
    """One TCP connection to a gateway."""

    def __init__(self, url: str, *, timeout_seconds: float = 10.0) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self.socket = socket.create_connection((host, int(port)), timeout_seconds)
        self._reader = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> Reply:
        """The next whole answer; interim ones are passed over. Raises EOFError when there is none."""
        status, headers = self.head()
        while status < 200:
            status, headers = self.head()
        fields = dict(headers)
        if fields.get(b"transfer-encoding") == b"chunked":
            return Reply(status, headers, b"".join(iter(self.chunk, b"")))
        return Reply(status, headers, self._reader.read(int(fields.get(b"content-length", b"0"))))

    def rest(self) -> bytes:
        """Everything until the gateway closes the connection."""
        return self._reader.read()

    def is_closed(self) -> bool:
        """Whether the gateway closes the connection within the time-out, and says nothing more before."""
        try:
            return self._reader.read(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """The head of the next answer, for those who read its body themselves."""
        first = self._line()
        headers = []
        while line := self._line():
            name, _, value = line.partition(b":")
            headers.append((name.lower(), value.strip()))
        return int(first.split(b" ")[1]), headers

    def _line(self) -> bytes:
        line = self._reader.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError(f"the connection ended at {line!r}")
        return line[:-2]

    def chunk(self) -> bytes:
        """The next chunk of a streamed body; empty at its end."""
        size = int(self._line(), 16)
        chunk = self._reader.read(size)
        assert self._line() == b""
        return chunk

    def close(self) -> None:
        self._reader.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
