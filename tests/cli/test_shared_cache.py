"""Two gateways, each in its own process, before one Valkey: what one has kept the other finds, for the same tenant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest
from tests.cli.helpers import Command
from tests.gateway.caching.worlds import answering, cache_notes, document
from tests.support.documents import KEYS, headers_of, write_document
from tests.support.engines.valkey import OWNER, ValkeyServer
from tests.support.process import Served, serve


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ValkeyServer:
    """One that this test may stop."""
    server = ValkeyServer(tmp_path / "valkey")
    monkeypatch.setenv("CACHE_URL", server.url())
    monkeypatch.setenv("CACHE_OWNER_URL", server.url(OWNER))
    return server


def asked(gateway: Served, tenant: str, words: str) -> str:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEYS[tenant], max_retries=0) as client:
        answer = client.chat.completions.create(
            model="shared", messages=[{"role": "user", "content": words}], extra_headers=headers_of(tenant)
        )
    return answer.choices[0].message.content or ""


def test_two_gateways_share_what_a_tenant_was_answered_and_go_on_without(
    tmp_path: Path, partywall: Command, server: ValkeyServer
) -> None:
    data_dir = tmp_path / "data"
    with answering() as upstream:
        storage: dict[str, Any] = {
            "cache": "valkey",
            "cache_url_ref": {"env": "CACHE_URL"},
            "cache_owner_url_ref": {"env": "CACHE_OWNER_URL"},
        }
        path = write_document(tmp_path / "partywall.yaml", document(upstream) | {"storage": storage})
        assert partywall("storage", "migrate", path, "--data-dir", data_dir).code == 0
        with serve(path, data_dir) as one, serve(path, data_dir) as other:
            first = asked(one, "alpha", "our secret word")
            assert asked(other, "alpha", "our secret word") == first
            assert len(upstream.received) == 1
            assert asked(other, "beta", "our secret word") != first
            assert len(upstream.received) == 2
            server.stop()
            assert asked(one, "alpha", "our secret word") != first
            assert asked(other, "beta", "another") != first
            assert len(upstream.received) == 4
    assert sorted(set(cache_notes(data_dir, "alpha"))) == ["hit-exact", "miss"]
