"""What the files in docs/spec/vectors must hold, made out of our code.

A test compares the two, and another opens the files with nothing but the words of the specification and `cryptography`,
so that file, code and specification can only change together.
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal

from tests.keys.salamander import two_faced
from tests.keys.vectors import BoxNegative, BoxPositive, BoxVectors, EnvelopeVectors, Index, Negative, Positive

from partywall.keys.canonical import canonical
from partywall.keys.envelope import VERSION, seal
from partywall.keys.hazmat import DataKey, derive_index_key, keyed_hash
from partywall.keys.hazmat.derive import derive_data_key
from partywall.keys.names import Store
from partywall.keys.tenant_box import tenant_box_public_key

__all__ = ["build", "build_boxes"]


def _fixed(what: str, length: int) -> bytes:
    """Bytes that nobody chose, and anybody can make again."""
    return hashlib.shake_256(f"partywall vectors: {what}".encode()).digest(length)


_TENANT_KEYS: Final = {
    tenant: {str(version): _fixed(f"tenant key {tenant} {version}", 32).hex() for version in (1, 2)}
    for tenant in ("alpha", "beta")
}
_EPOCH: Final = _fixed("epoch", 16)


def _key(tenant: str, store: str, version: int, epoch: bytes = _EPOCH) -> DataKey:
    key = bytes.fromhex(_TENANT_KEYS[tenant][str(version)])
    return DataKey.derive(key, tenant=tenant, store=store, key_version=version, epoch=epoch)


def _positive(
    name: str,
    plaintext: bytes,
    *,
    tenant: str = "alpha",
    store: str = Store.CONVERSATIONS,
    version: int = 1,
    counter: int = 0,
    purpose: str = "message",
    record_id: str = "conv-1/7",
) -> Positive:
    key = bytes.fromhex(_TENANT_KEYS[tenant][str(version)])
    derived = derive_data_key(key, tenant=tenant, store=store, key_version=version, epoch=_EPOCH)
    sealed = seal(
        _key(tenant, store, version),
        counter,
        tenant=tenant,
        store=store,
        purpose=purpose,
        record_id=record_id,
        plaintext=plaintext,
    )
    texts = (tenant, store, purpose, record_id)
    return {
        "name": name,
        "tenant": tenant,
        "store": str(store),
        "purpose": purpose,
        "record_id": record_id,
        "sealed": sealed.hex(),
        "key_version": version,
        "epoch": _EPOCH.hex(),
        "counter": counter,
        "data_key_and_commitment": derived.hex(),
        "aad": canonical(b"partywall/record/v1", sealed[:61], *(text.encode() for text in texts)).hex(),
        "plaintext": plaintext.hex(),
    }


def _positives() -> list[Positive]:
    return [
        _positive("a message", b"hello, alpha"),
        _positive("the same record of another tenant", b"hello, alpha", tenant="beta"),
        _positive("the same record in another store", b"hello, alpha", store=Store.MEMORY),
        _positive("the next record of the epoch", b"hello, alpha", counter=1),
        _positive("the second version of the key", b"hello, alpha", version=2),
        _positive("the last counter of an epoch", b"hello, alpha", counter=2**32 - 1),
        _positive("an empty plaintext", b"", record_id="conv-1/8", counter=2),
        _positive("one block", bytes(range(16)), record_id="conv-1/9", counter=3),
        _positive("many blocks and a rest", _fixed("plaintext", 1000), record_id="conv-1/10", counter=4),
        _positive("a record id beyond ASCII", b"hello", record_id="gespräch/\U0001f511/1", counter=5),
        _positive("a record id that is not normalised", b"hello", record_id="gespra\u0308ch/1", counter=6),
        _positive("field borders, one way", b"hello", purpose="a/b", record_id="c", counter=7),
        _positive("field borders, the other way", b"hello", purpose="a", record_id="b/c", counter=8),
        _positive("a long record id", b"hello", record_id="r" * 1000, counter=9),
    ]


def _flip(sealed: bytes, offset: int, mask: int) -> bytes:
    changed = bytearray(sealed)
    changed[offset] ^= mask
    return bytes(changed)


def _edits(sealed: bytes, other: bytes) -> list[tuple[str, bytes, str]]:
    """Changed bytes of `sealed`, and the failure each must give. `other` is a record of the same epoch."""
    cuts = (0, 1, 5, 21, 29, 60, 61, 62, 76)
    return [
        *[(f"cut to {length} bytes", sealed[:length], "truncated") for length in cuts],
        ("cut to 77 bytes", sealed[:77], "not_authentic"),
        ("cut by one byte", sealed[:-1], "not_authentic"),
        ("without its first byte", sealed[1:], "unknown_version"),
        ("a byte appended", sealed + b"\x00", "not_authentic"),
        ("a byte put before", b"\x01" + sealed, "unknown_key"),
        ("an old version", b"\x00" + sealed[1:], "unknown_version"),
        ("a later version", b"\x02" + sealed[1:], "unknown_version"),
        ("a flipped bit in the version", _flip(sealed, 0, 0x80), "unknown_version"),
        ("another version of the key", _flip(sealed, 4, 0x03), "wrong_key"),
        ("a flipped bit at the start of the epoch", _flip(sealed, 5, 0x80), "wrong_key"),
        ("a flipped bit at the end of the epoch", _flip(sealed, 20, 0x01), "wrong_key"),
        ("a flipped bit at the start of the counter", _flip(sealed, 21, 0x80), "not_authentic"),
        ("a flipped bit at the end of the counter", _flip(sealed, 28, 0x01), "not_authentic"),
        ("a flipped bit at the start of the commitment", _flip(sealed, 29, 0x80), "wrong_key"),
        ("a flipped bit at the end of the commitment", _flip(sealed, 60, 0x01), "wrong_key"),
        ("a flipped bit at the start of the ciphertext", _flip(sealed, 61, 0x80), "not_authentic"),
        ("a flipped bit at the end of the ciphertext", _flip(sealed, -17, 0x01), "not_authentic"),
        ("a flipped bit at the start of the tag", _flip(sealed, -16, 0x80), "not_authentic"),
        ("a flipped bit at the end of the tag", _flip(sealed, -1, 0x01), "not_authentic"),
        ("the header of the next record", other[:61] + sealed[61:], "not_authentic"),
        ("the body of the next record", sealed[:61] + other[61:], "not_authentic"),
        ("no envelope", b"hello, alpha", "unknown_version"),
    ]


def _envelope_negatives(first: Positive, following: Positive, slashes: Positive) -> list[Negative]:
    sealed, moved = bytes.fromhex(first["sealed"]), bytes.fromhex(slashes["sealed"])
    right = {key: first[key] for key in ("tenant", "store", "purpose", "record_id")}

    def negative(name: str, failure: str, data: bytes = sealed, **differing: str) -> Negative:
        who = {**right, **differing}
        layer: Literal["envelope", "keyring"] = "keyring" if failure == "unknown_key" else "envelope"
        made: Negative = {
            "name": name,
            "layer": layer,
            "failure": failure,
            "tenant": who["tenant"],
            "store": who["store"],
            "purpose": who["purpose"],
            "record_id": who["record_id"],
            "sealed": data.hex(),
        }
        if layer == "keyring":
            made["keyring"] = {"versions": [1, 2], "min_decryption_version": 1}
        return made

    return [
        negative("wrong tenant", "wrong_key", tenant="beta"),
        negative("wrong store", "wrong_key", store="memory"),
        negative("wrong purpose", "not_authentic", purpose="title"),
        negative("wrong record", "not_authentic", record_id="conv-1/8"),
        negative("a record id that is a prefix", "not_authentic", record_id="conv-1/"),
        negative("field borders moved", "not_authentic", moved, purpose="a", record_id="b/c"),
        negative("a ciphertext that AES-GCM opens under both tenants' keys", "wrong_key", _salamander(), tenant="beta"),
        *[negative(name, why, data) for name, data, why in _edits(sealed, bytes.fromhex(following["sealed"]))],
    ]


def _salamander() -> bytes:
    """Sealed by alpha, and a valid AES-GCM ciphertext under beta's data key as well; only the commitment differs."""
    alpha, beta = (_key(tenant, Store.CONVERSATIONS, 1) for tenant in ("alpha", "beta"))
    header = bytes([VERSION]) + (1).to_bytes(4, "big") + _EPOCH + bytes(8) + alpha.commitment
    aads = [
        canonical(b"partywall/record/v1", header, tenant, b"conversations", b"message", b"conv-1/7")
        for tenant in (b"alpha", b"beta")
    ]
    return header + two_faced(_raw_key(alpha), _raw_key(beta), bytes(12), aads[0], aads[1])


def _raw_key(data_key: DataKey) -> bytes:
    tenant_key = bytes.fromhex(_TENANT_KEYS[data_key.tenant][str(data_key.key_version)])
    derived = derive_data_key(
        tenant_key,
        tenant=data_key.tenant,
        store=data_key.store,
        key_version=data_key.key_version,
        epoch=data_key.epoch,
    )
    return bytes(derived[:32])


def _keyring_negatives(first: Positive) -> list[Negative]:
    sealed = bytes.fromhex(first["sealed"])
    cases: list[tuple[str, str, bytes, list[int], int]] = [
        ("unknown key id", "unknown_key", sealed[:1] + (99).to_bytes(4, "big") + sealed[5:], [1, 2], 1),
        ("key id 0", "unknown_key", sealed[:1] + bytes(4) + sealed[5:], [1, 2], 1),
        ("a key id that is no longer there", "unknown_key", sealed, [2], 1),
        ("version below the minimum", "version_refused", sealed, [1, 2], 2),
        ("a changed record below the minimum", "version_refused", _flip(sealed, -1, 0x01), [1, 2], 2),
    ]
    return [
        {
            "name": name,
            "layer": "keyring",
            "failure": failure,
            "tenant": first["tenant"],
            "store": first["store"],
            "purpose": first["purpose"],
            "record_id": first["record_id"],
            "sealed": data.hex(),
            "keyring": {"versions": versions, "min_decryption_version": minimum},
        }
        for name, failure, data, versions, minimum in cases
    ]


def _indexes() -> list[Index]:
    made: list[Index] = []
    for tenant, store, purpose, version in (
        ("alpha", "memory", "subject", 1),
        ("beta", "memory", "subject", 1),
        ("alpha", "preferences", "subject", 1),
        ("alpha", "memory", "e-mail", 1),
        ("alpha", "memory", "subject", 2),
    ):
        key = derive_index_key(
            bytes.fromhex(_TENANT_KEYS[tenant][str(version)]),
            tenant=tenant,
            store=store,
            purpose=purpose,
            key_version=version,
        )
        made.append(
            {
                "tenant": tenant,
                "store": store,
                "purpose": purpose,
                "key_version": version,
                "value": b"ada@example.com".hex(),
                "index_key": key.hex(),
                "hash": keyed_hash(key, b"ada@example.com").hex(),
            }
        )
    return made


def build() -> EnvelopeVectors:
    """What `envelope-v1.json` must hold."""
    positives = _positives()
    lists: tuple[list[bytes], ...] = (
        [],
        [b""],
        [b"", b""],
        [b"ab", b"c"],
        [b"a", b"bc"],
        [b"\x00\x00\x00\x01a"],
        [b"x" * 300],
    )
    return {
        "specification": "docs/spec/envelope.md",
        "tenant_keys": _TENANT_KEYS,
        "canonical": [{"fields": [f.hex() for f in fields], "encoding": canonical(*fields).hex()} for fields in lists],
        "index": _indexes(),
        "positive": positives,
        "negative": [
            *_envelope_negatives(positives[0], positives[3], positives[11]),
            *_keyring_negatives(positives[0]),
        ],
    }


# -- Tenant boxes ------------------------------------------------------------------------------------------------------


def build_boxes(boxes: list[bytes]) -> BoxVectors:
    """What `tenant-box-v1.json` must hold, but for the boxes of its positives: those come out different each time."""
    alpha, beta = (_fixed(f"tenant box {tenant}", 32) for tenant in ("alpha", "beta"))
    records = [
        ("a note", alpha, "alpha", "memory", "note-1", b"for our eyes"),
        ("the same of another tenant", beta, "beta", "memory", "note-1", b"for our eyes"),
        ("an empty plaintext", alpha, "alpha", "documents", "gespr\u00e4ch/\U0001f511", b""),
    ]
    positives: list[BoxPositive] = [
        {
            "name": name,
            "private": private.hex(),
            "public": tenant_box_public_key(private).hex(),
            "tenant": tenant,
            "store": store,
            "record_id": record_id,
            "plaintext": plaintext.hex(),
            "box": box.hex(),
        }
        for (name, private, tenant, store, record_id, plaintext), box in zip(records, boxes, strict=True)
    ]
    return {
        "specification": "docs/spec/envelope.md",
        "positive": positives,
        "negative": _box_negatives(boxes[0], alpha, beta),
    }


def _box_negatives(box: bytes, alpha: bytes, beta: bytes) -> list[BoxNegative]:
    def negative(
        name: str,
        failure: str,
        data: bytes = box,
        *,
        private: bytes = alpha,
        tenant: str = "alpha",
        store: str = "memory",
        record_id: str = "note-1",
    ) -> BoxNegative:
        return {
            "name": name,
            "failure": failure,
            "private": private.hex(),
            "tenant": tenant,
            "store": store,
            "record_id": record_id,
            "box": data.hex(),
        }

    return [
        negative("another tenant's private key", "wrong_key", private=beta),
        negative("another tenant and its private key", "wrong_key", private=beta, tenant="beta"),
        negative("wrong tenant", "not_authentic", tenant="beta"),
        negative("wrong store", "not_authentic", store="documents"),
        negative("wrong record", "not_authentic", record_id="note-2"),
        negative("field borders moved", "not_authentic", store="memoryn", record_id="ote-1"),
        negative("empty", "truncated", b""),
        negative("cut within the magic", "truncated", box[:7]),
        negative("cut within the recipient", "truncated", box[:39]),
        negative("cut within the encapsulated key", "truncated", box[:1159]),
        negative("cut within the tag", "truncated", box[:1175]),
        negative("cut by one byte", "not_authentic", box[:-1]),
        negative("a byte appended", "not_authentic", box + b"\x00"),
        negative("a flipped bit in the magic", "unknown_version", _flip(box, 0, 0x80)),
        negative("a later version", "unknown_version", _flip(box, 7, 0x03)),
        negative("a flipped bit in the recipient", "wrong_key", _flip(box, 8, 0x80)),
        negative("a flipped bit in the lattice half", "not_authentic", _flip(box, 40, 0x80)),
        negative("a flipped bit in the curve half", "not_authentic", _flip(box, 1159, 0x80)),
        negative("the curve half is zero", "not_authentic", box[:1128] + bytes(32) + box[1160:]),
        negative("a flipped bit in the ciphertext", "not_authentic", _flip(box, 1160, 0x80)),
        negative("a flipped bit in the tag", "not_authentic", _flip(box, -1, 0x01)),
        negative("an envelope", "unknown_version", b"\x01" + box[1:]),
        negative("plain text", "unknown_version", b"for our eyes"),
    ]
