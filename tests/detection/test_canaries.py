from __future__ import annotations

import base64
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detection.support import disguised, prose

from partywall.detection.canaries import CANARY_BYTES, SEEN, Canaries, Canary, make_canary
from partywall.detection.fingerprints import FingerprintTable, Printer
from partywall.detection.leaks import LeakScanner
from partywall.tenancy import TenantId

ALPHA, BETA = TenantId("alpha"), TenantId("beta")
PRINTER = Printer(bytes(range(32)))


def found(canary: str, text: str) -> bool:
    """Whether `canary` is seen in `text`, and in every split of it."""
    planted = [Canary(canary, ALPHA, "memory"), Canary(make_canary(bytes(CANARY_BYTES)), BETA, "memory")]
    scanner = LeakScanner(PRINTER, FingerprintTable(), Canaries(PRINTER.grams, planted))
    whole = bool(scanner.scan(BETA, text))
    stream = scanner.stream(BETA)
    for character in text:
        stream.feed(character)
    stream.end()
    assert bool(stream.leaks) == whole
    return whole


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda c: c,
    "upper case": str.upper,
    "spaced": " ".join,
    "hyphens and lines": "-\n".join,
    "disguised": lambda c: disguised(random.Random(1), c),
    "hex": lambda c: c.encode().hex(),
    "upper hex": lambda c: c.encode().hex().upper(),
    "hex of upper case": lambda c: c.upper().encode().hex(),
    "hex with colons": lambda c: c.encode().hex(":"),
    "C escapes": lambda c: "".join(f"\\x{byte:02x}" for byte in c.encode()),
    "C bytes": lambda c: ", ".join(f"0x{byte:02X}" for byte in c.encode()),
    "percent": lambda c: "".join(f"%{byte:02X}" for byte in c.encode()),
    "cut off": lambda c: c[:SEEN],
}


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.integers(0, 10**6))
def test_it_is_found_in_every_form(form: str, random_bytes: bytes, seed: int) -> None:
    rng, canary = random.Random(seed), make_canary(random_bytes)
    assert found(canary, f"{prose(rng, 50)}: {FORMS[form](canary)}. {prose(rng, 30)}")


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("spelling", [str.lower, str.upper], ids=["lower", "upper"])
@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.binary(max_size=20), st.integers(1, 80))
def test_it_is_found_in_base64(before: int, spelling: object, random_bytes: bytes, after: bytes, width: int) -> None:
    canary = make_canary(random_bytes)
    spelt = (canary.upper() if spelling is str.upper else canary).encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(b"\xff\xfe/"[:before] + b"?" * (before // 3) + spelt + after).decode()
        wrapped = "\n".join(encoded[place : place + width] for place in range(0, len(encoded), width))
        assert found(canary, f"here: {wrapped} end")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_anothers_canary_and_half_of_one_are_not_it(seed: int) -> None:
    rng = random.Random(seed)
    canary = make_canary(rng.randbytes(16))
    other = make_canary(rng.randbytes(16))
    while other[0] == canary[SEEN - 1]:  # by chance it would go on where the half ends
        other = make_canary(rng.randbytes(16))
    assert not found(canary, f"{prose(rng, 200)} {canary[: SEEN - 1]} {other}")


def test_it_has_all_of_its_bits_and_no_brand() -> None:
    rng = random.Random(1)
    made = {make_canary(rng.randbytes(CANARY_BYTES)) for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(len(each) == 26 and each.isalnum() and each == each.lower() for each in made)
    assert base64.b32decode(make_canary(b"\x01" * 16).upper() + "======") == b"\x01" * 16
    with pytest.raises(ValueError, match="16 bytes"):
        make_canary(b"short")
