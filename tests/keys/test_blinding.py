from __future__ import annotations

import pytest

from partywall.keys import blind


def test_the_published_vector() -> None:
    """FIPS 197, appendix C.3: AES-256."""
    key = bytes(range(32))
    number = bytes.fromhex("00112233445566778899aabbccddeeff")
    image = bytes.fromhex("8ea2b7ca516745bfeafc49904b496089")
    assert blind(key, number) == image
    assert blind(key, number + number) == image + image


def test_nothing_but_whole_numbers_under_a_whole_key() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        blind(bytes(16), bytes(16))
    with pytest.raises(ValueError, match="16 bytes each"):
        blind(bytes(32), bytes(17))
