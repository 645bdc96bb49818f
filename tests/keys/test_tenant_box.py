"""What a client seals to its tenant's public key stays closed to the platform and to other tenants, and unchanged."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.backends.openssl.backend import backend
from cryptography.hazmat.bindings._rust import openssl as rust
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.errors import BrokenSeal, ConfigError, PayloadTooLarge, SealBroken
from partywall.keys import tenant_box
from partywall.keys.envelope import open_sealed, seal
from partywall.keys.hazmat import DataKey, derive_index_key
from partywall.keys.hazmat.derive import derive_data_key
from partywall.keys.names import Store
from partywall.keys.tenant_box import (
    is_tenant_box,
    new_tenant_box_keys,
    open_by_tenant,
    seal_to_tenant,
    tenant_box_public_key,
)

PLAINTEXT = b"for alpha's eyes"
OVERHEAD_BYTES = 1176
ALPHA = new_tenant_box_keys()
BETA = new_tenant_box_keys()


class Place(NamedTuple):
    tenant: str = "alpha"
    store: str = "memory"
    record_id: str = "note-1"


HERE = Place()


def seal_for(place: Place = HERE, keys: tuple[bytes, bytes] = ALPHA, plaintext: bytes = PLAINTEXT) -> bytes:
    return seal_to_tenant(keys[1], **place._asdict(), plaintext=plaintext)


def open_for(box: bytes, place: Place = HERE, keys: tuple[bytes, bytes] = ALPHA) -> bytes:
    return open_by_tenant(keys[0], **place._asdict(), box=box)


def refusal(box: bytes, place: Place = HERE, keys: tuple[bytes, bytes] = ALPHA) -> BrokenSeal:
    with pytest.raises(SealBroken) as refused:
        open_for(box, place, keys)
    assert "eyes" not in str(refused.value)
    return refused.value.reason


# -- What opens --------------------------------------------------------------------------------------------------------

_TEXTS = st.sampled_from(["a", "ab", "b", "a/b", "\u00e4", "a\u0308"])
_PLACES = st.builds(Place, _TEXTS, _TEXTS, _TEXTS)


@settings(deadline=None)
@given(_PLACES, _PLACES, st.sampled_from([ALPHA, BETA]), st.sampled_from([ALPHA, BETA]), st.binary(max_size=100))
def test_a_box_opens_for_its_recipient_and_place_and_for_no_other(
    there: Place, elsewhere: Place, to: tuple[bytes, bytes], by: tuple[bytes, bytes], plaintext: bytes
) -> None:
    box = seal_for(there, to, plaintext)
    assert open_for(box, there, to) == plaintext
    assert len(box) == len(plaintext) + OVERHEAD_BYTES
    if by is not to:
        assert refusal(box, elsewhere, by) == BrokenSeal.WRONG_KEY
    elif elsewhere != there:
        assert refusal(box, elsewhere, by) == BrokenSeal.NOT_AUTHENTIC


def test_two_boxes_of_the_same_record_differ() -> None:
    first, second = seal_for(), seal_for()
    assert first[:40] == second[:40]
    assert first[40:1160] != second[40:1160]
    assert first[1160:] != second[1160:]
    assert PLAINTEXT not in first


def test_each_key_pair_is_new() -> None:
    private, public = new_tenant_box_keys()
    assert (len(private), len(public)) == (32, 1216)
    assert tenant_box_public_key(private) == public
    assert len({private, public, *ALPHA, *BETA}) == 6


def test_the_kem_and_the_key_format_give_the_published_answers() -> None:
    """The vector of draft-ietf-hpke-pq for our suite. It has AAD, for which `cryptography` has no public name."""
    vector: dict[str, str] = json.loads((Path(__file__).parent / "hpke-pq-vector.json").read_text(encoding="utf-8"))
    private, public = bytes.fromhex(vector["private"]), bytes.fromhex(vector["public"])
    assert tenant_box_public_key(private) == public
    opened = rust.hpke._decrypt_with_aad(
        tenant_box._SUITE,
        bytes.fromhex(vector["enc"] + vector["ciphertext"]),
        hpke.MLKEM768X25519PrivateKey(*tenant_box._private_halves(private)),
        bytes.fromhex(vector["info"]),
        bytes.fromhex(vector["aad"]),
    )
    assert opened.hex() == vector["plaintext"]


# -- The platform ------------------------------------------------------------------------------------------------------


def test_no_secret_of_the_platform_opens_a_box() -> None:
    """Whatever it holds for this tenant, in every way in which it could be tried, over the whole box and its parts."""
    root_key, tenant_key, epoch = (hashlib.sha256(name).digest() for name in (b"root", b"tenant key", b"epoch"))
    epoch = epoch[:16]
    box = seal_for()
    derived = derive_data_key(tenant_key, tenant="alpha", store="memory", key_version=1, epoch=epoch)
    index_key = derive_index_key(tenant_key, tenant="alpha", store="memory", purpose="note", key_version=1)
    secrets = [root_key, tenant_key, bytes(derived[:32]), bytes(derived[32:]), index_key, ALPHA[1][:32], box[8:40]]

    for secret in secrets:
        assert refusal(box, keys=(secret, ALPHA[1])) == BrokenSeal.WRONG_KEY
        # Not even when the platform writes its own recipient into the box, so that the first check lets it pass.
        own = seal_for(keys=(secret, tenant_box_public_key(secret)))
        assert refusal(own[:40] + box[40:], keys=(secret, ALPHA[1])) == BrokenSeal.NOT_AUTHENTIC
        for cipher in (AESGCM(secret), ChaCha20Poly1305(secret)):
            for nonce in (bytes(12), box[40:52], box[1160:1172]):
                for body in (box, box[40:], box[1160:], box[1172:]):
                    for aad in (None, box[:40], box[:1160]):
                        with pytest.raises(InvalidTag):
                            cipher.decrypt(nonce, body, aad)

    data_key = DataKey.derive(tenant_key, tenant="alpha", store="memory", key_version=1, epoch=epoch)
    with pytest.raises(SealBroken) as refused:
        open_sealed(data_key, box, tenant="alpha", store="memory", purpose="note", record_id="note-1")
    assert refused.value.reason == BrokenSeal.UNKNOWN_VERSION


def test_the_attempts_of_the_platform_would_succeed_with_the_private_key() -> None:
    """The control of the test above."""
    assert open_for(seal_for()) == PLAINTEXT


def test_a_store_can_seal_a_box_once_more() -> None:
    data_key = DataKey.derive(bytes(32), tenant="alpha", store=Store.MEMORY, key_version=1, epoch=bytes(16))
    box = seal_for()
    sealed = seal(data_key, 0, tenant="alpha", store="memory", purpose="note", record_id="note-1", plaintext=box)
    assert not is_tenant_box(sealed)
    stored = open_sealed(data_key, sealed, tenant="alpha", store="memory", purpose="note", record_id="note-1")
    assert is_tenant_box(stored)
    assert open_for(stored) == PLAINTEXT


def test_a_box_is_told_from_everything_else() -> None:
    box = seal_for()
    assert is_tenant_box(box)
    assert is_tenant_box(box[:7] + b"\x02" + box[8:]), "a later version is still no plaintext"
    for other in (b"", box[:6], PLAINTEXT, b"{}", b"\x01" + box[1:], "\x8fpwbox\x00".encode(), b"\x00" + box):
        assert not is_tenant_box(other)
    with pytest.raises(UnicodeDecodeError):
        box[:7].decode()


# -- What doesn't open -------------------------------------------------------------------------------------------------

_FLIPPED = [(8, BrokenSeal.UNKNOWN_VERSION), (40, BrokenSeal.WRONG_KEY), (10_000, BrokenSeal.NOT_AUTHENTIC)]


def test_each_flipped_bit_is_noticed() -> None:
    box = seal_for(plaintext=b"hello")
    for offset in range(len(box)):
        expected = next(reason for end, reason in _FLIPPED if offset < end)
        for bit in range(8):
            changed = bytearray(box)
            changed[offset] ^= 1 << bit
            assert refusal(bytes(changed)) == expected, (offset, bit)


def test_each_length_that_is_too_short_is_noticed() -> None:
    box = seal_for(plaintext=b"hello")
    for length in range(len(box)):
        expected = BrokenSeal.TRUNCATED if length < OVERHEAD_BYTES else BrokenSeal.NOT_AUTHENTIC
        assert refusal(box[:length]) == expected, length


def test_nothing_can_be_appended_or_put_before() -> None:
    box = seal_for()
    assert refusal(box + b"\x00") == BrokenSeal.NOT_AUTHENTIC
    assert refusal(b"\x00" + box) == BrokenSeal.UNKNOWN_VERSION


@given(st.binary(max_size=2000))
def test_what_nobody_sealed_does_not_open(data: bytes) -> None:
    assert refusal(data) in {BrokenSeal.TRUNCATED, BrokenSeal.UNKNOWN_VERSION}
    assert refusal(seal_for()[:40] + data) in {BrokenSeal.TRUNCATED, BrokenSeal.NOT_AUTHENTIC}


def test_parts_of_two_boxes_do_not_make_a_third() -> None:
    first, second = seal_for(), seal_for()
    assert refusal(first[:1160] + second[1160:]) == BrokenSeal.NOT_AUTHENTIC
    assert refusal(first[:40] + second[40:1128] + first[1128:]) == BrokenSeal.NOT_AUTHENTIC
    assert refusal(first[:1128] + second[1128:1160] + first[1160:]) == BrokenSeal.NOT_AUTHENTIC


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32])
def test_a_point_of_small_order_does_not_open(point: bytes) -> None:
    box = seal_for()
    assert refusal(box[:1128] + point + box[1160:]) == BrokenSeal.NOT_AUTHENTIC


# -- What is never sealed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", Place._fields)
def test_an_empty_field_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        seal_for(HERE._replace(**{field: ""}))
    assert refusal(seal_for(), HERE._replace(**{field: ""})) == BrokenSeal.NOT_AUTHENTIC


@pytest.mark.parametrize("field", Place._fields)
def test_what_is_no_unicode_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        seal_for(HERE._replace(**{field: "\ud800"}))
    with pytest.raises(ValueError, match="surrogates"):
        open_for(seal_for(), HERE._replace(**{field: "\ud800"}))


def test_a_key_of_another_length_is_refused() -> None:
    private, public = ALPHA
    for bad in (b"", private, public[:-1], public + b"\x00"):
        with pytest.raises(ValueError, match="the public key of a tenant box is 1216 bytes"):
            seal_for(keys=(private, bad))
    for bad in (b"", private[:-1], private + b"\x00", public):
        with pytest.raises(ValueError, match="the private key of a tenant box is 32 bytes"):
            tenant_box_public_key(bad)
        with pytest.raises(ValueError, match="the private key of a tenant box is 32 bytes"):
            open_for(seal_for(), keys=(bad, public))


def test_what_is_no_public_key_is_refused() -> None:
    """Coefficients beyond the modulus, and a point of small order whose shared secret would be zero."""
    private, public = ALPHA
    for bad in (b"\xff" * 1216, public[:1184] + bytes(32)):
        with pytest.raises(ValueError, match=r"public key|shared key"):
            seal_for(keys=(private, bad))


def test_the_longest_plaintext_is_that_of_an_envelope() -> None:
    longest = bytes(64 * 2**20)
    assert open_for(seal_for(plaintext=longest)) == longest
    with pytest.raises(PayloadTooLarge):
        seal_for(plaintext=longest + b"\x00")


def test_a_cryptography_without_ml_kem_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    box = seal_for()
    monkeypatch.setattr(backend, "mlkem_supported", lambda: False)
    for act in (new_tenant_box_keys, seal_for, lambda: open_for(box)):
        with pytest.raises(ConfigError, match="ML-KEM"):
            act()


# -- The client --------------------------------------------------------------------------------------------------------

_CLIENT = """
import sys
from partywall.keys.tenant_box import new_tenant_box_keys, open_by_tenant, seal_to_tenant

private, public = new_tenant_box_keys()
box = seal_to_tenant(public, tenant="alpha", store="memory", record_id="note-1", plaintext=b"for our eyes")
assert open_by_tenant(private, tenant="alpha", store="memory", record_id="note-1", box=box) == b"for our eyes"
print(*sys.modules)
"""


def test_a_client_loads_nothing_of_a_server() -> None:
    done = subprocess.run([sys.executable, "-c", _CLIENT], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "cryptography" in loaded
    ours = {name for name in loaded if name.startswith("partywall")}
    used = {"errors", "keys", "keys.canonical", "keys.tenant_box"}
    assert ours == {"partywall", *(f"partywall.{name}" for name in used)}, "keys/__init__.py loads its names lazily"
    assert loaded.isdisjoint({"asyncio", "boto3", "hvac", "orjson", "pydantic", "sqlite3", "ssl", "uvicorn", "yaml"})


def test_the_example_of_the_specification_runs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "spec" / "envelope.md").read_text(encoding="utf-8")
    example = text.partition("```python\n")[2].partition("```")[0]
    assert "seal_to_tenant" in example
    subprocess.run([sys.executable, "-c", example], check=True)
