"""Replies never change hands: every answer carries its own request's nonce and nobody else's.

Sixty-four connections of two tenants send requests with a nonce each through one gateway to one upstream that echoes
after an uneven delay; one request in ten is abandoned between send and complete read. A reply off by one (redis-py
CVE-2023-28858, asyncmy #103) would show at once. LESSONS C19, C20, C27.
"""

from __future__ import annotations

import asyncio
import random
import re
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from tests.support.documents import base_document, headers_of, write_document
from tests.support.process import serve
from tests.support.upstream import Received, chat_answer, chat_events, upstream, write_stream, write_whole

REQUESTS: Final = 10_240
CONNECTIONS: Final = 64
ABORTED: Final = 0.1
_NONCE = re.compile(rb"nonce-(?:alpha|beta)-\d+-\d+-end")


async def _uneven(request: Received, writer: StreamWriter) -> bool:
    if (wait := hash(request.body) % 5) != 0:
        await asyncio.sleep(wait / 1000)
    if request.json.get("stream"):
        await write_stream(writer, chat_events(request))
    else:
        await write_whole(writer, 200, orjson.dumps(chat_answer(request)))
    return True


def _request(tenant: str, nonce: str, *, stream: bool) -> bytes:
    message = {"role": "user", "content": nonce}
    body = orjson.dumps({"model": f"{tenant}-model", "messages": [message], "stream": stream})
    lines = [f"{name}: {value}" for name, value in headers_of(tenant).items()]
    head = ["POST /v1/chat/completions HTTP/1.1", "host: gateway", *lines, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


async def _answer(reader: StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 200"), head
    if b"content-length: " in head:
        return await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
    body = b""
    while (size := int(await reader.readline(), 16)) > 0:
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _nonces(body: bytes) -> set[bytes]:
    """The nonces in an answer; a streamed one comes in pieces that are joined first."""
    if body.startswith(b"data: "):
        chunks = [orjson.loads(line[6:]) for line in body.split(b"\n\n") if line.startswith(b"data: {")]
        deltas: list[Any] = [choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]]
        body = "".join(deltas).encode()
    return set(_NONCE.findall(body))


async def _caller(host: str, port: int, number: int, count: int) -> tuple[int, int]:
    """Send `count` requests on one connection after another; returns (answered, aborted)."""
    tenant, chance = ("alpha", "beta")[number % 2], random.Random(number)
    answered = aborted = 0
    reader, writer = await asyncio.open_connection(host, port)
    for step in range(count):
        nonce = f"nonce-{tenant}-{number}-{step}-end"
        writer.write(_request(tenant, nonce, stream=chance.random() < 0.4))
        if chance.random() < ABORTED:
            await asyncio.sleep(chance.random() * 0.006)
            writer.close()
            reader, writer = await asyncio.open_connection(host, port)
            aborted += 1
            continue
        assert _nonces(await asyncio.wait_for(_answer(reader), 30)) == {nonce.encode()}
        answered += 1
    writer.close()
    return answered, aborted


@pytest.mark.timeout(240)
def test_no_answer_changes_hands(tmp_path: Path) -> None:
    with upstream() as server:
        server.behave = _uneven
        document = write_document(tmp_path / "partywall.yaml", base_document(base_url=server.url))
        with serve(document, tmp_path / "data") as served:
            host, port = served.url.removeprefix("http://").split(":")

            async def run() -> list[tuple[int, int]]:
                callers = (_caller(host, int(port), n, REQUESTS // CONNECTIONS) for n in range(CONNECTIONS))
                return await asyncio.gather(*callers)

            results = asyncio.run(run())
        log = served.log.read_text()
    answered, aborted = (sum(column) for column in zip(*results, strict=True))
    assert answered + aborted == REQUESTS
    assert aborted > REQUESTS * ABORTED * 0.8
    assert "Traceback" not in log
