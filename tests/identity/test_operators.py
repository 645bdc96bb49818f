"""An operator's scope: recorded first, then made; and out of any request's reach."""

from __future__ import annotations

import ast
import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import partywall
from partywall.errors import ConfigError, InvalidTenantId, TrailUnavailable
from partywall.identity import OPERATOR_METHOD, acting_for
from partywall.tenancy import CredentialKind, TenantId
from partywall.trail import DecisionRecord, Trail, TrailReader, Verdict

SOURCES = Path(partywall.__file__).parent
ALPHA, BETA = TenantId("alpha"), TenantId("beta")


def with_trail(data_dir: Path, work: Callable[[Trail], Awaitable[None]]) -> None:
    async def main() -> None:
        trail = Trail.open(data_dir)
        try:
            await work(trail)
        finally:
            await trail.aclose()

    asyncio.run(main())


def records(data_dir: Path, tenant: TenantId) -> list[DecisionRecord]:
    return list(TrailReader(data_dir).of_tenant(tenant).events())


def test_the_scope_names_the_operator_and_nobody_of_the_tenants(tmp_path: Path) -> None:
    async def work(trail: Trail) -> None:
        async with acting_for(trail, ALPHA, who="cli:ann", action="documents list", why="ticket 7") as scope:
            assert (scope.tenant, scope.credential_id) == ("alpha", "operator:cli:ann")
            assert scope.credential_kind is CredentialKind.OPERATOR
            assert (scope.group, scope.user, scope.role) == (None, None, None)
        async with acting_for(trail, ALPHA, who="cli:ann", action="x", why="y", user="zoe") as scope:
            assert scope.user == "zoe"

    with_trail(tmp_path, work)
    first, second = records(tmp_path, ALPHA)
    assert (first.method, first.path, first.reason) == (OPERATOR_METHOD, "documents list", "ticket 7")
    assert (first.verdict, first.outcome, first.user) == (Verdict.ALLOW, "completed", None)
    assert first.credential_id == "operator:cli:ann"
    assert second.user == "zoe"
    assert records(tmp_path, BETA) == []


def test_it_is_on_disk_before_the_scope_is_made(tmp_path: Path) -> None:
    async def work(trail: Trail) -> None:
        async with acting_for(trail, BETA, who="cli:ann", action="look", why="ticket 8"):
            (record,) = await asyncio.to_thread(records, tmp_path, BETA)
            assert (record.reason, record.outcome) == ("ticket 8", None)

    with_trail(tmp_path, work)


def test_no_trail_no_scope(tmp_path: Path) -> None:
    ran: list[str] = []

    async def work(trail: Trail) -> None:
        (tmp_path / "tenants").write_text("in the way")
        with pytest.raises(TrailUnavailable):
            async with acting_for(trail, ALPHA, who="cli:ann", action="look", why="because"):
                ran.append("the block")
        (tmp_path / "tenants").unlink()
        await trail.aclose()
        with pytest.raises(TrailUnavailable):
            async with acting_for(trail, BETA, who="cli:ann", action="look", why="because"):
                ran.append("the block")

    with_trail(tmp_path, work)
    assert ran == []
    shutil.rmtree(tmp_path / "tenants", ignore_errors=True)


def test_what_fails_is_recorded_as_failed(tmp_path: Path) -> None:
    async def fails(trail: Trail) -> None:
        with pytest.raises(ZeroDivisionError):
            async with acting_for(trail, ALPHA, who="cli:ann", action="look", why="because"):
                raise ZeroDivisionError

    async def is_cancelled(trail: Trail) -> None:
        async def act() -> None:
            async with acting_for(trail, BETA, who="cli:ann", action="look", why="because"):
                await asyncio.sleep(60)

        task = asyncio.create_task(act())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])

    with_trail(tmp_path, fails)
    with_trail(tmp_path, is_cancelled)
    for tenant in (ALPHA, BETA):
        assert [record.outcome for record in records(tmp_path, tenant)] == ["failed"]


@pytest.mark.parametrize("word", ["", "  ", "two\nlines", "x" * 500, "\u202eevil"])
@pytest.mark.parametrize("which", ["who", "action", "why", "user"])
def test_every_word_must_say_something(tmp_path: Path, which: str, word: str) -> None:
    async def work(trail: Trail) -> None:
        words = {"who": "cli:ann", "action": "look", "why": "because", which: word}
        with pytest.raises(ConfigError):
            async with acting_for(trail, ALPHA, **words):
                raise AssertionError("it was let in")

    with_trail(tmp_path, work)
    assert records(tmp_path, ALPHA) == []


@pytest.mark.parametrize("tenant", ["", "*", "Alpha", "../beta", "alpha/../beta"])
def test_what_is_no_tenant_is_nobodys(tmp_path: Path, tenant: str) -> None:
    async def work(trail: Trail) -> None:
        with pytest.raises(InvalidTenantId):
            async with acting_for(trail, TenantId(tenant), who="cli:ann", action="look", why="because"):
                raise AssertionError("it was let in")

    with_trail(tmp_path, work)


# -- Out of reach ---

_DOORS = ("acting_for", "for_operators")


def _names_the_door(source: str) -> bool:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) if name.endswith(_DOORS):
                return True
            case ast.Constant(value=str(text)) if text.endswith(_DOORS) and text.isidentifier():
                return True
    return False


def test_no_request_reaches_the_door() -> None:
    """R12: what operators may do to any tenant is for the command line alone."""
    found = {path.relative_to(SOURCES).parts[0] for path in SOURCES.rglob("*.py") if _names_the_door(path.read_text())}
    assert found <= {"identity", "platform", "stores", "cli"}
    assert {"identity", "cli"} <= found


@pytest.mark.parametrize(
    "source",
    [
        "p.acting_for('alpha')",
        "s.sizes_for_operators('a')",
        "from partywall.identity import acting_for",
        "getattr(p, 'acting_for')",
    ],
)
def test_each_planted_way_is_seen(source: str) -> None:
    assert _names_the_door(source)
