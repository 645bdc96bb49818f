"""Rotating, rewrapping, refusing and destroying: what it does to records, to others, and on paper."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from tests.keys.rings import ALPHA, BETA, BOTH, Hands, keys_dir, ring_in, scope_of, watch

from partywall.errors import ConfigError, KeyDestroyed, KeyUnavailable
from partywall.keys import KeyRing, Store, read_uses
from partywall.keys.key_store import FileKeyStore
from partywall.keys.roots import root_file
from partywall.keys.wrapped import TenantKeys
from partywall.tenancy import TenantId

A, B = scope_of(ALPHA), scope_of(BETA)


async def seal(ring: KeyRing, tenant: TenantId = ALPHA) -> bytes:
    return await ring.store(Store.MEMORY).seal(scope_of(tenant), "note", "n1", b"hello")


async def opens(ring: KeyRing, sealed: bytes, tenant: TenantId = ALPHA) -> bool:
    return await ring.store(Store.MEMORY).open(scope_of(tenant), "note", "n1", sealed) == b"hello"


def keys_of(folder: Path, tenant: TenantId = ALPHA) -> TenantKeys:
    keys = FileKeyStore(keys_dir(folder)).load(tenant)
    assert keys is not None
    return keys


def operations(folder: Path, tenant: TenantId = ALPHA) -> list[tuple[str, int, str, str]]:
    """What was done to a tenant's key, and by whom; without what was done with it."""
    return [
        (use.operation, use.key_version, use.requestor, use.detail)
        for use in read_uses(keys_dir(folder), tenant).uses
        if use.operation not in {"seal", "open", "unwrap", "create"}
    ]


def test_rotation_shows_at_once_and_leaves_the_data_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path, hands=Hands()) as ring:
            sealed = [await seal(ring)]
            await seal(ring, BETA)
            for number in (2, 3, 4):
                assert await ring.life.rotate(ALPHA, who="an operator") == number
                sealed.append(await seal(ring))
            assert [each[4] for each in sealed] == [1, 2, 3, 4]
            for each in sealed:
                assert await opens(ring, each)
            assert (await seal(ring, BETA))[4] == 1
        assert operations(tmp_path) == [("rotate", number, "an operator", "") for number in (2, 3, 4)]
        assert operations(tmp_path, BETA) == []

    asyncio.run(main())


def test_nothing_is_rotated_that_never_was(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            for act in (ring.life.rotate(ALPHA, who="x"), ring.life.rewrap(ALPHA, who="x")):
                with pytest.raises(KeyUnavailable, match="never had a key"):
                    await act
            with pytest.raises(KeyUnavailable, match="never had a key"):
                await ring.life.destroy(ALPHA, who="x")
            assert await ring.life.statuses() == ()

    asyncio.run(main())


def test_a_rotation_that_the_root_refuses_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        roots = watch(monkeypatch)
        async with ring_in(tmp_path) as ring:
            await seal(ring)
            before = keys_of(tmp_path)
            roots[0].down = True
            for act in (ring.life.rotate(ALPHA, who="x"), ring.life.rewrap(ALPHA, who="x")):
                with pytest.raises(KeyUnavailable):
                    await act
            assert keys_of(tmp_path) == before
            await seal(ring)
        assert {done[0] for done in operations(tmp_path)} == {"rotate", "rewrap", "refused"}

    asyncio.run(main())


def test_a_key_that_its_root_cant_give_back_is_never_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root that may encrypt and not decrypt would take every record with it."""

    async def main() -> None:
        roots = watch(monkeypatch)
        async with ring_in(tmp_path) as ring:
            await seal(ring)
            before = keys_of(tmp_path)

            async def refuse(*_: object) -> bytes:
                raise KeyUnavailable("permission denied")

            async def lie(*_: object) -> bytes:
                return bytes(32)

            for answer in (refuse, lie):
                with monkeypatch.context() as patch:
                    patch.setattr(roots[0], "unwrap", answer)
                    with pytest.raises(KeyUnavailable):
                        await ring.life.rotate(ALPHA, who="x")
            assert keys_of(tmp_path) == before

    asyncio.run(main())


def test_rewrapping_makes_the_old_root_version_needless(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            sealed = [await seal(ring), await seal(ring, BETA)]
            await ring.life.rotate(ALPHA, who="x")
            sealed.append(await seal(ring))
            old = keys_of(tmp_path)
            await ring.life.rotate_root(ALPHA, who="an operator")
            assert await ring.life.rewrap(ALPHA, who="an operator") == 2
            new = keys_of(tmp_path)
            assert {v.wrapped for v in old.versions}.isdisjoint({v.wrapped for v in new.versions})
            assert [v.created for v in old.versions] == [v.created for v in new.versions]
            assert len(root_file.read(tmp_path / "root.key")) == 2
            assert {version.wrapped[1:5] for version in new.versions} == {b"\0\0\0\2"}
            assert await opens(ring, sealed[0])
            assert await opens(ring, sealed[1], BETA)
            assert await opens(ring, sealed[2])
        assert operations(tmp_path) == [
            ("rotate", 2, "x", ""),
            ("rotate_root", 0, "an operator", "file"),
            ("rewrap", 2, "an operator", "file"),
        ]

    asyncio.run(main())


def test_a_minimum_is_a_version_that_exists(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            await seal(ring)
            for number in (0, 2, -1):
                with pytest.raises(ConfigError):
                    await ring.life.set_min_decryption_version(ALPHA, number, who="x")
            await ring.life.set_min_decryption_version(ALPHA, 1, who="x")
        assert operations(tmp_path) == [("set_min_decryption_version", 1, "x", "")]

    asyncio.run(main())


# -- By time ---------------------------------------------------------------------------------------------------------


def test_what_is_due_is_rotated_once(tmp_path: Path) -> None:
    day = 86_400.0

    async def main() -> None:
        hands = Hands()
        start = hands.wall
        async with ring_in(tmp_path, hands=hands, auto_rotate_days=30) as ring:
            await seal(ring)
            hands.move(10 * day)
            await seal(ring, BETA)
            assert (await ring.life.rotate_due(start + 30 * day - 1)).rotated == {}
            hands.wall = start + 30 * day
            done = await asyncio.gather(*[ring.life.rotate_due(hands.wall) for _ in range(4)])
            assert [each.rotated for each in done if each.rotated] == [{ALPHA: 2}]
            hands.wall = start + 40 * day
            assert (await ring.life.rotate_due(hands.wall)).rotated == {BETA: 2}
            assert (await ring.life.rotate_due(hands.wall)).rotated == {}
        async with ring_in(tmp_path, hands=hands) as ring:
            assert (await ring.life.rotate_due(hands.wall + 999 * day)).rotated == {}

    asyncio.run(main())


def test_one_tenants_failure_is_no_others(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path, auto_rotate_days=1) as ring:
            for tenant in (ALPHA, BETA, TenantId("gamma")):
                await ring.ensure(tenant, who="x")
            await ring.life.destroy(TenantId("gamma"), who="x")
            (keys_dir(tmp_path) / ALPHA / "keys.json").write_text("{}")
            done = await ring.life.rotate_due(4e9)
            assert done.rotated == {BETA: 2}
            assert list(done.failed) == [ALPHA]

    asyncio.run(main())


# -- Destruction -----------------------------------------------------------------------------------------------------


def test_destruction_takes_everything_of_one_tenant(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path, hands=Hands()) as ring:
            sealed = {tenant: await seal(ring, tenant) for tenant in BOTH}
            await ring.life.rotate(ALPHA, who="x")
            hashes = tuple(version.wrapped_sha256 for version in keys_of(tmp_path).versions)
            receipt = await ring.life.destroy(ALPHA, who="an operator")
            assert (receipt.tenant, receipt.versions, receipt.wrapped_sha256) == (ALPHA, (1, 2), hashes)
            assert (receipt.roots, receipt.root_confirmed, receipt.who) == (("file",), True, "an operator")
            assert receipt.root == "file: The root key file serves every tenant and was left alone."
            assert (receipt.key_store, receipt.time) == ("files", Hands().wall)
            assert json.loads(receipt.to_json())["tenant"] == ALPHA
            for act in (opens(ring, sealed[ALPHA]), ring.ensure(ALPHA, who="x"), ring.life.rewrap(ALPHA, who="x")):
                with pytest.raises(KeyDestroyed):
                    await act
            for number in (ring.life.rotate(ALPHA, who="x"), seal(ring)):
                with pytest.raises(KeyDestroyed):
                    await number
            assert await opens(ring, sealed[BETA], BETA)
            assert await ring.life.destroy(ALPHA, who="somebody") == receipt
        async with ring_in(tmp_path) as ring:
            with pytest.raises(KeyDestroyed):
                await seal(ring)
            statuses = await ring.life.statuses()
            assert [(s.tenant, s.receipt, len(s.versions)) for s in statuses] == [(ALPHA, receipt, 0), (BETA, None, 1)]

    asyncio.run(main())


def test_a_root_that_cant_be_asked_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        roots = watch(monkeypatch)
        async with ring_in(tmp_path) as ring:
            await seal(ring)
            roots[0].down = True
            receipt = await ring.life.destroy(ALPHA, who="x")
            assert not receipt.root_confirmed
            assert "not confirmed, the root is down" in receipt.root
            with pytest.raises(KeyDestroyed):
                await seal(ring)
            roots[0].down = False
            receipt = await ring.life.destroy(ALPHA, who="x")
            assert receipt.root_confirmed
            assert roots[0].destroyed == [ALPHA, ALPHA]
            await ring.life.destroy(ALPHA, who="x")
            assert roots[0].destroyed == [ALPHA, ALPHA]

    asyncio.run(main())


def test_a_backup_opens_nothing_after_the_destruction(tmp_path: Path) -> None:
    """LESSONS C49: not in a process that runs, and not in a new one."""

    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            sealed = await seal(ring)
            shutil.copytree(keys_dir(tmp_path) / ALPHA, tmp_path / "backup")
            await ring.life.destroy(ALPHA, who="x")
            shutil.copytree(tmp_path / "backup", keys_dir(tmp_path) / ALPHA, dirs_exist_ok=True)
            with pytest.raises(KeyDestroyed):
                await opens(ring, sealed)
        async with ring_in(tmp_path) as ring:
            with pytest.raises(KeyDestroyed):
                await opens(ring, sealed)
            with pytest.raises(KeyDestroyed):
                await seal(ring)

    asyncio.run(main())


def test_status_says_what_cant_be_read(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path, min_decryption_version=7) as ring:
            for tenant in BOTH:
                await seal(ring, tenant)
            await ring.life.rotate(BETA, who="x")
            (keys_dir(tmp_path) / ALPHA / "keys.json").chmod(0o644)
            alpha, beta = await ring.life.statuses()
            assert alpha.unreadable is not None
            assert "chmod 600" in alpha.unreadable
            assert [(v.number, v.root) for v in beta.versions] == [(1, "file"), (2, "file")]
            assert (beta.min_decryption_version, beta.unreadable, beta.receipt) == (2, None, None)

    asyncio.run(main())
