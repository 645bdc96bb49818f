"""Passages and canaries of others: what is found, by whom, whole and streamed."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detection.support import cut, disguised, longest_shared, prose

from partywall.detection.canaries import LONGEST_FORM, Canaries, Canary, make_canary
from partywall.detection.fingerprints import CAUGHT, FingerprintTable, Printer
from partywall.detection.leaks import HELD_MOST, REMOVED, Leak, LeakScanner
from partywall.detection.normal import normalised
from partywall.errors import LeakBlocked
from partywall.tenancy import TenantId

ALPHA, BETA, GAMMA = TenantId("alpha"), TenantId("beta"), TenantId("gamma")
PRINTER = Printer(bytes(range(32)))
CANARY = Canary(make_canary(b"sixteen random b"), ALPHA, "system_prompt")


def scanner_of(*documents: tuple[TenantId, str], canaries: Iterable[Canary] = ()) -> LeakScanner:
    table = FingerprintTable()
    for tenant, text in documents:
        table.add(tenant, PRINTER.of_text(text))
    return LeakScanner(PRINTER, table, Canaries(PRINTER.grams, canaries))


def streamed(scanner: LeakScanner, pieces: Iterable[str], tenant: TenantId = BETA) -> tuple[str, list[Leak]]:
    stream = scanner.stream(tenant)
    released = "".join([stream.feed(piece) for piece in pieces]) + stream.end()
    return released, stream.leaks


seeds = st.integers(0, 10**9)


@settings(max_examples=150, deadline=None)
@given(seeds, st.integers(CAUGHT, 120), st.integers(0, 300), st.integers(0, 300), st.booleans())
def test_every_shared_run_of_forty_is_found(seed: int, length: int, before: int, after: int, disguise: bool) -> None:
    rng = random.Random(seed)
    document = prose(rng, 700)
    start = rng.randrange(len(normalised(document)) - length)
    shared = normalised(document)[start : start + length]
    shown = disguised(rng, shared) if disguise else shared
    text = prose(rng, before) + shown + prose(rng, after)
    leaks = scanner_of((ALPHA, document)).scan(BETA, text)
    assert [leak.owner for leak in leaks] == [ALPHA] * len(leaks) != []
    assert all(longest_shared(text[leak.start : leak.end], document) >= 32 for leak in leaks)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 31))
def test_no_shorter_run_than_thirty_two_is_found(seed: int, length: int) -> None:
    rng = random.Random(seed)
    document = prose(rng, 200)
    pieces = [normalised(document)[start : start + length] for start in range(0, 120, length)][:12]
    text = "".join(piece + prose(rng, 20) for piece in pieces)
    if longest_shared(text, document) < 32:
        assert scanner_of((ALPHA, document)).scan(BETA, text) == []


def test_whose_passages_count() -> None:
    rng = random.Random(1)
    alphas, common, boilerplate = prose(rng, 300), prose(rng, 300), prose(rng, 300)
    table = FingerprintTable()
    for tenant, text in ((ALPHA, alphas), (ALPHA, common), (GAMMA, common), (ALPHA, boilerplate)):
        table.add(tenant, PRINTER.of_text(text))
    table.add_boilerplate(PRINTER.of_text(boilerplate))
    scanner = LeakScanner(PRINTER, table)
    assert [leak.owner for leak in scanner.scan(BETA, alphas)] == [ALPHA]
    assert scanner.scan(ALPHA, alphas) == []
    assert scanner.scan(BETA, common) == []
    assert scanner.scan(BETA, boilerplate) == []
    table.add(BETA, PRINTER.of_text(alphas))
    assert scanner.scan(BETA, alphas) == []
    assert scanner.scan(GAMMA, alphas) == []
    table.remove(BETA, PRINTER.of_text(alphas))
    assert [leak.owner for leak in scanner.scan(GAMMA, alphas)] == [ALPHA]


def test_what_is_removed_and_what_stays() -> None:
    rng = random.Random(2)
    document, other = prose(rng, 500), prose(rng, 300)
    removed = scanner_of((ALPHA, document)).remove(BETA, other + document + other)
    assert removed.text.count(REMOVED) == len(removed.leaks) == 1
    assert longest_shared(removed.text, document) < CAUGHT
    assert removed.text.startswith(other)
    assert removed.text.endswith(other)


def mixed(rng: random.Random, document: str) -> str:
    """Text with passages, canaries, look-alikes of both, and characters that expand or vanish."""
    pieces = []
    for _ in range(rng.randrange(1, 7)):
        start = rng.randrange(len(document))
        pieces += rng.choice(
            (
                [prose(rng, rng.randrange(120))],
                [disguised(rng, document[start : start + rng.randrange(20, 160)])],
                [CANARY.text[: rng.randrange(27)]],
                [CANARY.text.encode().hex()[: rng.randrange(53)]],
                [" ".join(f"0x{byte:02x}" for byte in CANARY.text.encode())],
                ["\ufdfa" * 3, "\ufb03\u00df", "\ud800", "\u200b" * 5, "!?" * rng.randrange(30)],
            )
        )
    return "".join(pieces)


@settings(max_examples=150, deadline=None)
@given(seeds, st.lists(st.integers(0, 10_000), max_size=12))
def test_however_it_is_cut_the_same_is_found(seed: int, places: list[int]) -> None:
    rng = random.Random(seed)
    document = prose(rng, 500)
    scanner = scanner_of((ALPHA, document), canaries=[CANARY])
    text = mixed(rng, document)
    assert streamed(scanner, cut(text, places)) == scanner.remove(BETA, text)


@pytest.mark.parametrize("seed", range(3))
def test_split_at_every_offset_the_same_is_found(seed: int) -> None:
    rng = random.Random(seed)
    document = prose(rng, 300)
    scanner = scanner_of((ALPHA, document), canaries=[CANARY])
    text = prose(rng, 60) + document[40:130] + prose(rng, 50) + CANARY.text.upper() + "\ufdfa" + prose(rng, 20)
    whole = scanner.remove(BETA, text)
    assert len(whole.leaks) >= 2
    for place in range(len(text) + 1):
        assert streamed(scanner, [text[:place], text[place:]]) == whole
    assert streamed(scanner, text) == whole


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_no_character_of_a_leak_is_released(seed: int) -> None:
    rng = random.Random(seed)
    document = prose(rng, 400)
    scanner = scanner_of((ALPHA, document), canaries=[CANARY])
    text = mixed(rng, document)
    leaks = scanner.scan(BETA, text)
    kept = "".join(c for i, c in enumerate(text) if not any(leak.start <= i < leak.end for leak in leaks))
    stream, released = scanner.stream(BETA), ""
    for character in text:
        released += stream.feed(character)
        assert kept.startswith(released.replace(REMOVED, ""))


def test_the_added_delay_is_thirty_nine_characters_and_more_only_for_a_canary() -> None:
    rng = random.Random(3)
    scanner = scanner_of(canaries=[CANARY])
    stream, fed, released = scanner.stream(BETA), "", ""
    for character in prose(rng, 600):
        fed += character
        released += stream.feed(character)
        assert len(normalised(fed)) - len(normalised(released)) <= CAUGHT - 1
    for character in "".join(f"\\x{byte:02x}" for byte in CANARY.text.encode()):
        fed += character
        released += stream.feed(character)
        assert len(normalised(fed)) - len(normalised(released)) <= LONGEST_FORM + CAUGHT


def test_a_stream_without_letters_is_refused_in_the_end() -> None:
    stream = scanner_of().stream(BETA)
    stream.feed("x")
    with pytest.raises(LeakBlocked):
        _ = [stream.feed("!" * 1_000) for _ in range(HELD_MOST // 1_000 + 1)]


def test_a_canary_of_its_own_is_no_leak() -> None:
    scanner = scanner_of(canaries=[CANARY])
    assert scanner.scan(ALPHA, f"it says {CANARY.text}") == []
    assert [leak.surface for leak in scanner.scan(BETA, f"it says {CANARY.text}")] == ["system_prompt"]
