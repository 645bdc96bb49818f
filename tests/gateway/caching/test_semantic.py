"""Questions that are alike, on the whole gateway."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.caching.worlds import CHAT, body, cache_notes, document, said, serving
from tests.support.documents import TENANTS, headers_of, write_document
from tests.support.inprocess import Client
from tests.support.upstream import Upstream

from partywall.errors import ConfigError
from partywall.platform.source import Source

ASKED, ALIKE = "How do I connect a printer?", "How do I connect the printer?"
EMBEDDING = {"target": "shared", "dimensions": 256}


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


@pytest.mark.parametrize(
    ("missing", "said", "refused"),
    [
        ("wordllama", {"cache": {"mode": "semantic"}}, "cache.mode: "),
        ("wordllama", {"tenants": {"alpha": {}, "beta": {"cache": "semantic"}}}, "tenants.beta.cache: "),
        ("wordllama", {"cache": {"mode": "exact"}}, None),
        ("wordllama", {"cache": {"mode": "semantic"}, "tenants": {t: {"cache": "exact"} for t in TENANTS}}, None),
        ("wordllama", {"cache": {"mode": "semantic"}, "rag": {"embedding": EMBEDDING}}, None),
        ("numpy", {"cache": {"mode": "semantic"}, "rag": {"embedding": EMBEDDING}}, "cache.mode: "),
    ],
)
def test_what_nothing_compares_is_not_served(
    tmp_path: Path,
    server: Upstream,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    said: dict[str, Any],
    refused: str | None,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == missing else find(name, *rest))
    path = write_document(tmp_path / "partywall.yaml", document(server, "off") | said)
    if refused is None:
        Source(path).read()
        return
    with pytest.raises(ConfigError, match=refused) as raised:
        Source(path).read()
    assert 'pip install "partywall[documents]"' in str(raised.value)
