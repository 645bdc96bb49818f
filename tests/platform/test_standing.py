"""Who is suspended: one file, several processes, and nobody served on a guess."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.documents import base_document, headers_of, merged, write_document
from tests.support.records import recorded

from partywall.errors import ConfigError, Missing, StoreUnavailable, TenantSuspended
from partywall.platform import Platform, Standing, Suspension
from partywall.platform.standing import NOTICED_SECONDS
from partywall.tenancy import TenantId

ALPHA, BETA = TenantId("alpha"), TenantId("beta")
UNPAID = Suspension(1.5, "cli:ann", "unpaid")
SEALED = {"encryption": {"encrypted_per_tenant": ["agent_memory"]}}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def two(folder: Path) -> tuple[Standing, Standing, Clock]:
    """One file, looked at by two; the second one's clock stands still."""
    clock = Clock()
    return Standing.open(folder), Standing(folder, clock=clock), clock


def is_active(standing: Standing, tenant: TenantId) -> bool:
    try:
        standing.require_active(tenant)
    except TenantSuspended:
        return False
    return True


def test_a_suspension_shows_to_others_in_time_and_to_nobody_elses_tenant(tmp_path: Path) -> None:
    mine, others, clock = two(tmp_path)
    assert is_active(others, ALPHA)
    assert mine.suspend(ALPHA, UNPAID)
    assert not is_active(mine, ALPHA)
    assert is_active(others, ALPHA)  # as of its last look
    clock.now += NOTICED_SECONDS
    assert not is_active(others, ALPHA)
    assert is_active(others, BETA)
    assert others.suspended() == {ALPHA: UNPAID}
    assert mine.resume(ALPHA)
    clock.now += NOTICED_SECONDS
    assert is_active(others, ALPHA)


def test_doing_it_twice_changes_nothing(tmp_path: Path) -> None:
    standing = Standing.open(tmp_path)
    assert not standing.resume(ALPHA)
    assert standing.suspend(ALPHA, UNPAID)
    assert not standing.suspend(ALPHA, Suspension(2.0, "cli:bob", "another reason"))
    assert standing.suspended() == {ALPHA: UNPAID}


def test_opening_again_keeps_what_is_there(tmp_path: Path) -> None:
    Standing.open(tmp_path).suspend(BETA, UNPAID)
    assert Standing.open(tmp_path).suspended() == {BETA: UNPAID}
    assert (tmp_path / "platform" / "standing.json").stat().st_mode & 0o777 == 0o600


def _gone(path: Path) -> None:
    path.unlink()


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def _open_to_all(path: Path) -> None:
    path.chmod(0o644)


def _holding(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(text)

    return write


BROKEN = {
    "gone": _gone,
    "a link": _link,
    "open to all": _open_to_all,
    "empty": _holding(""),
    "no JSON": _holding("{"),
    "a list": _holding("[]"),
    "another format": _holding('{"format": 2, "suspended": {}}'),
    "without suspensions": _holding('{"format": 1}'),
    "something more": _holding('{"format": 1, "suspended": {}, "active": ["alpha"]}'),
    "no tenant": _holding('{"format": 1, "suspended": {"Alpha": {"since": 1, "by": "x", "why": "y"}}}'),
    "half a suspension": _holding('{"format": 1, "suspended": {"alpha": {"since": 1}}}'),
    "a suspension of another type": _holding(
        '{"format": 1, "suspended": {"alpha": {"since": "1", "by": "", "why": ""}}}'
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_cannot_be_read_refuses_everybody(tmp_path: Path, how: str) -> None:
    """Fail closed: also the tenant that nobody suspended, and also for who knew better a moment ago."""
    mine, others, clock = two(tmp_path)
    mine.suspend(ALPHA, UNPAID)
    clock.now += NOTICED_SECONDS
    assert is_active(others, BETA)
    BROKEN[how](tmp_path / "platform" / "standing.json")
    clock.now += NOTICED_SECONDS
    for _ in range(3):
        for tenant in (ALPHA, BETA):
            with pytest.raises(StoreUnavailable):
                others.require_active(tenant)
    with pytest.raises(StoreUnavailable):
        mine.suspend(BETA, UNPAID)
    with pytest.raises(StoreUnavailable):
        mine.resume(ALPHA)
    if how != "gone":
        with pytest.raises(ConfigError):
            Standing.open(tmp_path)


def test_it_is_read_again_once_it_is_whole(tmp_path: Path) -> None:
    standing = Standing.open(tmp_path)
    standing.suspend(ALPHA, UNPAID)
    path = tmp_path / "platform" / "standing.json"
    whole = path.read_bytes()
    path.write_text("{")
    with pytest.raises(StoreUnavailable):
        Standing(tmp_path).require_active(BETA)
    path.write_bytes(whole)
    assert (is_active(standing, ALPHA), is_active(standing, BETA)) == (False, True)


def test_many_at_once_lose_no_change(tmp_path: Path) -> None:
    Standing.open(tmp_path)
    tenants = [TenantId(f"t{number}") for number in range(12)]

    def suspend(tenant: TenantId) -> None:
        Standing(tmp_path).suspend(tenant, UNPAID)

    threads = [threading.Thread(target=suspend, args=(tenant,)) for tenant in tenants]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(Standing(tmp_path).suspended()) == set(tenants)


NAMES = st.sampled_from(["a", "ab", "a-b", "b"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), NAMES), max_size=8))
def test_it_holds_what_was_done(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[bool, str]]) -> None:
    standing = Standing.open(tmp_path_factory.mktemp("standing"))
    model: set[str] = set()
    for suspends, name in changes:
        before = name in model
        changed = standing.suspend(TenantId(name), UNPAID) if suspends else standing.resume(TenantId(name))
        (model.add if suspends else model.discard)(name)
        assert changed is (before is not suspends)
        assert set(standing.suspended()) == model


# -- At the platform's door ---


def on_platform(folder: Path, work: Callable[[Platform], Coroutine[Any, Any, None]]) -> None:
    path = write_document(folder / "partywall.yaml", merged(base_document(), **SEALED))

    async def main() -> None:
        async with Platform.open(path, data_dir=folder / "data") as platform:
            await work(platform)

    asyncio.run(main())


def test_a_suspended_tenant_has_no_scope_and_no_session_left(tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        alpha, beta = [await platform.authenticate(headers_of(tenant)) for tenant in ("alpha", "beta")]
        sessions = platform.stores.sessions
        hers, his = await sessions.start(alpha), await sessions.start(beta)
        assert await platform.tenants.suspend(ALPHA, who="cli:ann", why="unpaid")
        with pytest.raises(TenantSuspended):
            await platform.authenticate(headers_of("alpha"))
        assert (await platform.authenticate(headers_of("beta"))).tenant == BETA
        slipped_in = await sessions.start(alpha)  # by who held a scope
        assert platform.tenants.standings().keys() == {ALPHA, BETA}
        suspension = platform.tenants.suspension(ALPHA)
        assert suspension is not None
        assert (suspension.by, suspension.why) == ("cli:ann", "unpaid")
        assert platform.tenants.suspension(BETA) is None
        assert await platform.tenants.resume(ALPHA, who="cli:bob", why="paid")
        for gone in (hers, slipped_in):
            with pytest.raises(Missing):
                await sessions.verify(await platform.authenticate(headers_of("alpha")), gone.id)
        assert (await sessions.verify(beta, his.id)).id == his.id
        assert not await platform.tenants.resume(ALPHA, who="cli:bob", why="paid")

    on_platform(tmp_path, work)


def test_it_is_in_the_tenants_own_records(tmp_path: Path) -> None:
    document = write_document(tmp_path / "partywall.yaml", base_document())

    async def main() -> None:
        async with Platform.open(document, data_dir=tmp_path / "data") as platform:
            await platform.tenants.suspend(ALPHA, who="cli:ann", why="unpaid")
            await platform.tenants.resume(ALPHA, who="cli:bob", why="paid")

    asyncio.run(main())
    said = [(record.path, record.credential_id, record.reason) for record in recorded(tmp_path / "data", "alpha")]
    assert said == [
        ("tenants suspend", "operator:cli:ann", "unpaid"),
        ("tenants resume", "operator:cli:bob", "paid"),
    ]
    assert recorded(tmp_path / "data", "beta") == []


def test_what_cannot_be_recorded_is_not_done(tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        await platform.trail.aclose()
        with pytest.raises(Exception, match="the trail is closed"):
            await platform.tenants.suspend(ALPHA, who="cli:ann", why="unpaid")
        assert platform.tenants.suspension(ALPHA) is None

    on_platform(tmp_path, work)


def test_nobody_is_suspended_whom_the_document_does_not_name(tmp_path: Path) -> None:
    async def work(platform: Platform) -> None:
        for name in ("gamma", "alph"):
            with pytest.raises(ConfigError):
                await platform.tenants.suspend(TenantId(name), who="cli:ann", why="unpaid")
            with pytest.raises(ConfigError):
                await platform.tenants.resume(TenantId(name), who="cli:ann", why="unpaid")
            with pytest.raises(ConfigError):
                platform.tenants.suspension(TenantId(name))
        assert platform.standing.suspended() == {}

    on_platform(tmp_path, work)


def test_a_tenant_that_stored_nothing_gets_no_key_by_being_suspended(tmp_path: Path) -> None:
    document = merged(base_document(), encryption={"encrypted_per_tenant": ["agent_memory"]})
    path = write_document(tmp_path / "partywall.yaml", document)

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            await platform.tenants.suspend(ALPHA, who="cli:ann", why="unpaid")

    asyncio.run(main())
    assert (
        list(tmp_path.glob("data/keys/alpha/keys.json")) == list(tmp_path.glob("data/tenants/alpha/sessions.db")) == []
    )
