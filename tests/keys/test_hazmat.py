"""The primitives give the published answers, and derived keys are independent of one another."""

from __future__ import annotations

import copy
import pickle
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from partywall.keys.canonical import canonical
from partywall.keys.hazmat import RECORDS_PER_EPOCH, DataKey, InvalidTag, aead, derive_index_key, keyed_hash
from partywall.keys.hazmat.derive import derive_data_key, hkdf_sha256

KEY = bytes(range(32))
EPOCH = bytes(range(16))


class Hkdf(NamedTuple):
    """RFC 5869, appendix A."""

    ikm: str
    salt: str
    info: str
    okm: str


HKDF = {
    "A.1": Hkdf(
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    "A.2": Hkdf(
        bytes(range(0x50)).hex(),
        bytes(range(0x60, 0xB0)).hex(),
        bytes(range(0xB0, 0x100)).hex(),
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
        "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ),
    "A.3": Hkdf(
        "0b" * 22,
        "",
        "",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
}


@pytest.mark.parametrize("name", HKDF)
def test_hkdf_gives_the_answers_of_rfc_5869(name: str) -> None:
    ikm, salt, info, okm = map(bytes.fromhex, HKDF[name])
    assert hkdf_sha256(ikm, salt=salt, info=info, length=len(okm)) == okm


def test_the_keyed_hash_gives_the_answers_of_rfc_4231() -> None:
    assert keyed_hash(b"Jefe", b"what do ya want for nothing?").hex() == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
    assert keyed_hash(b"\x0b" * 20, b"Hi There").hex() == (
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    )


class Gcm(NamedTuple):
    key: str
    nonce: str
    plaintext: str
    aad: str
    ciphertext: str
    tag: str


# NIST CAVP, gcmEncryptExtIV256.rsp (CAVS 14.0): count 0 of the sections with a 96-bit IV, a 128-bit tag and these
# lengths.
NIST = {
    "nothing": Gcm(
        "b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4",
        "516c33929df5a3284ff463d7",
        "",
        "",
        "",
        "bdc1ac884d332457a1d2664f168c76f0",
    ),
    "128 bits, 160 bits of AAD": Gcm(
        "83688deb4af8007f9b713b47cfa6c73e35ea7a3aa4ecdb414dded03bf7a0fd3a",
        "0b459724904e010a46901cf3",
        "33d893a2114ce06fc15d55e454cf90c3",
        "794a14ccd178c8ebfd1379dc704c5e208f9d8424",
        "cc66bee423e3fcd4c0865715e9586696",
        "0fb291bd3dba94a1dfd8b286cfb97ac5",
    ),
    "408 bits, 160 bits of AAD": Gcm(
        "24501ad384e473963d476edcfe08205237acfd49b5b8f33857f8114e863fec7f",
        "9ff18563b978ec281b3f2794",
        "27f348f9cdc0c5bd5e66b1ccb63ad920ff2219d14e8d631b3872265cf117ee86757accb158bd9abb3868fdc0d0b074b5f01b2c",
        "adb5ec720ccf9898500028bf34afccbcaca126ef",
        "eb7cb754c824e8d96f7c6d9b76c7d26fb874ffbf1d65c6f64a698d839b0b06145dae82057ad55994cf59ad7f67c0fa5e85fab8",
        "bc95c532fecc594c36d1550286a7a3f0",
    ),
}


def data_key(key: bytes) -> DataKey:
    """A DataKey of given bytes, which only tests make: `derive` is the way."""
    return DataKey(key, bytes(32), tenant="alpha", store="memory", key_version=1, epoch=EPOCH)


@pytest.mark.parametrize("name", NIST)
def test_the_cipher_gives_nists_answers(name: str) -> None:
    """Below the counted nonces, which NIST's random ones don't fit."""
    key, nonce, plaintext, aad, ciphertext, tag = map(bytes.fromhex, NIST[name])
    cipher = data_key(key)
    assert cipher._encrypt(nonce, plaintext, aad) == ciphertext + tag
    assert cipher._decrypt(nonce, ciphertext + tag, aad) == plaintext


@pytest.mark.parametrize(
    ("plaintext", "sealed"),
    [
        # McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 and 14: zero key and zero nonce.
        ("", "530f8afbc74536b9a963b4f1c4cb738b"),
        ("00" * 16, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
    ],
)
def test_record_0_has_the_zero_nonce(plaintext: str, sealed: str) -> None:
    cipher = data_key(bytes(32))
    assert cipher.encrypt(0, bytes.fromhex(plaintext), b"").hex() == sealed
    assert cipher.decrypt(0, bytes.fromhex(sealed), b"").hex() == plaintext


@pytest.mark.parametrize("counter", [0, 1, 255, 256, 2**31, 2**32 - 1])
def test_the_nonce_is_the_counter_in_12_bytes(counter: int) -> None:
    sealed = data_key(KEY).encrypt(counter, b"hello", b"aad")
    assert AESGCM(KEY).decrypt(counter.to_bytes(12, "big"), sealed, b"aad") == b"hello"


@pytest.mark.parametrize("counter", [-1, 2**32, 2**64])
def test_no_record_lies_beyond_the_epoch(counter: int) -> None:
    cipher = data_key(KEY)
    with pytest.raises(ValueError, match="epoch"):
        cipher.encrypt(counter, b"hello", b"")
    with pytest.raises(InvalidTag):
        cipher.decrypt(counter, cipher.encrypt(0, b"hello", b""), b"")


def test_the_bound_is_nists() -> None:
    assert RECORDS_PER_EPOCH == 2**32


# -- Derivation --------------------------------------------------------------------------------------------------------

_IDS = st.sampled_from(["a", "b", "ab", "a-b"])
_CONTEXTS = st.tuples(
    st.sampled_from([KEY, bytes(32)]), _IDS, _IDS, st.integers(1, 3), st.sampled_from([EPOCH, bytes(16)])
)


def derive(context: tuple[bytes, str, str, int, bytes]) -> bytes:
    key, tenant, store, version, epoch = context
    return bytes(derive_data_key(key, tenant=tenant, store=store, key_version=version, epoch=epoch))


@given(_CONTEXTS, _CONTEXTS)
def test_a_data_key_and_its_commitment_are_one_context_s_alone(
    one: tuple[bytes, str, str, int, bytes], other: tuple[bytes, str, str, int, bytes]
) -> None:
    first, second = derive(one), derive(other)
    assert (first[:32] == second[:32]) == (one == other)
    assert (first[32:] == second[32:]) == (one == other)
    assert len({first[:32], first[32:], one[0]}) == 3


@given(st.tuples(_IDS, _IDS, _IDS, st.integers(1, 3)), st.tuples(_IDS, _IDS, _IDS, st.integers(1, 3)))
def test_an_index_key_is_one_context_s_alone(one: tuple[str, str, str, int], other: tuple[str, str, str, int]) -> None:
    def index_key(context: tuple[str, str, str, int]) -> bytes:
        tenant, store, purpose, version = context
        return derive_index_key(KEY, tenant=tenant, store=store, purpose=purpose, key_version=version)

    assert (index_key(one) == index_key(other)) == (one == other)


def test_an_index_key_has_a_label_of_its_own() -> None:
    """An empty salt and a salt of zeros are one to HMAC, so nothing but the label keeps the two uses apart."""
    fields = (b"alpha", b"memory", b"p", (1).to_bytes(4, "big"))
    index_key = derive_index_key(KEY, tenant="alpha", store="memory", purpose="p", key_version=1)
    for label, equal in ((b"partywall/index-key/v1", True), (b"partywall/data-key/v1", False)):
        derived = hkdf_sha256(KEY, salt=bytes(16), info=canonical(label, *fields), length=32)
        assert (derived == index_key) == equal


def test_a_mutable_tenant_key_serves_as_well() -> None:
    assert derive_data_key(bytearray(KEY), tenant="a", store="b", key_version=1, epoch=EPOCH) == derive_data_key(
        KEY, tenant="a", store="b", key_version=1, epoch=EPOCH
    )


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_tenant_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        DataKey.derive(bytes(length), tenant="alpha", store="memory", key_version=1, epoch=EPOCH)
    with pytest.raises(ValueError, match="32 bytes"):
        derive_index_key(bytes(length), tenant="alpha", store="memory", purpose="p", key_version=1)


@pytest.mark.parametrize("length", [0, 15, 17])
def test_an_epoch_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        DataKey.derive(KEY, tenant="alpha", store="memory", key_version=1, epoch=bytes(length))


@pytest.mark.parametrize("version", [-1, 0, 2**32])
def test_a_version_that_the_header_could_not_hold_is_refused(version: int) -> None:
    with pytest.raises(ValueError, match="numbered"):
        DataKey.derive(KEY, tenant="alpha", store="memory", key_version=version, epoch=EPOCH)
    with pytest.raises(ValueError, match="numbered"):
        derive_index_key(KEY, tenant="alpha", store="memory", purpose="p", key_version=version)


# -- The object --------------------------------------------------------------------------------------------------------


def test_a_data_key_is_the_derived_one() -> None:
    key = DataKey.derive(KEY, tenant="alpha", store="memory", key_version=3, epoch=EPOCH)
    derived = derive_data_key(KEY, tenant="alpha", store="memory", key_version=3, epoch=EPOCH)
    assert key.commitment == derived[32:]
    assert AESGCM(derived[:32]).decrypt(bytes(12), key.encrypt(0, b"hello", b""), b"") == b"hello"
    assert (key.tenant, key.store, key.key_version, key.epoch) == ("alpha", "memory", 3, EPOCH)


def test_what_was_derived_is_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytearray] = []

    def keeping(key: bytes, *, tenant: str, store: str, key_version: int, epoch: bytes) -> bytearray:
        made.append(derive_data_key(key, tenant=tenant, store=store, key_version=key_version, epoch=epoch))
        return made[-1]

    monkeypatch.setattr(aead, "derive_data_key", keeping)
    key = DataKey.derive(KEY, tenant="alpha", store="memory", key_version=1, epoch=EPOCH)
    assert made == [bytearray(64)]
    assert key.decrypt(0, key.encrypt(0, b"hello", b""), b"") == b"hello"
    assert key.commitment != bytes(32)


def test_a_data_key_stays_in_the_process_and_shows_no_key() -> None:
    key = DataKey.derive(KEY, tenant="alpha", store="memory", key_version=1, epoch=EPOCH)
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="process"):
            leave(key)
    with pytest.raises(TypeError, match="process"):
        key.__getstate__()
    derived = derive_data_key(KEY, tenant="alpha", store="memory", key_version=1, epoch=EPOCH)
    assert repr(key) == f"DataKey(alpha, memory, version 1, epoch {EPOCH.hex()})"
    assert derived[:32].hex() not in repr(key)
