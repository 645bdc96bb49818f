"""A record opens for what it was sealed for and for nothing else, and what doesn't open says why."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from tests.keys.salamander import two_faced

from partywall.errors import BrokenSeal, PayloadTooLarge, SealBroken
from partywall.keys.envelope import (
    HEADER_BYTES,
    KEY_NAME,
    LONGEST_PLAINTEXT_BYTES,
    OVERHEAD_BYTES,
    key_name,
    open_sealed,
    read_header,
    seal,
)
from partywall.keys.hazmat import DataKey
from partywall.keys.hazmat.derive import derive_data_key
from partywall.keys.names import Store

EPOCH = bytes(range(16))
TENANT_KEYS = {"alpha": b"a" * 32, "beta": b"b" * 32}
PLAINTEXT = b"the quarterly figures of alpha"


class Place(NamedTuple):
    tenant: str = "alpha"
    store: str = Store.CONVERSATIONS
    purpose: str = "message"
    record_id: str = "conv-1/7"


HERE = Place()


def key_of(place: Place, *, version: int = 1, epoch: bytes = EPOCH) -> DataKey:
    """The key that a keyring derives for a place, freshly."""
    key = TENANT_KEYS[place.tenant]
    return DataKey.derive(key, tenant=place.tenant, store=place.store, key_version=version, epoch=epoch)


def seal_at(place: Place, plaintext: bytes = PLAINTEXT, counter: int = 0) -> bytes:
    return seal(key_of(place), counter, **place._asdict(), plaintext=plaintext)


def open_at(place: Place, sealed: bytes) -> bytes:
    """Open as a keyring that holds every key would: with the one that the header names."""
    header = read_header(sealed)
    return open_sealed(key_of(place, version=header.key_version or 1, epoch=header.epoch), sealed, **place._asdict())


def refusal(place: Place, sealed: bytes) -> BrokenSeal:
    with pytest.raises(SealBroken) as refused:
        open_at(place, sealed)
    return refused.value.reason


# -- What opens --------------------------------------------------------------------------------------------------------

# Texts that differ in little, and run into one another when their borders move.
_TEXTS = st.sampled_from(["a", "b", "ab", "a/b", "A", "\u00e4", "a\u0308"])
_PLACES = st.builds(Place, st.sampled_from(["alpha", "beta"]), st.sampled_from(list(Store)), _TEXTS, _TEXTS)


@given(_PLACES, _PLACES, st.binary(max_size=200), st.integers(0, 2**32 - 1))
def test_a_record_opens_where_it_was_sealed_and_nowhere_else(
    there: Place, elsewhere: Place, plaintext: bytes, counter: int
) -> None:
    sealed = seal_at(there, plaintext, counter)
    assert open_at(there, sealed) == plaintext
    if there == elsewhere:
        return
    same_key = (there.tenant, there.store) == (elsewhere.tenant, elsewhere.store)
    assert refusal(elsewhere, sealed) == (BrokenSeal.NOT_AUTHENTIC if same_key else BrokenSeal.WRONG_KEY)


@given(
    st.binary(max_size=64), st.integers(0, 2**32 - 1), st.integers(1, 2**32 - 1), st.binary(min_size=16, max_size=16)
)
def test_the_header_says_what_sealed_the_record(plaintext: bytes, counter: int, version: int, epoch: bytes) -> None:
    key = key_of(HERE, version=version, epoch=epoch)
    sealed = seal(key, counter, **HERE._asdict(), plaintext=plaintext)
    assert read_header(sealed) == (version, epoch, counter, key.commitment)
    assert len(sealed) == len(plaintext) + OVERHEAD_BYTES
    assert sealed[KEY_NAME] == key_name(version, epoch)


def test_the_sizes_are_those_of_the_specification() -> None:
    assert (61, 77, slice(0, 21)) == (HEADER_BYTES, OVERHEAD_BYTES, KEY_NAME)


def test_two_records_of_one_epoch_share_nothing_but_the_header() -> None:
    first, second = seal_at(HERE, bytes(64), 0), seal_at(HERE, bytes(64), 1)
    assert first[:21] == second[:21]
    assert all(first[at : at + 8] != second[at : at + 8] for at in range(HEADER_BYTES, len(first) - 8))


def test_the_plaintext_of_one_tenant_looks_like_nothing_to_another() -> None:
    sealed = {tenant: seal_at(HERE._replace(tenant=tenant)) for tenant in TENANT_KEYS}
    assert sealed["alpha"][29:61] != sealed["beta"][29:61]
    assert sealed["alpha"][61:] != sealed["beta"][61:]
    assert PLAINTEXT not in sealed["alpha"]


def test_many_purposes_are_kept_apart_and_few_are_remembered() -> None:
    """What is worked out for each purpose is thrown away at some point, and worked out again."""
    key = key_of(HERE)
    places = [HERE._replace(purpose=f"purpose {number}") for number in range(200)]
    sealed = [seal(key, number, **place._asdict(), plaintext=PLAINTEXT) for number, place in enumerate(places)]
    assert len(key.bound) <= 64
    for place, data in zip(places, sealed, strict=True):
        assert open_sealed(key, data, **place._asdict()) == PLAINTEXT
    with pytest.raises(SealBroken):
        open_sealed(key, sealed[0], **places[1]._asdict())


# -- What doesn't ------------------------------------------------------------------------------------------------------

# Where each field of the header ends, and what a flipped bit in it looks like to a keyring that knows every version.
_FLIPPED = [
    (1, BrokenSeal.UNKNOWN_VERSION),
    (21, BrokenSeal.WRONG_KEY),
    (29, BrokenSeal.NOT_AUTHENTIC),
    (61, BrokenSeal.WRONG_KEY),
    (10_000, BrokenSeal.NOT_AUTHENTIC),
]


def test_each_flipped_bit_is_noticed() -> None:
    sealed = seal_at(HERE, b"hello")
    for offset in range(len(sealed)):
        expected = next(reason for end, reason in _FLIPPED if offset < end)
        for bit in range(8):
            changed = bytearray(sealed)
            changed[offset] ^= 1 << bit
            assert refusal(HERE, bytes(changed)) == expected, (offset, bit)


def test_each_length_that_is_too_short_is_noticed() -> None:
    sealed = seal_at(HERE, b"hello")
    for length in range(len(sealed)):
        expected = BrokenSeal.TRUNCATED if length < OVERHEAD_BYTES else BrokenSeal.NOT_AUTHENTIC
        assert refusal(HERE, sealed[:length]) == expected, length
        # A caller that kept the key and doesn't read the header first is told the same.
        with pytest.raises(SealBroken) as refused:
            open_sealed(key_of(HERE), sealed[:length], **HERE._asdict())
        assert refused.value.reason == expected, length


@given(st.binary(min_size=1, max_size=200))
def test_nothing_can_be_appended(more: bytes) -> None:
    assert refusal(HERE, seal_at(HERE) + more) == BrokenSeal.NOT_AUTHENTIC


@given(st.binary(max_size=200))
def test_what_nobody_sealed_does_not_open(data: bytes) -> None:
    assert refusal(HERE, data) in set(BrokenSeal)
    assert refusal(HERE, b"\x01" + data) in set(BrokenSeal)


def test_a_key_of_another_version_or_epoch_is_the_wrong_one() -> None:
    """The keyring looks keys up by the header; should it err, the commitment notices."""
    sealed = seal_at(HERE)
    for key in (key_of(HERE, version=2), key_of(HERE, epoch=bytes(16)), key_of(HERE._replace(tenant="beta"))):
        with pytest.raises(SealBroken) as refused:
            open_sealed(key, sealed, **HERE._asdict())
        assert refused.value.reason == BrokenSeal.WRONG_KEY


@pytest.mark.parametrize("elsewhere", [HERE._replace(tenant="beta"), HERE._replace(store=Store.MEMORY)])
def test_a_key_is_used_for_its_own_tenant_and_store_alone(elsewhere: Place) -> None:
    """The right key for the bytes, held by somebody who asks for another tenant or store: no."""
    sealed = seal_at(HERE)
    with pytest.raises(SealBroken) as refused:
        open_sealed(key_of(HERE), sealed, **elsewhere._asdict())
    assert refused.value.reason == BrokenSeal.WRONG_KEY
    with pytest.raises(ValueError, match="was to seal"):
        seal(key_of(HERE), 0, **elsewhere._asdict(), plaintext=PLAINTEXT)


def test_the_first_failure_is_the_one_named() -> None:
    """Everything is wrong at once: the order of the specification decides."""
    sealed = seal_at(HERE)
    elsewhere = Place("beta", Store.MEMORY, "title", "conv-2")
    assert refusal(elsewhere, sealed[:-1]) == BrokenSeal.WRONG_KEY
    assert refusal(elsewhere, sealed[:70]) == BrokenSeal.TRUNCATED
    assert refusal(elsewhere, b"\x02" + sealed[1:70]) == BrokenSeal.UNKNOWN_VERSION
    assert refusal(elsewhere, b"") == BrokenSeal.TRUNCATED


def test_one_record_does_not_open_under_two_keys() -> None:
    """The attack on AES-GCM that the commitment is there for: without it, both tenants would open this."""
    alpha, beta = key_of(HERE), key_of(HERE._replace(tenant="beta"))
    one, other = (
        bytes(derive_data_key(TENANT_KEYS[tenant], tenant=tenant, store=HERE.store, key_version=1, epoch=EPOCH)[:32])
        for tenant in ("alpha", "beta")
    )
    header = seal_at(HERE)[:HEADER_BYTES]
    its_aad, other_aad = (aad_of(HERE._replace(tenant=tenant), header) for tenant in ("alpha", "beta"))
    sealed = header + two_faced(one, other, bytes(12), its_aad, other_aad)
    for key, aad in ((one, its_aad), (other, other_aad)):
        assert len(AESGCM(key).decrypt(bytes(12), sealed[HEADER_BYTES:], aad)) == 32

    assert len(open_sealed(alpha, sealed, **HERE._asdict())) == 32
    with pytest.raises(SealBroken) as refused:
        open_sealed(beta, sealed, **HERE._replace(tenant="beta")._asdict())
    assert refused.value.reason == BrokenSeal.WRONG_KEY


def aad_of(place: Place, header: bytes) -> bytes:
    fields = [b"partywall/record/v1", header, *(text.encode() for text in place)]
    return len(fields).to_bytes(4, "big") + b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def test_an_error_names_the_place_and_no_content() -> None:
    for sealed in (seal_at(HERE)[:-1], seal_at(HERE)[:10], PLAINTEXT):
        with pytest.raises(SealBroken) as refused:
            open_sealed(key_of(HERE), sealed, **HERE._asdict())
        shown = f"{refused.value} {refused.value.public_message}"
        assert "`alpha`" in shown
        assert "`conversations`" in shown
        assert "quarterly" not in shown
        assert refused.value.__cause__ is None
        assert (refused.value.code, refused.value.status) == ("internal_error", 500)


def test_more_than_the_cipher_can_take_is_not_authentic(monkeypatch: pytest.MonkeyPatch) -> None:
    """`cryptography` raises OverflowError from 2 GiB on, which no test can afford to keep in memory."""

    def too_long(nonce: bytes, data: bytes, aad: bytes) -> bytes:
        raise OverflowError

    key = key_of(HERE)
    monkeypatch.setattr(key, "_decrypt", too_long)
    with pytest.raises(SealBroken) as refused:
        open_sealed(key, seal_at(HERE), **HERE._asdict())
    assert refused.value.reason == BrokenSeal.NOT_AUTHENTIC


# -- What is never sealed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        HERE._replace(purpose=""),
        HERE._replace(record_id=""),
        HERE._replace(purpose="\ud800"),
        HERE._replace(record_id="\ud800"),
    ],
)
def test_what_has_no_purpose_or_no_record_id_is_refused(place: Place) -> None:
    with pytest.raises(ValueError, match=r"empty|was to seal|surrogates"):
        seal_at(place)
    with pytest.raises((ValueError, SealBroken)):
        open_at(place, seal_at(HERE))


@pytest.mark.parametrize("counter", [-1, 2**32, 2**64])
def test_a_counter_beyond_the_epoch_is_refused(counter: int) -> None:
    with pytest.raises(ValueError, match="record"):
        seal_at(HERE, counter=counter)


def test_the_longest_plaintext_is_sealed_and_a_longer_one_is_not() -> None:
    longest = bytes(LONGEST_PLAINTEXT_BYTES)
    assert LONGEST_PLAINTEXT_BYTES == 67_108_864
    assert open_at(HERE, seal_at(HERE, longest)) == longest
    with pytest.raises(PayloadTooLarge):
        seal_at(HERE, longest + b"\x00")


def test_the_stores_are_named_for_good() -> None:
    """Their names are sealed into records: a change here makes what is stored unreadable."""
    assert [str(store) for store in Store] == [
        "conversations",
        "memory",
        "preferences",
        "documents",
        "graph",
        "cache",
        "vault",
        "trail",
        "sessions",
        "forensics",
        "prompts",
    ]
