"""Specification, vectors and code say the same.

The second half of this file is a second implementation, written from docs/spec/envelope.md with plain `cryptography`
and nothing of ours. Where it and the code differ about a vector, one of the three is wrong.
"""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from tests.keys import making
from tests.keys.vectors import (
    FOLDER,
    BoxNegative,
    BoxPositive,
    BoxRecord,
    Canonical,
    Index,
    Keyring,
    Negative,
    Positive,
    Record,
    data_key_for,
    dump,
    load_boxes,
    load_envelopes,
    open_record,
    tenant_key,
)

from partywall.errors import BrokenSeal, SealBroken
from partywall.keys.canonical import canonical
from partywall.keys.envelope import seal
from partywall.keys.hazmat import derive_index_key, keyed_hash
from partywall.keys.names import Store
from partywall.keys.tenant_box import open_by_tenant, tenant_box_public_key

VECTORS = load_envelopes()
BOXES = load_boxes()


def name(vector: Record | BoxRecord) -> str:
    return vector["name"]


every_positive = pytest.mark.parametrize("vector", VECTORS["positive"], ids=name)
every_negative = pytest.mark.parametrize("vector", VECTORS["negative"], ids=name)
every_box = pytest.mark.parametrize("vector", BOXES["positive"], ids=name)
every_broken_box = pytest.mark.parametrize("vector", BOXES["negative"], ids=name)


# -- The code ----------------------------------------------------------------------------------------------------------


def test_the_file_is_what_the_code_makes() -> None:
    assert (FOLDER / "envelope-v1.json").read_text(encoding="utf-8") == dump(making.build())


def test_the_file_of_boxes_is_what_the_code_makes() -> None:
    boxes = [bytes.fromhex(positive["box"]) for positive in BOXES["positive"]]
    assert (FOLDER / "tenant-box-v1.json").read_text(encoding="utf-8") == dump(making.build_boxes(boxes))


def test_every_store_and_every_failure_of_an_envelope_is_named_as_specified() -> None:
    text = (FOLDER.parent / "envelope.md").read_text(encoding="utf-8")
    assert all(f"`{store}`" in text for store in Store)
    failures = {vector["failure"] for vector in VECTORS["negative"]}
    # A wrapped key that doesn't open is no envelope; everything else an opener can find has its vectors.
    assert failures == set(BrokenSeal) - {BrokenSeal.WRAPPED_KEY}
    assert {vector["failure"] for vector in BOXES["negative"]} <= failures


@every_positive
def test_a_positive_vector_opens_and_seals_to_the_same_bytes(vector: Positive) -> None:
    sealed, plaintext = bytes.fromhex(vector["sealed"]), bytes.fromhex(vector["plaintext"])
    assert open_record(VECTORS, vector) == plaintext
    again = seal(
        data_key_for(VECTORS, vector["tenant"], vector["store"], sealed),
        vector["counter"],
        tenant=vector["tenant"],
        store=vector["store"],
        purpose=vector["purpose"],
        record_id=vector["record_id"],
        plaintext=plaintext,
    )
    assert again == sealed


@pytest.mark.parametrize(
    "vector", [vector for vector in VECTORS["negative"] if vector["layer"] == "envelope"], ids=name
)
def test_a_negative_vector_fails_as_it_says(vector: Negative) -> None:
    with pytest.raises(SealBroken) as refusal:
        open_record(VECTORS, vector)
    assert refusal.value.reason == vector["failure"]


@pytest.mark.parametrize("vector", VECTORS["canonical"], ids=lambda vector: vector["encoding"][:40])
def test_a_list_is_encoded_as_it_says(vector: Canonical) -> None:
    fields = [bytes.fromhex(field) for field in vector["fields"]]
    assert canonical(*fields).hex() == reference_canonical(*fields).hex() == vector["encoding"]


@pytest.mark.parametrize("vector", VECTORS["index"], ids=lambda vector: vector["hash"][:8])
def test_a_value_is_hashed_as_it_says(vector: Index) -> None:
    key = derive_index_key(
        tenant_key(VECTORS, vector["tenant"], vector["key_version"]),
        tenant=vector["tenant"],
        store=vector["store"],
        purpose=vector["purpose"],
        key_version=vector["key_version"],
    )
    assert key.hex() == vector["index_key"]
    assert keyed_hash(key, bytes.fromhex(vector["value"])).hex() == vector["hash"]


@every_box
def test_a_positive_box_opens(vector: BoxPositive) -> None:
    private = bytes.fromhex(vector["private"])
    assert tenant_box_public_key(private).hex() == vector["public"]
    assert open_box(vector).hex() == vector["plaintext"]


@every_broken_box
def test_a_negative_box_fails_as_it_says(vector: BoxNegative) -> None:
    with pytest.raises(SealBroken) as refusal:
        open_box(vector)
    assert refusal.value.reason == vector["failure"]


def open_box(vector: BoxRecord) -> bytes:
    return open_by_tenant(
        bytes.fromhex(vector["private"]),
        tenant=vector["tenant"],
        store=vector["store"],
        record_id=vector["record_id"],
        box=bytes.fromhex(vector["box"]),
    )


# -- The specification, once more -------------------------------------------------------------------------------------


class ReferenceFailure(Exception):
    """Carries the name of section 6 or 9."""


def reference_canonical(*fields: bytes) -> bytes:
    """Section 2."""
    encoded = len(fields).to_bytes(4, "big")
    for field in fields:
        encoded += len(field).to_bytes(4, "big") + field
    return encoded


def reference_hkdf(key: bytes, salt: bytes, length: int, *info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, reference_canonical(*info)).derive(key)


def reference_open(record: Record, versions: list[int], minimum: int) -> bytes:
    """Section 6, check by check."""
    sealed = bytes.fromhex(record["sealed"])
    tenant, store = record["tenant"].encode(), record["store"].encode()
    if not sealed:
        raise ReferenceFailure("truncated")
    if sealed[0] != 1:
        raise ReferenceFailure("unknown_version")
    if len(sealed) < 77:
        raise ReferenceFailure("truncated")
    number, epoch, counter, commitment = sealed[1:5], sealed[5:21], sealed[21:29], sealed[29:61]
    version = int.from_bytes(number, "big")
    if version not in versions:
        raise ReferenceFailure("unknown_key")
    if version < minimum:
        raise ReferenceFailure("version_refused")
    tenant_key = bytes.fromhex(VECTORS["tenant_keys"][record["tenant"]][str(version)])
    okm = reference_hkdf(tenant_key, epoch, 64, b"partywall/data-key/v1", tenant, store, number)
    if okm[32:] != commitment:
        raise ReferenceFailure("wrong_key")
    purpose, record_id = record["purpose"].encode(), record["record_id"].encode()
    aad = reference_canonical(b"partywall/record/v1", sealed[:61], tenant, store, purpose, record_id)
    try:
        return AESGCM(okm[:32]).decrypt(bytes(4) + counter, sealed[61:], aad)
    except InvalidTag:
        raise ReferenceFailure("not_authentic") from None


@every_positive
def test_a_positive_vector_is_what_the_specification_says(vector: Positive) -> None:
    assert reference_open(vector, [1, 2], 1).hex() == vector["plaintext"]
    tenant_key = bytes.fromhex(VECTORS["tenant_keys"][vector["tenant"]][str(vector["key_version"])])
    tenant, store, purpose, record_id = (
        text.encode() for text in (vector["tenant"], vector["store"], vector["purpose"], vector["record_id"])
    )
    number, epoch = vector["key_version"].to_bytes(4, "big"), bytes.fromhex(vector["epoch"])
    okm = reference_hkdf(tenant_key, epoch, 64, b"partywall/data-key/v1", tenant, store, number)
    header = b"\x01" + number + epoch + vector["counter"].to_bytes(8, "big") + okm[32:]
    aad = reference_canonical(b"partywall/record/v1", header, tenant, store, purpose, record_id)
    nonce = vector["counter"].to_bytes(12, "big")
    body = AESGCM(okm[:32]).encrypt(nonce, bytes.fromhex(vector["plaintext"]), aad)
    assert okm.hex() == vector["data_key_and_commitment"]
    assert aad.hex() == vector["aad"]
    assert (header + body).hex() == vector["sealed"]


@every_negative
def test_a_negative_vector_fails_as_the_specification_says(vector: Negative) -> None:
    everything: Keyring = {"versions": [1, 2], "min_decryption_version": 1}
    keyring = vector.get("keyring", everything)
    with pytest.raises(ReferenceFailure) as refusal:
        reference_open(vector, keyring["versions"], keyring["min_decryption_version"])
    assert str(refusal.value) == vector["failure"]


@pytest.mark.parametrize("vector", VECTORS["index"], ids=lambda vector: vector["hash"][:8])
def test_a_value_is_hashed_as_the_specification_says(vector: Index) -> None:
    tenant_key = bytes.fromhex(VECTORS["tenant_keys"][vector["tenant"]][str(vector["key_version"])])
    texts = [vector["tenant"].encode(), vector["store"].encode(), vector["purpose"].encode()]
    number = vector["key_version"].to_bytes(4, "big")
    key = reference_hkdf(tenant_key, b"", 32, b"partywall/index-key/v1", *texts, number)
    assert key.hex() == vector["index_key"]
    assert hmac.new(key, bytes.fromhex(vector["value"]), hashlib.sha256).hexdigest() == vector["hash"]


SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


def reference_open_box(vector: BoxRecord) -> bytes:
    """Section 9, check by check."""
    box = bytes.fromhex(vector["box"])
    if len(box) < 8:
        raise ReferenceFailure("truncated")
    if box[:8] != bytes.fromhex("8f7077626f780001"):
        raise ReferenceFailure("unknown_version")
    if len(box) < 1176:
        raise ReferenceFailure("truncated")
    expanded = hashlib.shake_256(bytes.fromhex(vector["private"])).digest(96)
    lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    curve = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
    public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    recipient = hashlib.sha256(reference_canonical(b"partywall/tenant-box-key/v1", public)).digest()
    if box[8:40] != recipient:
        raise ReferenceFailure("wrong_key")
    texts = (vector["tenant"].encode(), vector["store"].encode(), vector["record_id"].encode())
    info = reference_canonical(b"partywall/tenant-box/v1", box[:40], *texts)
    try:
        return SUITE.decrypt(box[40:], hpke.MLKEM768X25519PrivateKey(lattice, curve), info=info)
    except InvalidTag:
        raise ReferenceFailure("not_authentic") from None


@every_box
def test_a_positive_box_is_what_the_specification_says(vector: BoxPositive) -> None:
    assert reference_open_box(vector).hex() == vector["plaintext"]


@every_broken_box
def test_a_negative_box_fails_as_the_specification_says(vector: BoxNegative) -> None:
    with pytest.raises(ReferenceFailure) as refusal:
        reference_open_box(vector)
    assert str(refusal.value) == vector["failure"]


def test_the_files_hold_nothing_that_isn_t_ascii() -> None:
    """Editors and other languages' readers must not be able to change a record id on the way."""
    for file in FOLDER.glob("*.json"):
        assert file.read_bytes().isascii()
        json.loads(file.read_bytes())
