"""Opening and closing a keyring, whose root is asked, and what a fork leaves."""

from __future__ import annotations

import asyncio
import os
import shutil
import warnings
from collections.abc import Coroutine
from pathlib import Path

import pytest
from tests.keys.rings import ALPHA, BETA, BOTH, keys_dir, ring_in, scope_of, settings_in

from partywall.errors import ConfigError, InvalidTenantId, KeyUnavailable, SealBroken
from partywall.keys import FileRoot, FileRootSettings, KeyRing, NamedRoot, Store, read_uses
from partywall.keys.key_store import FileKeyStore
from partywall.tenancy import TenantId

A, B = scope_of(ALPHA), scope_of(BETA)


def own_root(folder: Path, tenant: TenantId, name: str | None = None) -> NamedRoot:
    """A root of the tenant's own: another file."""
    path = folder / f"{name or tenant}.root.key"
    if not path.exists():
        FileRoot.create(path)
    root = NamedRoot.of_tenant(tenant, FileRootSettings(path))
    return root if name is None else NamedRoot(name, root.settings)


def roots_of(folder: Path, tenant: TenantId) -> list[str]:
    keys = FileKeyStore(keys_dir(folder)).load(tenant)
    assert keys is not None
    return [version.root for version in keys.versions]


def test_what_the_body_raises_comes_out_as_it_was(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            await ring.store(Store.MEMORY).seal(A, "note", "n1", b"x")
            raise LookupError("the body's own")

    with pytest.raises(LookupError, match="the body's own"):
        asyncio.run(main())
    assert sum(use.count for use in read_uses(keys_dir(tmp_path), ALPHA).uses if use.operation == "seal") == 1


def test_a_service_has_a_name(tmp_path: Path) -> None:
    async def main() -> None:
        async with KeyRing.open(settings_in(tmp_path), "", print):
            raise AssertionError

    with pytest.raises(ConfigError, match="a name"):
        asyncio.run(main())


def test_a_place_that_is_refused_stops_the_start(tmp_path: Path) -> None:
    keys_dir(tmp_path).mkdir(mode=0o755)

    async def main() -> None:
        async with ring_in(tmp_path):
            raise AssertionError

    with pytest.raises(KeyUnavailable, match="open to others"):
        asyncio.run(main())


def test_a_closed_ring_does_nothing_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            await ring.ensure(ALPHA, who="test")
        for act in (
            ring.ensure(ALPHA, who="test"),
            ring.life.rotate(ALPHA, who="test"),
            ring.life.destroy(ALPHA, who="test"),
            ring.life.statuses(),
            ring.store(Store.MEMORY).index(A, "note", b"x"),
        ):
            with pytest.raises(KeyUnavailable, match="closed"):
                await act
        assert FileKeyStore(keys_dir(tmp_path)).load(ALPHA) is not None

    asyncio.run(main())


def test_check_asks_the_root(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            await ring.check()
            (tmp_path / "root.key").unlink()
            with pytest.raises(KeyUnavailable):
                await ring.check()

    asyncio.run(main())


def test_ensure_makes_a_key_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            for _ in range(3):
                await ring.ensure(ALPHA, who="onboarding")
            assert roots_of(tmp_path, ALPHA) == ["file"]
            for nobody in ("_platform", "Alpha", ""):
                with pytest.raises(InvalidTenantId):
                    await ring.ensure(TenantId(nobody), who="onboarding")
        uses = read_uses(keys_dir(tmp_path), ALPHA).uses
        assert [(use.operation, use.requestor) for use in uses] == [
            ("create", "onboarding"),
            ("unwrap", "onboarding"),
        ]

    asyncio.run(main())


# -- Roots -----------------------------------------------------------------------------------------------------------


def test_a_tenants_own_root_wraps_its_keys_alone(tmp_path: Path) -> None:
    """And when it is taken away, nobody else notices."""

    async def main() -> None:
        own = own_root(tmp_path, ALPHA)
        async with ring_in(tmp_path, tenant_roots={ALPHA: own}) as ring:
            memory = ring.store(Store.MEMORY)
            sealed = {scope: await memory.seal(scope, "note", "n1", b"x") for scope in (A, B)}
            assert roots_of(tmp_path, ALPHA) == ["alpha:file"]
            assert roots_of(tmp_path, BETA) == ["file"]
        (tmp_path / "alpha.root.key").unlink()
        async with ring_in(tmp_path, tenant_roots={ALPHA: own}) as ring:
            memory = ring.store(Store.MEMORY)
            with pytest.raises(KeyUnavailable):
                await memory.open(A, "note", "n1", sealed[A])
            assert await memory.open(B, "note", "n1", sealed[B]) == b"x"

    asyncio.run(main())


def test_no_tenants_key_goes_to_anothers_root(tmp_path: Path) -> None:
    """Not even when its key file says so."""

    async def main() -> None:
        betas = own_root(tmp_path, BETA)
        async with ring_in(tmp_path, tenant_roots={ALPHA: NamedRoot("beta:file", betas.settings)}) as ring:
            await ring.ensure(ALPHA, who="test")
        async with ring_in(tmp_path, tenant_roots={BETA: betas}) as ring:
            await ring.ensure(BETA, who="test")
            with pytest.raises(KeyUnavailable, match="`beta:file`, which is not set up"):
                await ring.ensure(ALPHA, who="test")

    asyncio.run(main())


def test_moving_to_a_root_of_its_own_and_back(tmp_path: Path) -> None:
    async def main() -> None:
        own = own_root(tmp_path, ALPHA)
        async with ring_in(tmp_path) as ring:
            sealed = await ring.store(Store.MEMORY).seal(A, "note", "n1", b"x")
        async with ring_in(tmp_path, tenant_roots={ALPHA: own}) as ring:
            assert await ring.store(Store.MEMORY).open(A, "note", "n1", sealed) == b"x"
            assert [status.rewrap_due for status in await ring.life.statuses()] == [True]
            await ring.life.rotate(ALPHA, who="test")
            assert roots_of(tmp_path, ALPHA) == ["file", "alpha:file"]
            await ring.life.rewrap(ALPHA, who="test")
            assert roots_of(tmp_path, ALPHA) == ["alpha:file", "alpha:file"]
            assert [status.rewrap_due for status in await ring.life.statuses()] == [False]
        async with ring_in(tmp_path) as ring:
            with pytest.raises(KeyUnavailable, match="former roots"):
                await ring.store(Store.MEMORY).open(A, "note", "n1", sealed)
        async with ring_in(tmp_path, former_roots=(own,)) as ring:
            assert await ring.store(Store.MEMORY).open(A, "note", "n1", sealed) == b"x"
            await ring.life.rewrap(ALPHA, who="test")
        async with ring_in(tmp_path) as ring:
            assert await ring.store(Store.MEMORY).open(A, "note", "n1", sealed) == b"x"

    asyncio.run(main())


def test_another_root_under_an_old_name_opens_nothing(tmp_path: Path) -> None:
    """There is no trying of keys until one fits."""

    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            sealed = await ring.store(Store.MEMORY).seal(A, "note", "n1", b"x")
        shutil.move(tmp_path / "root.key", tmp_path / "old.key")
        old = NamedRoot("old", FileRootSettings(tmp_path / "old.key"))
        async with ring_in(tmp_path, former_roots=(old,)) as ring:
            with pytest.raises(SealBroken):
                await ring.store(Store.MEMORY).open(A, "note", "n1", sealed)

    asyncio.run(main())


# -- Forks -----------------------------------------------------------------------------------------------------------


def at_once(coroutine: Coroutine[object, object, bytes]) -> str:
    """What a coroutine that may not suspend did."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return f"sealed {len(done.value)}"
    except KeyUnavailable as error:
        return str(error)
    return "suspended"


def test_a_child_holds_nothing_and_uses_nothing(tmp_path: Path) -> None:
    """The parent's counters in two processes would be one nonce twice."""

    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            memory = ring.store(Store.MEMORY)
            for scope in (A, B):
                await memory.seal(scope, "note", "n1", b"x")
            held = [ring._holding.tenants[tenant].unwrapped[1].material for tenant in BOTH]
            reading, writing = os.pipe()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # it has threads, and the child touches none
                child = os.fork()
            if child == 0:
                try:
                    said = [at_once(memory.seal(scope, "note", "n1", b"x")) for scope in (A, B)]
                    os.write(writing, "\n".join([*said, str(any(any(key) for key in held))]).encode())
                finally:
                    os._exit(0)
            os.close(writing)
            with os.fdopen(reading) as pipe:
                first, second, anything_left = pipe.read().split("\n")
            await asyncio.to_thread(os.waitpid, child, 0)
            assert first == second == "the keyring was opened before a fork; open one in each process"
            assert anything_left == "False"
            assert at_once(memory.seal(A, "note", "n1", b"x")) == "sealed 78"

    asyncio.run(main())
