"""Kept answers, read by the official clients; and callers that leave before the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from tests.gateway.caching.worlds import CHAT, body, document, serving
from tests.support.documents import KEYS, base_document, headers_of, write_document
from tests.support.official import gpt
from tests.support.process import Served, serve
from tests.support.records import recorded, until
from tests.support.upstream import Received, Upstream, chat_events


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    made = base_document() | {"encryption": {}, "cache": {"mode": "exact"}}
    with serve(write_document(folder / "partywall.yaml", made), folder / "data") as running:
        yield running


def noted(served: Served, since: float, *notes: str) -> bool:
    """Whether this is what the cache said of alpha's requests from then on: the control of these tests."""
    records = recorded(served.data_dir, "alpha", since=since)
    said = [result.reason.split(":")[0] for each in records for result in each.policies if result.kind == "cache"]
    return sorted(said) == list(notes)


def claude(served: Served) -> Anthropic:
    headers = {name: value for name, value in headers_of("alpha").items() if name != "authorization"}
    http = anthropic.DefaultHttpxClient(trust_env=False)
    return Anthropic(base_url=served.url, api_key=KEYS["alpha"], default_headers=headers, http_client=http)


def test_openai_s_client_reads_a_kept_stream(served: Served) -> None:
    since = time.time()
    seen: list[tuple[set[str], str, int]] = []
    with gpt(served) as client:
        for _ in range(2):
            chunks = list(
                client.chat.completions.create(
                    model="alpha-model",
                    messages=[{"role": "user", "content": "a stream"}],
                    stream=True,
                    stream_options={"include_usage": True},
                )
            )
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            usage = chunks[-1].usage
            assert usage is not None
            assert all(chunk.created for chunk in chunks)
            seen.append(({chunk.id for chunk in chunks}, text, usage.total_tokens))
        responses = []
        for _ in range(2):
            with client.responses.stream(model="alpha-model", input="a stream", store=False) as stream:
                responses.append(stream.until_done().get_final_response())
    (first_ids, *first), (again_ids, *again) = seen
    assert first == again
    assert len(first_ids) == len(again_ids) == 1
    assert first_ids != again_ids
    assert responses[0].output_text == responses[1].output_text
    assert responses[0].id != responses[1].id
    items = [[item.to_dict()["id"] for item in response.output] for response in responses]
    assert items[0] != items[1]
    until(lambda: noted(served, since, "hit-exact", "hit-exact", "miss", "miss"))


def test_anthropic_s_client_reads_a_kept_stream(served: Served) -> None:
    since = time.time()
    messages: list[Any] = []
    with claude(served) as client:
        for _ in range(2):
            with client.messages.stream(
                model="alpha-model", max_tokens=50, messages=[{"role": "user", "content": "a stream"}]
            ) as stream:
                messages.append(stream.get_final_message())
        whole = client.messages.create(
            model="alpha-model", max_tokens=50, messages=[{"role": "user", "content": "a stream"}]
        )
    assert messages[0].content == messages[1].content
    assert messages[0].usage == messages[1].usage
    assert messages[0].id != messages[1].id
    assert whole.id not in (messages[0].id, messages[1].id)
    until(lambda: noted(served, since, "hit-exact", "miss", "miss"))


def test_who_leaves_before_the_end_leaves_nothing(tmp_path: Path, server: Upstream) -> None:
    begun = asyncio.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        well = server.behave

        async def stalls(request: Received, writer: asyncio.StreamWriter) -> bool:
            await write_stream_begin(writer, chat_events(request)[:-1])
            loop.call_soon_threadsafe(begun.set)
            while not writer.transport.is_closing():  # noqa: ASYNC110 - the gateway hangs up, and no event tells
                await asyncio.sleep(0.02)
            return False

        async with serving(tmp_path, document(server)) as client:
            server.behave = stalls
            call = asyncio.create_task(client.post(CHAT, headers_of("alpha"), body(stream=True)))
            await asyncio.wait_for(begun.wait(), 20)
            await asyncio.sleep(0.05)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            server.behave = well
            assert b"nonce" in (await client.post(CHAT, headers_of("alpha"), body(stream=True))).body
            assert len(server.received) == 2
            assert b"nonce" in (await client.post(CHAT, headers_of("alpha"), body(stream=True))).body
            assert len(server.received) == 2

    asyncio.run(main())


async def write_stream_begin(writer: asyncio.StreamWriter, events: list[bytes]) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for event in events:
        writer.write(b"%x\r\n%s\r\n" % (len(event), event))
    await writer.drain()
