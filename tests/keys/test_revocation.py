"""How long after a key was taken away it was last used: measured for each root, on the real engine, and printed.

Destroyed by another process: less than half a second, whatever the hold. Taken away at the root (its file gone, a
transit key deleted, a token revoked, a KMS key disabled): no longer than the hold, for we can't know before we ask.
The other tenant never notices.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.keys.rings import ALPHA, BETA, BOTH, ring_in, scope_of, settings_in
from tests.keys.worker import started
from tests.support.engines.kms import REGION, Kms
from tests.support.engines.openbao import Bao

from partywall.errors import KeyUnavailable, PartywallError
from partywall.keys import (
    AwsKmsRootSettings,
    FileRoot,
    FileRootSettings,
    KeyRing,
    NamedRoot,
    RootSettings,
    Store,
    TokenAuth,
    VaultRootSettings,
)
from partywall.tenancy import Secret

HOLD_SECONDS = 1.0


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    engine = Bao(tmp_path_factory.mktemp("bao"))
    yield engine
    engine.child.kill()


@pytest.fixture(scope="module")
def kms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kms]:
    engine = Kms(tmp_path_factory.mktemp("kms"))
    yield engine
    engine.stop()


def report(capsys: pytest.CaptureFixture[str], what: str, seconds: float, others: int) -> None:
    with capsys.disabled():
        text = f"last success {seconds * 1000:+.0f} ms after it" if seconds > -9 else "no success at all"
        sys.stdout.write(f"\n  {what}: {text}; the other tenant: {others} uses, none refused\n")


# -- Destroyed -------------------------------------------------------------------------------------------------------


def test_destroyed_by_another_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two processes under load; a third destroys. The hold is a minute and plays no part."""

    async def prepare() -> None:
        async with ring_in(tmp_path) as ring:
            for tenant in BOTH:
                await ring.ensure(tenant, who="test")

    async def destroy() -> tuple[float, float]:
        async with ring_in(tmp_path, service="operator") as ring:
            began = time.monotonic()
            await ring.life.destroy(ALPHA, who="an operator")
            return began, time.monotonic()

    asyncio.run(prepare())
    with started("use", tmp_path) as one, started("use", tmp_path) as two:
        for worker in (one, two):
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        time.sleep(0.5)
        _, ended = asyncio.run(destroy())
        time.sleep(1.0)
        answers = [json.loads(worker.communicate()[0]) for worker in (one, two)]
    for answer in answers:
        after = answer[ALPHA]["last_success"] - ended
        report(capsys, "destroyed by another process", after, answer[BETA]["successes"])
        assert after < 0.5
        assert answer[ALPHA]["successes"] > 100
        assert answer[ALPHA]["refused"] == ["KeyDestroyed"]
        assert answer[ALPHA]["unrefused_after_refusal"] == 0
        assert answer[BETA]["refused"] == []
        assert answer[BETA]["last_success"] > ended + 0.8


# -- Taken away at the root ------------------------------------------------------------------------------------------


async def until_refused(ring: KeyRing, revoke: Callable[[], None]) -> tuple[float, int]:
    """Use both tenants' keys, revoke alpha's, and go on well beyond the hold. When alpha last succeeded, and beta."""
    memory = ring.store(Store.MEMORY)
    last_success, others, began = 0.0, 0, time.monotonic()
    revoked = refused = 0.0
    while not refused or time.monotonic() < refused + 1.0:
        if not revoked and time.monotonic() > began + 0.4:
            await asyncio.to_thread(revoke)
            revoked = time.monotonic()
        try:
            sealed = await memory.seal(scope_of(ALPHA), "note", "n", b"x")
            await memory.open(scope_of(ALPHA), "note", "n", sealed)
            assert not refused, "a success after the first refusal"
            last_success = time.monotonic()
        except KeyUnavailable:
            refused = refused or time.monotonic()
        except PartywallError as error:
            raise AssertionError(f"refused with {error!r}") from error
        sealed = await memory.seal(scope_of(BETA), "note", "n", b"x")
        assert await memory.open(scope_of(BETA), "note", "n", sealed) == b"x"
        others += 1
        await asyncio.sleep(0.002)
    return last_success - revoked, others


def measure(folder: Path, root: RootSettings, revoke: Callable[[], None]) -> tuple[float, int]:
    """Alpha's own root is taken away while it is in use."""

    async def main() -> tuple[float, int]:
        own = NamedRoot.of_tenant(ALPHA, root)
        async with ring_in(folder, tenant_roots={ALPHA: own}, hold_seconds=HOLD_SECONDS) as ring:
            for tenant in BOTH:
                await ring.ensure(tenant, who="test")
            return await until_refused(ring, revoke)

    settings_in(folder)
    return asyncio.run(main())


SLACK_SECONDS = 0.5
"""For a machine that is busy: between the moment of revoking and the moment that we note it."""


def test_the_root_key_file_is_taken_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.key"
    FileRoot.create(path)
    after, others = measure(tmp_path, FileRootSettings(path), path.unlink)
    report(capsys, f"own root key file removed, keys held for {HOLD_SECONDS} s", after, others)
    assert after < HOLD_SECONDS + SLACK_SECONDS


@pytest.mark.parametrize("how", ["key deleted", "token revoked"])
def test_the_transit_key_is_taken_away(tmp_path: Path, bao: Bao, capsys: pytest.CaptureFixture[str], how: str) -> None:
    mount = f"own-{how.split(maxsplit=1)[0]}"
    bao.post(f"sys/mounts/{mount}", {"type": "transit"})
    bao.write_policy(mount, {f"{mount}/*": ["create", "read", "update"]})
    token = bao.new_token(mount)
    root = VaultRootSettings(bao.address, TokenAuth(Secret(token)), key_path_template=f"{mount}/keys/key", tenant=ALPHA)

    def delete() -> None:
        bao.post(f"{mount}/keys/key/config", {"deletion_allowed": True})
        assert bao.call("DELETE", f"{mount}/keys/key")[0] in {200, 204}

    def revoke() -> None:
        bao.post("auth/token/revoke", {"token": token})

    after, others = measure(tmp_path, root, delete if how == "key deleted" else revoke)
    report(capsys, f"own transit {how}, keys held for {HOLD_SECONDS} s", after, others)
    assert after < HOLD_SECONDS + SLACK_SECONDS


@pytest.mark.parametrize("how", ["key disabled", "access revoked"])
def test_the_kms_key_is_taken_away(tmp_path: Path, kms: Kms, capsys: pytest.CaptureFixture[str], how: str) -> None:
    key, user = kms.new_key(), f"own-{how.split(maxsplit=1)[0]}"
    credentials = kms.new_user(user, "kms:Encrypt", "kms:Decrypt", "kms:DescribeKey")
    root = AwsKmsRootSettings(
        key, REGION, endpoint_url=kms.endpoint_url, credentials=credentials, tenant=ALPHA, timeout_seconds=5.0
    )

    def revoke() -> None:
        if how == "key disabled":
            kms.disable(key)
        else:
            kms.delete_access_key(user, credentials)

    after, others = measure(tmp_path, root, revoke)
    report(capsys, f"own KMS {how}, keys held for {HOLD_SECONDS} s", after, others)
    assert after < HOLD_SECONDS + SLACK_SECONDS
