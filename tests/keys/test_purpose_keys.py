"""The fast twin of the envelope: the same bytes, the same plaintexts, the same refusals."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.keys.rings import ALPHA, BETA, BOTH

from partywall.errors import PayloadTooLarge, SealBroken
from partywall.keys import envelope, purpose_keys
from partywall.keys.envelope import HEADER_BYTES, LONGEST_PLAINTEXT_BYTES, open_sealed, read_header
from partywall.keys.hazmat import DataKey
from partywall.keys.purpose_keys import Epoch, OpeningKey, SealingKey, split
from partywall.tenancy import TenantId

MATERIAL = {tenant: bytearray(bytes([n]) * 32) for n, tenant in enumerate(BOTH, 1)}
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=300)
tenants = st.sampled_from(BOTH)


def epoch_of(tenant: TenantId = ALPHA, store: str = "memory", version: int = 1) -> Epoch:
    return Epoch(MATERIAL[tenant], tenant=tenant, store=store, key_version=version)


def key_for(sealed: bytes, tenant: TenantId = ALPHA, store: str = "memory") -> DataKey:
    header = read_header(sealed)
    return DataKey.derive(
        MATERIAL[tenant], tenant=tenant, store=store, key_version=header.key_version, epoch=header.epoch
    )


def opened(key: OpeningKey, record_id: str, sealed: bytes) -> bytes:
    _, counter, commitment = split(sealed)
    return key.open(record_id, sealed, counter, commitment)


def outcome(work: Callable[[], bytes]) -> object:
    """The plaintext, or why there is none."""
    try:
        return work()
    except SealBroken as error:
        return error.reason, str(error)


@given(tenants, texts, texts, st.binary(max_size=3000), st.integers(1, 2**32 - 1), st.integers(0, 3))
def test_it_seals_the_same_bytes(
    tenant: TenantId, purpose: str, record_id: str, plaintext: bytes, version: int, earlier: int
) -> None:
    epoch = epoch_of(tenant, version=version)
    key = SealingKey(epoch, purpose)
    for _ in range(earlier):
        SealingKey(epoch, "another purpose").seal("r", b"")  # purposes share the numbers
    sealed = key.seal(record_id, plaintext)
    assert read_header(sealed).counter == earlier
    assert sealed == envelope.seal(
        epoch.data_key,
        earlier,
        tenant=tenant,
        store="memory",
        purpose=purpose,
        record_id=record_id,
        plaintext=plaintext,
    )
    assert opened(OpeningKey(key_for(sealed, tenant), purpose), record_id, sealed) == plaintext


@given(texts, texts, texts, texts, st.binary(max_size=50), st.data())
def test_it_opens_and_refuses_alike(
    purpose: str, record_id: str, other_purpose: str, other_id: str, plaintext: bytes, data: st.DataObject
) -> None:
    """Whatever is changed: one byte, what it is opened for, or nothing."""
    sealed = bytearray(SealingKey(epoch_of(), purpose).seal(record_id, plaintext))
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(21, len(sealed) - 1))  # the name of the key is what it is found by
        sealed[at] ^= data.draw(st.integers(1, 255))
    record = bytes(sealed)
    for_purpose = data.draw(st.sampled_from([purpose, other_purpose]))
    for_id = data.draw(st.sampled_from([record_id, other_id]))
    key = key_for(record)

    def slowly() -> bytes:
        return open_sealed(key, record, tenant=ALPHA, store="memory", purpose=for_purpose, record_id=for_id)

    def fast() -> bytes:
        return opened(OpeningKey(key, for_purpose), for_id, record)

    assert outcome(fast) == outcome(slowly)


@pytest.mark.parametrize("length", [*range(HEADER_BYTES, HEADER_BYTES + 18)])
def test_it_names_the_reason_for_what_was_cut(length: int) -> None:
    sealed = SealingKey(epoch_of(), "note").seal("n1", b"hello")
    with pytest.raises(SealBroken) as expected:
        open_sealed(key_for(sealed), sealed[:length], tenant=ALPHA, store="memory", purpose="note", record_id="n1")
    with pytest.raises(SealBroken) as caught:
        opened(OpeningKey(key_for(sealed), "note"), "n1", sealed[:length])
    assert caught.value.reason is expected.value.reason


def test_another_tenants_key_opens_nothing() -> None:
    sealed = SealingKey(epoch_of(), "note").seal("n1", b"hello")
    with pytest.raises(SealBroken):
        opened(OpeningKey(key_for(sealed, BETA), "note"), "n1", sealed)


@pytest.mark.parametrize(("purpose", "record_id"), [("", "n1"), ("note", ""), ("\ud800", "n1"), ("note", "\udfff")])
def test_what_has_no_purpose_or_id_is_refused(purpose: str, record_id: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        SealingKey(epoch_of(), purpose).seal(record_id, b"x")


def test_what_is_too_large_is_refused() -> None:
    key = SealingKey(epoch_of(), "note")
    with pytest.raises(PayloadTooLarge):
        key.seal("n1", bytes(LONGEST_PLAINTEXT_BYTES + 1))


def test_no_number_comes_twice_whatever_fails() -> None:
    key = SealingKey(epoch_of(), "note")
    counters = []
    for n in range(20):
        with suppress(ValueError, TypeError):
            key.seal("" if n % 3 else "n1", b"x" if n % 2 else None)  # type: ignore[arg-type]  # wrong on purpose
        counters.append(read_header(key.seal("n1", b"x")).counter)
    assert len(set(counters)) == len(counters)


def test_an_epoch_ends_at_its_last_number() -> None:
    epoch = epoch_of()
    epoch.next_counter = map(purpose_keys._COUNTER, itertools.count(2**32 - 1)).__next__
    key = SealingKey(epoch, "note")
    assert read_header(key.seal("n1", b"x")).counter == 2**32 - 1
    with pytest.raises(Exception, match="format requires"):
        key.seal("n1", b"x")
