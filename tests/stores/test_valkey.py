"""Valkey itself: what each user is refused, what start-up proves, and that no reply ever reaches another."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from tests.stores.houses import ALPHA, BETA
from tests.stores.valkeys import MARK, PLACED, VALKEYS, fresh_valkey, owner_of, password_of, settings_of
from tests.support.engines.child import free_port
from tests.support.engines.proxy import Manner, Proxy
from tests.support.engines.valkey import OWNER, SERVING, ValkeyServer, valkey_server

from partywall.errors import ConfigError, CredentialUnavailable, StoreUnavailable
from partywall.stores.backends.valkey.backend import ValkeyBackend
from partywall.stores.backends.valkey.connections import Connections
from partywall.stores.backends.valkey.owner import CacheOwner
from partywall.stores.backends.valkey.places import REGISTRY, Identity, prefix_of, user_of
from partywall.stores.backends.valkey.settings import ValkeySettings
from partywall.tenancy import Secret, TenantId

each_placement = pytest.mark.parametrize("kind", VALKEYS)
HOUR = 3600.0


@asynccontextmanager
async def backend_on(settings: ValkeySettings, **more: int) -> AsyncIterator[ValkeyBackend]:
    backend = ValkeyBackend(settings, **more)
    try:
        yield backend
    finally:
        await backend.aclose()


def as_tenant(server: ValkeyServer, tenant: str, database: int = 0) -> redis.Redis:
    """Whoever stole a tenant's password, with a client of their own."""
    login = {"username": user_of(tenant), "password": password_of(tenant).reveal()}
    return redis.Redis(port=server.port, db=database, protocol=2, driver_info=None, **login)  # type: ignore[arg-type] # mypy doesn't see which is which


# -- The wall --------------------------------------------------------------------------------------------------------


@each_placement
def test_a_tenant_s_own_password_opens_nothing_of_another_s(kind: str) -> None:
    """R8, D: the naive version, one user for everybody, reads and enumerates all of it (below)."""
    server = fresh_valkey(kind)

    async def plant() -> None:
        async with backend_on(settings_of(server)) as backend:
            for tenant in PLACED:
                await backend.partition(tenant, "cache").put(b"k", tenant.encode(), ttl_seconds=HOUR, group=b"g")

    asyncio.run(plant())
    numbers = {name: int(server.owner().hget(REGISTRY, f"tenant:{name}") or 0) for name in PLACED}
    assert len(set(numbers.values())) == (1 if kind == "valkey-common" else len(PLACED))
    with as_tenant(server, BETA, numbers[BETA]) as beta:
        assert beta.get(f"{prefix_of(BETA)}cache:vk") is not None, "its own is there"
        for other in PLACED:
            if other == BETA:
                continue
            key = f"{prefix_of(other)}cache:vk"
            attempts: list[tuple[str | int, ...]] = [
                ("GET", key),
                ("SET", key, "x"),
                ("DEL", key),
                ("MGET", f"{prefix_of(BETA)}cache:vk", key),
                ("ZRANGE", f"{prefix_of(other)}cache:i", 0, -1),
                ("INCRBY", key, 1),
            ]
            for attempt in attempts:
                with pytest.raises(redis.exceptions.NoPermissionError):
                    beta.execute_command(*attempt)
        for line in ("SCAN 0", "KEYS *", "RANDOMKEY", "DBSIZE", "EVAL return 0", "FLUSHALL"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                beta.execute_command(*line.split())
        for number in range(16):
            if number != numbers[BETA]:
                with pytest.raises(redis.exceptions.NoPermissionError):
                    beta.execute_command("SELECT", number)
    with server.owner(numbers[ALPHA]) as everybody:
        assert everybody.get(f"{prefix_of(ALPHA)}cache:vk") == b"\x01galpha"
        assert everybody.randomkey() is not None


def test_a_connection_given_to_another_tenant_is_refused_by_the_server() -> None:
    """The pool mixes tenants up; and nothing crosses, since the server knows who logged in."""
    server = fresh_valkey("valkey-common")

    async def main() -> None:
        async with backend_on(settings_of(server)) as backend:
            alphas, betas = backend.partition(ALPHA, "cache"), backend.partition(BETA, "cache")
            await alphas.put(b"k", b"of alpha", ttl_seconds=HOUR)
            await betas.put(b"k", b"of beta", ttl_seconds=HOUR)
            idle = backend._connections._idle
            wires = {owner.name: wire for owner, wire in idle}
            idle[:] = [
                (owner, wires.get({ALPHA: BETA, BETA: ALPHA}.get(TenantId(owner.name), TenantId("")), wire))
                for owner, wire in idle
            ]
            for partition in (alphas, betas):
                with pytest.raises(StoreUnavailable, match="NoPermission"):
                    await partition.get(b"k")
            assert await alphas.get(b"k") == b"of alpha", "what was refused was closed"
            assert await betas.get(b"k") == b"of beta"

    asyncio.run(main())


def test_connections_are_few_and_the_least_recently_used_goes_first() -> None:
    server = fresh_valkey()

    async def main() -> None:
        async with backend_on(settings_of(server, max_connections=3)) as backend:
            partitions = [backend.partition(tenant, "cache") for tenant in PLACED]
            await asyncio.gather(*(each.put(b"k", b"v", ttl_seconds=HOUR) for each in partitions * 5))
            connections = backend._connections
            assert connections.open_connections <= 3
            await partitions[0].get(b"k")
            await partitions[1].get(b"k")
            assert [owner.name for owner, _ in connections._idle][-2:] == ["alpha", "beta"]
            users = [each["user"] for each in server.owner().client_list() if each["user"] != OWNER]
            assert len(users) <= 3

    asyncio.run(main())


# -- Replies ---------------------------------------------------------------------------------------------------------


def test_an_address_that_breaks_while_it_is_served_from_is_an_outage() -> None:
    server = fresh_valkey()
    address: list[Secret | None] = [Secret(server.url())]

    def url() -> Secret:
        if address[0] is None:
            raise CredentialUnavailable("the file is gone")
        return address[0]

    async def main() -> None:
        async with backend_on(replace(settings_of(server, max_connections=1), url=url)) as backend:
            for broken in (None, Secret("valkey://nobody:@x"), Secret("not an address")):
                address[0] = Secret(server.url())
                await backend.partition(ALPHA, "cache").put(b"k", b"v", ttl_seconds=HOUR)
                address[0] = broken
                for tenant in (BETA, ALPHA):  # neither has a connection of its own: there is one, and it was alpha's
                    with pytest.raises(StoreUnavailable):
                        await backend.partition(tenant, "sessions").get(b"k")
                    backend._places.clear()

    asyncio.run(main())


def test_a_call_that_is_cancelled_closes_its_connection() -> None:
    """C19; and the naive version, which keeps it, hands one call's reply to the next."""
    server = fresh_valkey()

    async def main() -> None:
        with Proxy(server.port) as proxy:
            async with backend_on(settings_of(server, port=proxy.port)) as backend:
                values = backend.partition(ALPHA, "cache")
                await values.put(b"one", b"1", ttl_seconds=HOUR)
                await values.put(b"two", b"2", ttl_seconds=HOUR)
                alpha = backend._places[ALPHA]
                (wire,) = [wire for owner, wire in backend._connections._idle if owner == alpha]
                proxy.behave(Manner.SILENT)
                task = asyncio.create_task(values.get(b"one"))
                await asyncio.sleep(0.05)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                proxy.behave(Manner.PASS)
                assert not wire.is_connected
                assert not [owner for owner, _ in backend._connections._idle if owner == alpha]
                assert await values.get(b"two") == b"2"

            naive = Connections(settings_of(server)).wire_of(alpha)
            await naive.open()
            key = f"{prefix_of(ALPHA)}cache:v"
            await naive.send_packed_command(naive.pack_commands([("GET", f"{key}one")]))
            await asyncio.sleep(0.05)  # cancelled here, and kept
            assert await naive.each([("GET", f"{key}two")]) == [b"\x001"], "off by one"
            await naive.read_response()  # the reply to the second, which came to nobody
            naive.abort()

    asyncio.run(main())


def nonce_echo(kind: str, operations: int) -> tuple[int, int]:
    """How many calls ended well and how many were cancelled; fails at the first reply that was another's."""
    server, draw = fresh_valkey(kind), random.Random(7)
    done = cancelled = 0

    async def call(backend: ValkeyBackend, number: int) -> None:
        nonlocal done
        tenant = PLACED[number % len(PLACED)]
        values, nonce = backend.partition(tenant, "cache"), f"{tenant} {number}".encode()
        match number % 3:
            case 0:
                await values.put(nonce, nonce, ttl_seconds=HOUR)
                assert await values.get(nonce) == nonce
            case 1:
                assert await values.add(nonce, number + 1, ttl_seconds=HOUR) == number + 1
            case _:
                await values.put(nonce, nonce, ttl_seconds=HOUR, group=nonce)
                assert await values.members(nonce, limit=3) == [(nonce, nonce)]
        done += 1

    async def main() -> None:
        nonlocal cancelled
        with Proxy(server.port) as proxy:
            settings = replace(settings_of(server, port=proxy.port, max_connections=12), timeout_seconds=60.0)
            async with backend_on(settings) as backend:
                for tenant in PLACED:
                    await backend.check_tenant(tenant)
                proxy.behave(Manner.DELAY)
                for first in range(0, operations, 50):
                    tasks = [asyncio.create_task(call(backend, number)) for number in range(first, first + 50)]
                    doomed = draw.sample(tasks, 5)
                    for task in doomed:
                        await asyncio.sleep(draw.uniform(0, 0.003))
                        task.cancel()
                    for task in tasks:
                        with suppress(asyncio.CancelledError):
                            await task
                        cancelled += task.cancelled()
                assert backend._connections.open_connections <= 12

    asyncio.run(main())
    return done, cancelled


def test_nonces_never_cross_while_calls_are_cancelled() -> None:
    done, cancelled = nonce_echo("valkey-common", 3000)
    assert done + cancelled == 3000
    assert cancelled > 150


@pytest.mark.soak
@each_placement
def test_nonces_never_cross_in_30000_operations(kind: str) -> None:
    done, cancelled = nonce_echo(kind, 30_000)
    assert done + cancelled == 30_000
    assert cancelled > 1500


# -- Start-up --------------------------------------------------------------------------------------------------------


def refused(server: ValkeyServer, settings: ValkeySettings | None = None) -> str:
    """Why the server isn't served from."""

    async def main() -> None:
        async with backend_on(settings or settings_of(server)) as backend:
            await backend.check()
            await backend.check_tenant(ALPHA)

    with pytest.raises((ConfigError, StoreUnavailable)) as caught:
        asyncio.run(main())
    assert "of-the-tests" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def placed() -> Iterator[ValkeyServer]:
    """A server that is fit; each test breaks it."""
    server = fresh_valkey()
    yield server
    for key, value in (("maxmemory-policy", "noeviction"), ("maxmemory", "512mb")):
        server.do("CONFIG", "SET", key, value)
    server.do("ACL", "SETUSER", "default", "off")
    server.do("REPLICAOF", "NO", "ONE")


@pytest.mark.parametrize(
    ("breaking", "told"),
    [
        (("ACL", "SETUSER", "default", "on", "nopass", "+@all", "~*"), "without a password"),
        (("ACL", "SETUSER", user_of("PROBE-2"), "~*"), "one tenant may use DEL, GET"),
        (("ACL", "SETUSER", user_of("PROBE-2"), "+scan"), "may use SCAN"),
        (("ACL", "SETUSER", user_of("PROBE-2"), "+eval"), "may use EVAL"),
        (("ACL", "SETUSER", user_of("PROBE-1"), "-get"), "doesn't|NoPermission"),
        (("ACL", "SETUSER", user_of(ALPHA), "~*"), "`alpha` may use GET"),
        (("ACL", "SETUSER", user_of(ALPHA), "alldbs"), "`alpha` may use SELECT 0"),
        (("ACL", "SETUSER", user_of(ALPHA), "+dbsize"), "`alpha` may use DBSIZE"),
        (("ACL", "SETUSER", user_of(ALPHA), "off"), "doesn't let `alpha` in"),
        (("ACL", "DELUSER", SERVING), "doesn't know the user of `storage.cache_url_ref`"),
        (("ACL", "SETUSER", SERVING, "+get", "~*"), "who serves may use GET"),
        (("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"), "forgets keys when it is full"),
        (("CONFIG", "SET", "maxmemory-policy", "volatile-ttl"), "forgets keys when it is full"),
        (("REPLICAOF", "127.0.0.1", "1"), "is a replica"),
        (("HDEL", REGISTRY, "tenant:alpha"), "nothing is provisioned for `alpha`"),
    ],
)
def test_what_cannot_be_proven_is_not_served(placed: ValkeyServer, breaking: tuple[str, ...], told: str) -> None:
    async def good() -> None:
        async with backend_on(settings_of(placed)) as backend:
            await backend.check()
            await backend.check_tenant(ALPHA)

    asyncio.run(good())
    placed.do(*breaking)
    found = refused(placed)
    assert any(part in found for part in told.split("|")), found


def test_a_server_that_is_not_there_or_a_cluster_is_not_served(tmp_path: Path) -> None:
    server = fresh_valkey()
    with Proxy(server.port) as proxy:
        proxy.behave(Manner.REFUSE)
        assert "cache server" in refused(server, settings_of(server, port=proxy.port))
        proxy.behave(Manner.PASS)
        proxy.behave(Manner.SILENT)
        quick = replace(settings_of(server, port=proxy.port), timeout_seconds=0.3)
        assert "Timeout" in refused(server, quick)
    cluster = ValkeyServer(
        Path(tempfile.mkdtemp(prefix="partywall-vk-")), "--cluster-enabled", "yes", "--cluster-port", str(free_port())
    )
    try:
        with pytest.raises(ConfigError, match="only `standalone`"):
            asyncio.run(owner_of(cluster).migrate())
    finally:
        cluster.stop()


# -- The owner -------------------------------------------------------------------------------------------------------


def test_migrate_repairs_and_what_it_made_outlives_a_restart() -> None:
    server = ValkeyServer(Path(tempfile.mkdtemp(prefix="partywall-vk-")))
    try:
        fresh_valkey(server=server, tenants=(ALPHA, BETA))

        async def check() -> None:
            async with backend_on(settings_of(server)) as backend:
                await backend.check()
                for tenant in (ALPHA, BETA):
                    await backend.check_tenant(tenant)
                    await backend.partition(tenant, "cache").put(b"k", b"v", ttl_seconds=HOUR)

        asyncio.run(check())
        before = server.do("ACL", "LIST")
        assert "of-the-tests" not in str(before).replace(OWNER, "")
        assert password_of(ALPHA).reveal() not in server.users.read_text()
        server.do("ACL", "SETUSER", user_of(ALPHA), "~*", "+@all", ">another")

        async def again() -> list[int]:
            owner = owner_of(server)
            await owner.migrate()
            return [await owner.provision(tenant) for tenant in (BETA, ALPHA)]

        assert asyncio.run(again()) == [2, 1]
        assert server.do("ACL", "LIST") == before
        server.kill()
        server.restart()
        assert server.do("ACL", "LIST") == before
        assert "nothing is provisioned" in refused(server), "without its keys, the registry is gone too"
        asyncio.run(again())
        asyncio.run(check())
        assert asyncio.run(owner_of(server).placed()) == [ALPHA, BETA]
    finally:
        server.stop()


def test_numbers_are_given_once_and_never_where_somebody_s_keys_lie() -> None:
    server = ValkeyServer(Path(tempfile.mkdtemp(prefix="partywall-vk-")), "--databases", "4")
    try:
        server.do("SET", "celery", "x", database=1)
        fresh_valkey_without_clearing(server)

        async def main() -> list[int]:
            names = [TenantId(name) for name in ("a", "b", "c")]
            numbers = await asyncio.gather(*(owner_of(server).provision(name) for name in names))
            assert [await owner_of(server).provision(name) for name in names] == numbers
            return numbers

        assert sorted(asyncio.run(main())) == [0, 2, 3], "one is somebody else's, and there are no more"
    finally:
        server.stop()


def fresh_valkey_without_clearing(server: ValkeyServer) -> None:
    asyncio.run(owner_of(server).migrate())


def test_another_deployment_s_server_is_refused() -> None:
    server = fresh_valkey()

    async def main() -> None:
        with pytest.raises(ConfigError, match="another deployment"):
            await owner_of(server, mark="6" * 64).migrate()
        with pytest.raises(ConfigError, match="another deployment"):
            await owner_of(server, mark="6" * 64).provision(ALPHA)
        assert MARK.encode() == server.do("HGET", REGISTRY, "deployment")
        server.do("HDEL", REGISTRY, "deployment")
        with pytest.raises(ConfigError, match="wasn't made ready"):
            await owner_of(server).provision(ALPHA)

    asyncio.run(main())


@pytest.mark.parametrize("serving", ["default", OWNER, "partywall"])
def test_who_serves_is_nobody_else(serving: str) -> None:
    server = valkey_server()
    urls = Secret(server.url(OWNER)), Secret(server.url(serving))
    if serving == "partywall":
        CacheOwner(*urls, password_of, MARK)
        return
    with pytest.raises(ConfigError, match="a user of its own"):
        CacheOwner(*urls, password_of, MARK)


def test_room_is_made_among_a_tenant_s_own_values() -> None:
    server = fresh_valkey()

    async def main() -> None:
        async with backend_on(settings_of(server), most_values=5) as backend:
            alphas, betas = backend.partition(ALPHA, "cache"), backend.partition(BETA, "cache")
            await betas.put(b"k", b"b", ttl_seconds=1000)
            assert await alphas.add(b"n", 1, ttl_seconds=HOUR) == 1
            for number in range(20):
                await alphas.put(b"%d" % number, b"a", ttl_seconds=1000 + number)
            kept = [number for number in range(20) if await alphas.get(b"%d" % number) is not None]
            assert kept == [15, 16, 17, 18, 19]
            assert await betas.get(b"k") == b"b"
            assert await alphas.add(b"n", 1, ttl_seconds=HOUR) == 2, "a counter never makes room"

    asyncio.run(main())


def test_an_identity_is_its_database_as_well() -> None:
    assert Identity("alpha", 1) != Identity("alpha", 2)
