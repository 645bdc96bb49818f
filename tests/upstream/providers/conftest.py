"""A server on a real socket that answers with the parrot, for the official clients."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest

from partywall.upstream.api import Api
from partywall.upstream.providers import ParrotAnswer, answer

_APIS = {
    "/v1/chat/completions": Api.CHAT,
    "/v1/completions": Api.COMPLETIONS,
    "/v1/embeddings": Api.EMBEDDINGS,
    "/v1/responses": Api.RESPONSES,
    "/v1/messages": Api.MESSAGES,
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
        self._send(answer(_APIS[self.path.partition("?")[0]], body, answer_id="0001", created=1_700_000_000))

    def _send(self, said: ParrotAnswer) -> None:
        self.send_response(said.status)
        for name, value in said.headers:
            self.send_header(name.decode(), value.decode())
        if said.events is None:
            self.send_header("content-length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body)
            return
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in said.events:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Silent: pytest shows what matters."""


@pytest.fixture(scope="session")
def parrot_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
