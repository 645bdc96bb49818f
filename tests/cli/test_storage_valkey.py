"""`partywall storage` on Valkey, and gateways in two processes that share it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.helpers import Command
from tests.support.documents import base_document, headers_of, merged, write_document
from tests.support.engines.valkey import OWNER, SERVING, ValkeyServer, valkey_server

from partywall.errors import ConfigError, Missing
from partywall.platform import Platform

SEALED = {"encryption": {"encrypted_per_tenant": ["conversation_logs"]}}
STORAGE = {"cache": "valkey", "cache_url_ref": {"env": "CACHE_URL"}, "cache_owner_url_ref": {"env": "CACHE_OWNER_URL"}}
_OTHER_GATEWAY = """
import asyncio, json, sys
from partywall.platform import Platform

async def main(path, data_dir, headers):
    async with Platform.open(path, data_dir=data_dir) as platform:
        scope = await platform.authenticate(json.loads(headers))
        while word := (await asyncio.to_thread(sys.stdin.readline)).split():
            match word:
                case ["add", amount]:
                    print(await platform.counters.add(scope, "tokens", int(amount), window_seconds=600), flush=True)
                case ["start"]:
                    print((await platform.sessions.start(scope)).id, flush=True)
                case ["verify", session]:
                    try:
                        print((await platform.sessions.verify(scope, session)).id, flush=True)
                    except Exception as error:
                        print(type(error).__name__, flush=True)
                case ["end_all"]:
                    print(await platform.sessions.end_all(scope), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> ValkeyServer:
    """An empty one, whose addresses are in the environment."""
    server = valkey_server()
    server.clear()
    monkeypatch.setenv("CACHE_URL", server.url())
    monkeypatch.setenv("CACHE_OWNER_URL", server.url(OWNER))
    return server


def document(folder: Path) -> Path:
    return write_document(folder / "partywall.yaml", merged(base_document(), **SEALED, storage=STORAGE))


def test_migrate_then_serve_then_check(
    tmp_path: Path, partywall: Command, server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, data = document(tmp_path), ("--data-dir", tmp_path / "data")

    async def opened() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            alpha, beta = [await platform.authenticate(headers_of(name)) for name in ("alpha", "beta")]
            session = await platform.sessions.start(alpha)
            assert await platform.sessions.verify(alpha, session.id) == session
            with pytest.raises(Missing):
                await platform.sessions.verify(beta, session.id)
            assert await platform.counters.add(alpha, "n", 2, window_seconds=60) == 2
            assert await platform.counters.read(beta, "n", window_seconds=60) == 0

    with pytest.raises(ConfigError, match="storage migrate"):
        asyncio.run(opened())
    assert partywall("storage", "check", path, *data).code == 2
    ended = partywall("storage", "migrate", path, *data)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "the cache server: ready",
        "alpha in the cache (database 1): ready",
        "beta in the cache (database 2): ready",
    ]
    assert partywall("storage", "migrate", path, *data).out == ended.out
    with monkeypatch.context() as without:  # who serves doesn't know the owner
        without.delenv("CACHE_OWNER_URL")
        asyncio.run(opened())
        checked = partywall("storage", "check", path, *data)
        assert (checked.code, checked.out.count("fit to serve")) == (0, 3)
    other = partywall("storage", "migrate", path, "--data-dir", tmp_path / "other")
    assert other.code == 2
    assert "another deployment" in other.err
    server.do("ACL", "SETUSER", "partywall:beta", "~*")
    broken = partywall("storage", "check", path, *data)
    assert broken.code == 2
    assert "beta in the cache: `beta` is not served" in broken.err
    assert "alpha in the cache: fit to serve" in broken.out
    assert "of-the-tests" not in broken.err + other.err


def test_a_tenant_may_be_given_no_database_and_gets_a_place_when_it_is_created(
    tmp_path: Path, partywall: Command, server: ValkeyServer
) -> None:
    path, data = document(tmp_path), ("--data-dir", tmp_path / "data")
    ended = partywall("storage", "migrate", path, *data, "--common-cache")
    assert ended.out.splitlines()[1:] == [
        "alpha in the cache (the common database): ready",
        "beta in the cache (the common database): ready",
    ]
    assert partywall("storage", "check", path, *data).code == 0
    created = partywall("tenants", "create", "gamma", path, *data)
    assert created.code == 0, created.err
    assert server.do("HGET", "partywall:registry", "tenant:gamma") == b"1"
    assert SERVING in str(server.do("ACL", "LIST"))


def test_two_gateways_in_two_processes_share_sessions_and_counters(
    tmp_path: Path, partywall: Command, server: ValkeyServer
) -> None:
    path, data_dir = document(tmp_path), tmp_path / "data"
    assert partywall("storage", "migrate", path, "--data-dir", data_dir).code == 0
    process = subprocess.Popen(
        [sys.executable, "-c", _OTHER_GATEWAY, path, data_dir, json.dumps(headers_of("alpha"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def other(line: str) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    async def main() -> None:
        async with Platform.open(path, data_dir=data_dir) as platform:
            scope = await platform.authenticate(headers_of("alpha"))
            theirs = await asyncio.to_thread(other, "start")
            assert (await platform.sessions.verify(scope, theirs)).id == theirs
            assert await platform.counters.add(scope, "tokens", 5, window_seconds=600) == 5
            assert await asyncio.to_thread(other, "add 7") == "12"
            assert await platform.counters.read(scope, "tokens", window_seconds=600) == 12
            await platform.sessions.end_all(scope)
            assert await asyncio.to_thread(other, f"verify {theirs}") == "Missing"
            ours = (await platform.sessions.start(scope)).id
            assert await asyncio.to_thread(other, f"verify {ours}") == ours
            await asyncio.to_thread(other, "end_all")
            with pytest.raises(Missing):
                await platform.sessions.verify(scope, ours)

    try:
        asyncio.run(main())
    finally:
        process.communicate(timeout=60)
