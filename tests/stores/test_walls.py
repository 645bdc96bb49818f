"""Any two walls may fall: with each one, and each pair, taken away, no foreign byte crosses, and the alarm sounds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.stores.fallen import ALL_BUT_ALL, EVERYTHING, without
from tests.stores.houses import ALPHA, BACKENDS, BETA, House, house_in, scope_of
from tests.stores.uses import NAMES, USES

from partywall.keys import Store
from partywall.stores import Stores, Wall
from partywall.stores.records import Home
from partywall.stores.walls import Cryptography, Walls
from partywall.tenancy import TenantScope

A, B = scope_of(ALPHA), scope_of(BETA)
ALPHAS, BETAS = "planted-by-alpha", "planted-by-beta"


async def crossed(house: House, store: str) -> str:
    """Both tenants store; then the walls fall, and beta looks for everything, by alpha's ids as well."""
    use = USES[store]
    ids = await use.plant(house.stores, A, ALPHAS)
    own = await use.plant(house.stores, B, BETAS)
    house.looking = True
    return " ".join(await use.look(house.stores, B, [*own, *ids]))


def foreign(store: str, seen: str) -> bool:
    """Whether something of alpha's came back. A session holds no text; being valid is what would cross."""
    if store == "sessions":
        return seen.count("Session(") > len(NAMES)
    return ALPHAS in seen


CASES = [
    pytest.param(kind, store, fallen, id=f"{kind}-{store}-{'+'.join(fallen) or 'none'}")
    for kind, stores in {
        **dict.fromkeys(BACKENDS, tuple(USES)),
        # The other two placements have the same tables, and dearer connections.
        **dict.fromkeys(("postgres-schemas", "postgres-databases"), ("memory", "vault")),
    }.items()
    for store in stores
    for fallen in ALL_BUT_ALL
    if "placement" in fallen or stores == tuple(USES)
]


@pytest.mark.parametrize(("kind", "store", "fallen"), CASES)
def test_any_two_walls_may_fall(tmp_path: Path, kind: str, store: str, fallen: tuple[str, ...]) -> None:
    async def main() -> None:
        async with house_in(tmp_path, kind, without(fallen)) as house:
            seen = await crossed(house, store)
            assert not foreign(store, seen)
            if "placement" in fallen:
                assert house.alarms
                assert {alarm.tenant for alarm in house.alarms} <= {ALPHA, BETA}
                assert not any(ALPHAS in str(alarm) for alarm in house.alarms)
            else:
                assert house.alarms == []

    asyncio.run(main())


@pytest.mark.parametrize("store", USES)
@pytest.mark.parametrize("fallen", EVERYTHING, ids="+".join)
def test_the_harness_can_fail(tmp_path: Path, store: str, fallen: tuple[str, ...]) -> None:
    """With all three gone, alpha's bytes do reach beta: the walls above are what kept them."""

    async def main() -> None:
        async with house_in(tmp_path, "memory", without(fallen)) as house:
            assert foreign(store, await crossed(house, store))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("fallen", "stopped_by"),
    [
        (("placement",), {Wall.PLACEMENT}),
        (("placement", "verification"), {Wall.CRYPTOGRAPHY}),
        (("placement", "null key"), {Wall.PLACEMENT, Wall.VERIFICATION}),
    ],
    ids=["placement", "placement+verification", "placement+null key"],
)
def test_the_alarm_names_the_wall_that_held(tmp_path: Path, fallen: tuple[str, ...], stopped_by: set[Wall]) -> None:
    async def main() -> None:
        async with house_in(tmp_path, "memory", without(fallen)) as house:
            await crossed(house, "vault")
            assert {alarm.wall for alarm in house.alarms} == stopped_by

    asyncio.run(main())


@pytest.mark.parametrize("store", USES)
def test_the_wrong_tenants_key_opens_nothing(tmp_path: Path, store: str) -> None:
    """Beta's rows, read with alpha's key: nothing of anybody's comes back, and each row is reported."""

    async def main() -> None:
        async with house_in(tmp_path, "memory") as house:
            ids = await USES[store].plant(house.stores, B, BETAS)

            class Wrong(Cryptography):
                async def open(self, scope: TenantScope, home: Home, sealed: bytes) -> bytes:
                    return await super().open(A, home, sealed)

            def walls(kind: Store) -> Walls:
                return house.walls(kind)._replace(cryptography=Wrong(house.ring.store(kind)))

            seen = " ".join(await USES[store].look(Stores(walls, house.clock), B, ids))
            assert BETAS not in seen
            assert seen.count("Session(id") == 0
            assert {alarm.wall for alarm in house.alarms} == {Wall.CRYPTOGRAPHY}

    asyncio.run(main())


def test_what_was_dropped_doesn_t_shorten_a_page(tmp_path: Path) -> None:
    """Foreign rows among its own change nothing of what a tenant lists: no gap, no early end (R11)."""

    async def main() -> None:
        async with house_in(tmp_path, "memory", without(("placement",))) as house:
            memory = house.stores.memory
            for number in range(7):
                await memory.add(A, "agent", f"{ALPHAS} {number}")
                await memory.add(B, "agent", f"{BETAS} {number}")
            for limit in (1, 3, 100):
                house.looking = False
                whole = await memory.list_notes(B, "agent", limit=limit)
                rest = await memory.list_notes(B, "agent", limit=limit, after=whole.items[0].id)
                house.looking = True
                assert await memory.list_notes(B, "agent", limit=limit) == whole
                assert await memory.list_notes(B, "agent", limit=limit, after=whole.items[0].id) == rest
            assert house.alarms

    asyncio.run(main())
