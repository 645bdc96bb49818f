"""Open indexes: found by tenant and collection, both; in bounded memory; for a bounded time."""

from __future__ import annotations

import numpy as np
from tests.stores.houses import ALPHA, BETA

from partywall.stores.documents.index import Block, Index, Known, Stamp
from partywall.stores.documents.shelf import OpenCollection, Shelf, Verified


def opened(pieces: int) -> OpenCollection:
    block = Block("version", 0, np.ones((pieces, 4), np.float32))
    index = Index(Stamp("made", 1), "model", 4, [Known("document", "version", {})], [block])
    return OpenCollection(index, {"document": Verified("name", "version", {})})


def test_what_is_open_is_its_tenants_and_collections_alone() -> None:
    shelf = Shelf(10**6)
    held = opened(2)
    shelf.put(ALPHA, "default", held)
    assert shelf.get(ALPHA, "default") is held
    assert shelf.get(BETA, "default") is None
    assert shelf.get(ALPHA, "vs_1") is None
    shelf.put(BETA, "default", opened(2))
    shelf.drop_tenant(ALPHA)
    assert shelf.get(ALPHA, "default") is None
    assert shelf.get(BETA, "default") is not None


def test_the_least_recently_used_goes_first_and_the_room_is_counted() -> None:
    one = opened(2).nbytes
    assert one > opened(2).index.nbytes
    shelf = Shelf(2 * one)
    shelf.put(ALPHA, "a", opened(2))
    shelf.put(BETA, "b", opened(2))
    assert shelf.get(ALPHA, "a") is not None
    shelf.put(ALPHA, "c", opened(2))
    assert shelf.get(BETA, "b") is None
    assert shelf.get(ALPHA, "a") is not None
    assert (len(shelf), shelf.nbytes) == (2, 2 * one)
    shelf.put(ALPHA, "huge", opened(10_000))
    assert (len(shelf), shelf.nbytes) == (2, 2 * one)
    shelf.drop_tenant(ALPHA)
    assert (len(shelf), shelf.nbytes) == (0, 0)


def test_what_nobody_asks_for_is_let_go() -> None:
    now = [0.0]
    shelf = Shelf(10**6, lambda: now[0])
    shelf.put(ALPHA, "a", opened(2))
    now[0] = 600.0
    shelf.put(BETA, "b", opened(2))
    now[0] = 901.0
    assert shelf.get(BETA, "b") is not None
    assert shelf.get(ALPHA, "a") is None
    assert len(shelf) == 1


def test_the_nearest_are_exact_whatever_the_size_and_equal_ones_keep_their_order() -> None:
    drawn = np.random.default_rng(7)
    for pieces in (1, 5, 63, 64, 65, 1_000, 5_000):
        vectors = drawn.integers(-2, 3, (pieces, 4)).astype(np.float32)  # so that many scores are equal
        block = Block("version", 0, vectors)
        made = Index(Stamp("made", 1), "model", 4, [Known("document", "version", {})], [block])
        for count in (1, 3, 50):
            question = drawn.integers(-2, 3, 4).astype(np.float32)
            wanted = np.argsort(-(vectors @ question), kind="stable")[:count].tolist()
            assert [each.number for each in made.nearest(question, count)] == wanted
