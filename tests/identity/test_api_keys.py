"""API keys: their making, their hashes, their look-up."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.identity import KeyEntry, new_api_key, parse_key_hash
from partywall.identity.api_keys import ApiKeys
from partywall.tenancy import GroupName, TenantId


def test_a_new_key_matches_its_hash_and_no_other() -> None:
    first, second = new_api_key(), new_api_key()
    assert first[0].reveal() != second[0].reveal()
    assert parse_key_hash(first[1]) == hashlib.sha256(first[0].reveal().encode()).digest()
    assert parse_key_hash(first[1]) != parse_key_hash(second[1])


def test_a_new_key_carries_256_bits_in_url_safe_characters() -> None:
    key = new_api_key()[0].reveal()
    assert key.startswith("pw_")
    assert len(key) == len("pw_") + 43  # 256 bits at 6 bits a character
    assert key.replace("-", "").replace("_", "").isalnum()


@settings(deadline=None)  # a shared machine's pauses are no failure
@given(st.binary(min_size=32, max_size=32), st.booleans())
def test_hash_text_round_trips_in_either_case(digest: bytes, upper: bool) -> None:
    text = digest.hex().upper() if upper else digest.hex()
    assert parse_key_hash(f"sha256:{text}") == digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "a" * 64,
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha256:" + "g" * 64,
        "SHA256:" + "a" * 64,
        "sha512:" + "a" * 64,
        " sha256:" + "a" * 64,
        "sha256:" + "a" * 64 + "\n",
        "sha256:" + "a a" + "a" * 61,
        "sha256:" + "\N{FULLWIDTH DIGIT ONE}" * 64,
        "pw_a-key-pasted-by-mistake",
    ],
)
def test_anything_else_is_no_hash_and_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="64 hex digits") as caught:
        parse_key_hash(text)
    assert "pasted" not in str(caught.value)


def test_look_up_finds_exact_digests_only() -> None:
    digest = hashlib.sha256(b"k").digest()
    known = ApiKeys({digest: KeyEntry(TenantId("alpha"), GroupName("g"))})
    found = known.find(digest)
    assert found is not None
    assert (found.tenant, found.group) == ("alpha", "g")
    assert found.credential_id == f"key:{digest.hex()[:12]}"
    for near_miss in (b"", digest[:-1], digest + b"\0", digest[:-1] + bytes([digest[-1] ^ 1])):
        assert known.find(near_miss) is None


def test_no_keys_know_nobody() -> None:
    assert ApiKeys({}).find(hashlib.sha256(b"").digest()) is None
