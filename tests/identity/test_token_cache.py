"""Verified tokens are kept briefly, under their full hash, and no tenant's tokens displace another's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.identity.token_cache import TokenCache
from partywall.tenancy import TenantId

ALPHA, BETA = TenantId("alpha"), TenantId("beta")


@dataclass(frozen=True)
class Entry:
    tenant: TenantId
    fresh_until: float
    name: str = ""


def digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def test_an_entry_is_found_until_it_is_stale() -> None:
    cache: TokenCache[Entry] = TokenCache()
    entry = Entry(ALPHA, fresh_until=60)
    cache.put(digest("a"), entry, now=0)
    assert cache.get(digest("a"), now=59.9) is entry
    assert cache.get(digest("a"), now=60) is None
    assert len(cache) == 0


def test_digests_that_share_a_prefix_do_not_meet() -> None:
    cache: TokenCache[Entry] = TokenCache()
    first, second = b"p" * 31 + b"1", b"p" * 31 + b"2"
    cache.put(first, Entry(ALPHA, 60), now=0)
    assert cache.get(second, now=0) is None


def test_a_tenant_displaces_its_own_least_recently_used() -> None:
    cache: TokenCache[Entry] = TokenCache(max_entries=10, max_per_tenant=2)
    cache.put(digest("beta"), Entry(BETA, 60), now=0)
    for name in ("a1", "a2"):
        cache.put(digest(name), Entry(ALPHA, 60), now=0)
    cache.get(digest("a1"), now=1)
    cache.put(digest("a3"), Entry(ALPHA, 60), now=1)
    assert cache.get(digest("a2"), now=1) is None
    assert cache.get(digest("a1"), now=1)
    assert cache.get(digest("a3"), now=1)
    assert cache.get(digest("beta"), now=1)


def test_a_full_cache_displaces_nobody_and_sheds_what_is_stale() -> None:
    cache: TokenCache[Entry] = TokenCache(max_entries=2, max_per_tenant=2)
    cache.put(digest("b1"), Entry(BETA, 10), now=0)
    cache.put(digest("b2"), Entry(BETA, 60), now=0)
    cache.put(digest("a1"), Entry(ALPHA, 60), now=5)
    assert cache.get(digest("a1"), now=5) is None
    assert cache.get(digest("b1"), now=5)
    cache.put(digest("a1"), Entry(ALPHA, 60), now=11)
    assert cache.get(digest("a1"), now=11)
    assert cache.get(digest("b2"), now=11)
    assert len(cache) == 2


def test_the_walk_through_a_full_cache_is_rare() -> None:
    cache: TokenCache[Entry] = TokenCache(max_entries=1, max_per_tenant=1)
    cache.put(digest("b1"), Entry(BETA, 0.5), now=0)
    cache.put(digest("a1"), Entry(ALPHA, 60), now=0.1)
    cache.put(digest("a1"), Entry(ALPHA, 60), now=0.9)
    assert len(cache) == 1
    assert cache.get(digest("a1"), now=0.9) is None
    cache.put(digest("a1"), Entry(ALPHA, 60), now=1.2)
    assert cache.get(digest("a1"), now=1.2)


def test_a_newer_entry_replaces_the_older() -> None:
    cache: TokenCache[Entry] = TokenCache()
    cache.put(digest("a"), Entry(ALPHA, 60, "old"), now=0)
    cache.put(digest("a"), Entry(BETA, 60, "new"), now=0)
    assert cache.get(digest("a"), now=0) == Entry(BETA, 60, "new")
    assert len(cache) == 1


OPERATIONS = st.tuples(
    st.sampled_from(["put", "get", "drop"]), st.sampled_from([ALPHA, BETA]), st.integers(0, 5), st.integers(0, 3)
)


@settings(deadline=None)  # a shared machine's pauses are no failure
@given(st.lists(OPERATIONS, max_size=40))
def test_bounds_hold_and_nothing_is_invented(operations: list[tuple[str, TenantId, int, int]]) -> None:
    cache: TokenCache[Entry] = TokenCache(max_entries=5, max_per_tenant=3)
    stored: dict[bytes, Entry] = {}
    now = 0.0
    for verb, tenant, number, step in operations:
        now += step
        key = digest(f"{tenant}{number}")
        if verb == "put":
            stored[key] = Entry(tenant, now + 4)
            cache.put(key, stored[key], now)
        elif verb == "drop":
            cache.drop(key)
            stored.pop(key, None)
        else:
            found = cache.get(key, now)
            assert found is None or (found is stored[key] and now < found.fresh_until)
        assert len(cache) <= 5
