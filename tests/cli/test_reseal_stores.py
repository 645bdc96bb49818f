"""`partywall keys reseal` over everything that a tenant has: two versions, killed half-way; then without the old."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.cli.helpers import Command, spawn
from tests.support.documents import TENANTS, base_document, headers_of, merged, write_document

from partywall.platform import Platform
from partywall.tenancy import Secret, TenantScope

SEALED: dict[str, Any] = {"encrypted_per_tenant": ["audit_logs", "agent_memory", "conversation_logs"]}
PAGE = 200
"""How many records lie between two checkpoints."""
STORES = ("conversations", "memory", "preferences", "sessions", "vault")


def document_in(folder: Path, **encryption: Any) -> Path:
    return write_document(folder / "doc.yaml", merged(base_document(), encryption=SEALED | encryption))


def on_platform(folder: Path, work: Callable[[Platform], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with Platform.open(folder / "doc.yaml", data_dir=folder / "data") as platform:
            await work(platform)

    asyncio.run(main())


async def scope_of(platform: Platform, tenant: str, what: str) -> TenantScope:
    """A user for each version: what one reads, and so seals anew, is nobody else's."""
    return await platform.authenticate(headers_of(tenant) | {"x-user-id": what})


async def write(platform: Platform, tenant: str, what: str) -> None:
    """Something in every store."""
    scope = await scope_of(platform, tenant, what)
    await platform.conversations.append(scope, f"conv-{what}", role="user", content=f"{what} of {tenant}")
    await platform.memory.add(scope, "helper", f"{what} of {tenant}", tags=[tenant])
    await platform.preferences.put(scope, what, tenant)
    await platform.vault.put(scope, what, Secret(f"{what} of {tenant}"))
    await platform.stores.sessions.start(scope)


async def check(platform: Platform, tenant: str, what: str) -> None:
    """Everything that `write` wrote, and nothing else."""
    scope = await scope_of(platform, tenant, what)
    assert await platform.preferences.read(scope) == {what: tenant}
    notes = await platform.memory.search(scope, "helper", tenant)
    assert [note.text for note in notes.items] == [f"{what} of {tenant}"]
    said = await platform.conversations.messages(scope, f"conv-{what}")
    assert [message.content for message in said.items] == [f"{what} of {tenant}"]
    assert (await platform.vault.get(scope, what)).matches(f"{what} of {tenant}")


def everybody(folder: Path, act: Callable[..., Coroutine[Any, Any, None]], *whats: str) -> None:
    async def work(platform: Platform) -> None:
        for tenant in TENANTS:
            for what in whats:
                await act(platform, tenant, what)

    on_platform(folder, work)


def versions(data_dir: Path, tenant: str, store: str) -> set[int]:
    """The versions under which a store's records are sealed, as their headers say."""
    with closing(sqlite3.connect(data_dir / "tenants" / tenant / f"{store}.db")) as file:
        return {int.from_bytes(sealed[1:5], "big") for (sealed,) in file.execute("SELECT sealed FROM rows")}


@pytest.fixture
def two_versions(partywall: Command, tmp_path: Path) -> Path:
    """A folder in which each tenant has something under the first version of its key, and under the second."""
    document_in(tmp_path)
    everybody(tmp_path, write, "old")
    assert partywall("keys", "rotate", "--all", "--data-dir", tmp_path / "data").code == 0
    everybody(tmp_path, write, "new")
    for tenant in TENANTS:
        for store in STORES:
            assert versions(tmp_path / "data", tenant, store) == {1, 2}
    return tmp_path


def test_afterwards_the_old_version_may_be_refused(partywall: Command, two_versions: Path) -> None:
    data = two_versions / "data"
    ended = partywall("keys", "reseal", "--data-dir", data)
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        *(name for tenant in TENANTS for name in (tenant, *(f"{tenant}, {store}" for store in STORES))),
    ]
    assert "alpha, vault: 4 records, 2 of them sealed anew" in lines
    for tenant in TENANTS:
        for store in STORES:
            assert versions(data, tenant, store) == {2}
    document_in(two_versions, rotation_policy={"min_decryption_version": 2})
    everybody(two_versions, check, "old", "new")
    assert not list(data.glob("keys/*/reseal*"))


def test_without_it_the_old_version_is_missed(two_versions: Path) -> None:
    """The positive control: the minimum does refuse what wasn't sealed anew."""
    document_in(two_versions, rotation_policy={"min_decryption_version": 2})
    everybody(two_versions, check, "new")

    async def work(platform: Platform) -> None:
        for tenant in TENANTS:
            assert await platform.preferences.read(await scope_of(platform, tenant, "old")) == {}

    on_platform(two_versions, work)


def test_one_tenant_and_one_store(partywall: Command, two_versions: Path) -> None:
    data = two_versions / "data"
    arguments = ("keys", "reseal", "--data-dir", data, "--tenant", "alpha", "--store", "memory", "--format", "json")
    (done,) = partywall(*arguments).json
    assert (done["tenant"], done["store"], done["broken"]) == ("alpha", "memory", 0)
    assert 0 < done["resealed"] < done["seen"]
    for tenant in TENANTS:
        for store in STORES:
            done = (tenant, store) == ("alpha", "memory")
            assert versions(data, tenant, store) == ({2} if done else {1, 2})
    (again,) = partywall(*arguments).json
    assert again["resealed"] == 0
    everybody(two_versions, check, "old", "new")


def test_it_is_in_the_records_of_whose_stores_were_gone_through(partywall: Command, two_versions: Path) -> None:
    data = two_versions / "data"
    partywall("keys", "reseal", "--data-dir", data, "--tenant", "alpha")
    for tenant, acts in (("alpha", 1), ("beta", 0)):
        told = partywall("events", "export", "--data-dir", data, "--tenant", tenant, "--format", "text").out
        assert told.count("OPERATOR keys reseal") == acts


def test_what_does_not_open_is_left_and_named(partywall: Command, two_versions: Path) -> None:
    data = two_versions / "data"
    with closing(sqlite3.connect(data / "tenants/alpha/vault.db")) as file, file:
        (foreign,) = next(
            iter(sqlite3.connect(data / "tenants/beta/vault.db").execute("SELECT sealed FROM rows LIMIT 1"))
        )
        file.execute("UPDATE rows SET sealed = ? WHERE position = 1", (foreign,))
    ended = partywall("keys", "reseal", "--data-dir", data, "--tenant", "alpha", "--store", "vault")
    assert (ended.code, ended.out) == (1, "alpha, vault: 4 records, 1 of them sealed anew\n")
    assert "alpha, vault: 1 records don't open and were left alone: " in ended.err


def test_a_tenant_that_the_document_names_no_more_is_resealed_too(partywall: Command, two_versions: Path) -> None:
    """What it left behind is still to be read: by its successor, or by whoever exports it."""
    sections = merged(base_document(), encryption=SEALED)
    sections["consumer_groups"]["groups"] = sections["consumer_groups"]["groups"][:1]
    sections["providers"]["targets"] = sections["providers"]["targets"][:1]
    write_document(two_versions / "doc.yaml", sections)
    ended = partywall("keys", "reseal", "--data-dir", two_versions / "data")
    assert (ended.code, ended.err) == (0, "")
    for store in STORES:
        assert versions(two_versions / "data", "beta", store) == {2}


def test_killed_half_way_it_goes_on_where_it_was(partywall: Command, tmp_path: Path) -> None:
    document_in(tmp_path)
    count = 300

    async def talk(platform: Platform) -> None:
        for tenant in TENANTS:
            scope = await platform.authenticate(headers_of(tenant))
            for number in range(count if tenant == "alpha" else 3):
                await platform.vault.put(scope, f"tool {number}", Secret(f"token {number}"))

    on_platform(tmp_path, talk)
    data = tmp_path / "data"
    partywall("keys", "rotate", "--all", "--data-dir", data)
    checkpoint = data / "keys" / "alpha" / "reseal.vault.json"
    resealing = spawn("keys", "reseal", "--data-dir", data, "--tenant", "alpha", "--store", "vault")
    deadline = time.monotonic() + 60
    while not checkpoint.exists():
        assert time.monotonic() < deadline
        assert resealing.poll() is None, resealing.communicate()
        time.sleep(0.001)
    os.kill(resealing.pid, signal.SIGKILL)
    resealing.communicate()
    assert versions(data, "alpha", "vault") == {1, 2}
    (done,) = partywall(
        "keys", "reseal", "--data-dir", data, "--tenant", "alpha", "--store", "vault", "--format", "json"
    ).json
    assert done["seen"] == 2 * count  # a credential is two records
    assert done["resealed"] > 2 * count - PAGE  # what the first run did counts: the second didn't begin anew
    assert versions(data, "alpha", "vault") == {2}
    assert versions(data, "beta", "vault") == {1}
    assert not checkpoint.exists()
    document_in(tmp_path, rotation_policy={"min_decryption_version": 2})

    async def read(platform: Platform) -> None:
        scope = await platform.authenticate(headers_of("alpha"))
        for number in range(count):
            assert (await platform.vault.get(scope, f"tool {number}")).matches(f"token {number}")

    on_platform(tmp_path, read)
