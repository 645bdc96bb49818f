"""The ambient binding fails closed, and follows tasks and nothing else."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from partywall.errors import AlreadyBound, ScopeMissing
from partywall.tenancy import CredentialId, CredentialKind, TenantId, TenantScope, ambient, bind, current
from partywall.tenancy._mint import mint


def scope(tenant: str) -> TenantScope:
    return mint(
        tenant=TenantId(tenant),
        group=None,
        credential_kind=CredentialKind.API_KEY,
        credential_id=CredentialId(f"key:{tenant}"),
    )


ALPHA, BETA = scope("alpha"), scope("beta")


def the_place_that_forgot() -> TenantScope:
    return current()


def test_unset_raises_with_the_stack_of_the_place_that_forgot() -> None:
    with pytest.raises(ScopeMissing) as caught:
        the_place_that_forgot()
    message = str(caught.value)
    assert "the_place_that_forgot" in message
    assert "test_ambient.py" in message
    assert "there is no default tenant" in message
    # The innermost line is the caller's, not ours.
    assert "ambient.py" not in message.replace("test_ambient.py", "")


def test_bound_inside_and_unset_after() -> None:
    with bind(ALPHA) as bound:
        assert bound is ALPHA
        assert current() is ALPHA
    with pytest.raises(ScopeMissing):
        current()


def test_an_error_inside_unbinds() -> None:
    with pytest.raises(RuntimeError), bind(ALPHA):
        raise RuntimeError
    with pytest.raises(ScopeMissing):
        current()


def test_another_tenant_does_not_nest() -> None:
    with bind(ALPHA):
        with pytest.raises(AlreadyBound, match="`alpha` is bound"), bind(BETA):
            pytest.fail("two tenants in one task")
        assert current() is ALPHA


def test_the_same_tenant_nests_and_unwinds() -> None:
    inner = scope("alpha")
    with bind(ALPHA):
        with bind(inner):
            assert current() is inner
        assert current() is ALPHA


@pytest.mark.parametrize("thing", [None, "alpha", TenantScope, object()])
def test_only_a_scope_can_be_bound(thing: Any) -> None:
    with pytest.raises(TypeError, match="TenantScope"), bind(thing):
        pytest.fail("bound")
    with pytest.raises(ScopeMissing):
        current()


def test_tasks_do_not_see_each_other() -> None:
    async def serve(mine: TenantScope, turns: int) -> None:
        with bind(mine):
            for _ in range(turns):
                await asyncio.sleep(0)
                assert current() is mine

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(serve(ALPHA, 10))
                group.create_task(serve(BETA, 7))
        with pytest.raises(ScopeMissing):
            current()

    asyncio.run(main())


def test_tasks_started_inside_inherit_and_tasks_started_before_do_not() -> None:
    async def look() -> TenantScope:
        await asyncio.sleep(0)
        return current()

    async def main() -> None:
        before = asyncio.create_task(look())
        with bind(ALPHA):
            inside = asyncio.create_task(look())
            await asyncio.sleep(0)
        with pytest.raises(ScopeMissing):
            await before
        assert await inside is ALPHA

    asyncio.run(main())


def test_cancellation_unbinds() -> None:
    reached: list[str] = []

    async def serve() -> None:
        try:
            with bind(ALPHA):
                await asyncio.sleep(60)
        finally:
            with pytest.raises(ScopeMissing):
                current()
            reached.append("unbound")

    async def main() -> None:
        task = asyncio.create_task(serve())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert reached == ["unbound"]


def test_a_plain_thread_sees_nothing() -> None:
    seen: list[str] = []

    def look() -> None:
        try:
            current()
        except ScopeMissing:
            seen.append("nothing")

    with bind(ALPHA):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert seen == ["nothing"]


def test_a_copied_context_keeps_its_tenant_and_refuses_another() -> None:
    with bind(ALPHA):
        context = contextvars.copy_context()
    assert context.run(current) is ALPHA

    def rebind() -> None:
        with bind(BETA):
            pytest.fail("bound")

    with pytest.raises(AlreadyBound):
        context.run(rebind)


def test_there_is_no_way_to_unbind_or_to_ask_quietly() -> None:
    assert set(ambient.__all__) == {"bind", "current"}
