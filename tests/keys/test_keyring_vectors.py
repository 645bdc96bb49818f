"""Every vector of the envelope through a keyring: from files, through a root, to the record or the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.keys.rings import keys_dir, ring_in, scope_of, settings_in
from tests.keys.vectors import Negative, Positive, load_envelopes, tenant_key

from partywall.errors import BrokenSeal, KeyVersionRefused, SealBroken
from partywall.keys import FileRoot, Store
from partywall.keys.key_store import FileKeyStore
from partywall.keys.wrapped import TenantKeys, WrappedKey
from partywall.keys.wrapping import wrap_context
from partywall.tenancy import TenantId

VECTORS = load_envelopes()
ALL = (1, 2)


async def install(folder: Path, *, versions: Iterable[int] = ALL, minimum: int = 1) -> None:
    """Wrap the vectors' tenant keys and put them where a keyring looks."""
    settings = settings_in(folder)
    root = FileRoot(settings.root.settings)  # type: ignore[arg-type]  # our settings name a file
    store = FileKeyStore(keys_dir(folder))
    for name in VECTORS["tenant_keys"]:
        tenant = TenantId(name)
        wrapped = []
        for number in ALL:
            blob = await root.wrap(tenant, tenant_key(VECTORS, name, number), wrap_context(number))
            version = WrappedKey.new(number, created=0.0, root="file", wrapped=blob)
            wrapped.append(version if number in versions else version.destroyed())
        assert store.replace(None, TenantKeys(tenant, ALL[-1], max(minimum, min(versions)), tuple(wrapped)))
    await root.aclose()


@pytest.mark.parametrize("vector", VECTORS["positive"], ids=lambda vector: vector["name"])
def test_it_opens(tmp_path: Path, vector: Positive) -> None:
    async def main() -> None:
        await install(tmp_path)
        async with ring_in(tmp_path) as ring:
            keys, scope = ring.store(Store(vector["store"])), scope_of(TenantId(vector["tenant"]))
            for _ in range(2):  # with a key that has to be had first, and with a held one
                plaintext = await keys.open(
                    scope, vector["purpose"], vector["record_id"], bytes.fromhex(vector["sealed"])
                )
                assert plaintext == bytes.fromhex(vector["plaintext"])

    asyncio.run(main())


@pytest.mark.parametrize("vector", VECTORS["negative"], ids=lambda vector: vector["name"])
def test_it_does_not_open_and_says_why(tmp_path: Path, vector: Negative) -> None:
    async def main() -> None:
        if "keyring" in vector:
            versions, minimum = vector["keyring"]["versions"], vector["keyring"]["min_decryption_version"]
            await install(tmp_path, versions=versions, minimum=minimum)
        else:
            await install(tmp_path)
        async with ring_in(tmp_path) as ring:
            keys, scope = ring.store(Store(vector["store"])), scope_of(TenantId(vector["tenant"]))
            for _ in range(2):
                with pytest.raises(SealBroken) as caught:
                    await keys.open(scope, vector["purpose"], vector["record_id"], bytes.fromhex(vector["sealed"]))
                assert caught.value.reason is BrokenSeal(vector["failure"])
                assert isinstance(caught.value, KeyVersionRefused) is (vector["failure"] == "version_refused")

    asyncio.run(main())


@pytest.mark.parametrize("vector", [v for v in VECTORS["index"] if v["key_version"] == 1], ids=lambda v: v["value"])
def test_it_hashes(tmp_path: Path, vector: dict[str, str]) -> None:
    async def main() -> None:
        await install(tmp_path)
        async with ring_in(tmp_path) as ring:
            scope = scope_of(TenantId(vector["tenant"]))
            for _ in range(2):
                hashed = await ring.store(Store(vector["store"])).index(
                    scope, vector["purpose"], bytes.fromhex(vector["value"])
                )
                assert hashed == bytes.fromhex(vector["hash"])

    asyncio.run(main())
