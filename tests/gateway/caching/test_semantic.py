"""Questions that are alike, on the whole gateway."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.gateway.caching.worlds import CHAT, body, cache_notes, document, said, serving
from tests.support.documents import headers_of
from tests.support.inprocess import Client
from tests.support.upstream import Upstream

ASKED, ALIKE = "How do I connect a printer?", "How do I connect the printer?"


async def _asks(client: Client, tenant: str, words: str, **fields: Any) -> str:
    return said(await client.post(CHAT, headers_of(tenant), body(words, **fields)))


def test_a_paraphrase_hits_within_its_tenant_and_nowhere_else(tmp_path: Path, server: Upstream) -> None:
    async def main() -> None:
        async with serving(tmp_path, document(server, "semantic")) as client:
            first = await _asks(client, "alpha", ASKED)
            assert await _asks(client, "alpha", ALIKE) == first
            assert len(server.received) == 1
            assert await _asks(client, "beta", ALIKE) != first
            assert await _asks(client, "beta", ASKED) != first
            assert len(server.received) == 2  # beta's second is beta's own first
            # A tenant that is a word of the prompt is no wall, so it is none here: another history, another partition.
            history = [{"role": "system", "content": "You serve Bob."}, {"role": "user", "content": ALIKE}]
            await client.post(CHAT, headers_of("alpha"), {"model": "shared", "messages": history})
            await _asks(client, "alpha", ALIKE, temperature=0.5)
            await _asks(client, "alpha", "How do I disconnect the printer?")
            assert len(server.received) == 5
            await client.platform.trail.flush()
        assert cache_notes(tmp_path / "data", "alpha") == ["miss", "hit-semantic", "miss", "miss", "miss"]

    asyncio.run(main())


def test_what_one_plants_catches_nothing_of_the_other(tmp_path: Path, server: Upstream) -> None:
    """As in arXiv 2601.23088: alpha floods the cache with what is near to beta's question."""

    async def main() -> None:
        async with serving(tmp_path, document(server, "semantic", threshold=0.5)) as client:
            planted = [
                await _asks(client, "alpha", words)
                for words in (ALIKE, ASKED, f"{ASKED} {ASKED}", f"{ASKED} please", "connect printer", "printer")
            ]
            before = len(server.received)
            assert await _asks(client, "beta", ASKED) not in planted
            assert len(server.received) == before + 1

    asyncio.run(main())
