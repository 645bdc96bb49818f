"""Tenant boxes: records that the client seals to its tenant's public key, so that the platform can't open them.

HPKE (RFC 9180) with the hybrid KEM of ML-KEM-768 and X25519; docs/spec/envelope.md, section 9, has the bytes and the
reasons. This module is what a client runs: it needs the standard library and `cryptography`, no scope and no server.

Promises: a box opens with the private key of the tenant it was sealed to, for the tenant, store and record id it was
sealed for, unchanged, or it raises `SealBroken`. No secret of the platform's opens it.

Doesn't promise: who sealed it (whoever knows the public key can), nor to hide its length. A private key that is lost is
lost data.
"""

from __future__ import annotations

import hashlib
import os
from hmac import compare_digest
from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from partywall.errors import BrokenSeal, ConfigError, PayloadTooLarge, SealBroken
from partywall.keys.canonical import canonical

__all__ = ["is_tenant_box", "new_tenant_box_keys", "open_by_tenant", "seal_to_tenant", "tenant_box_public_key"]

_MAGIC: Final = b"\x8fpwbox\x00"
_VERSION: Final = b"\x01"
_START: Final = _MAGIC + _VERSION
_LABEL: Final = b"partywall/tenant-box/v1"
_KEY_LABEL: Final = b"partywall/tenant-box-key/v1"
_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)

_SEED_BYTES: Final = 32
_MLKEM_SEED_BYTES: Final = 64
_X25519_BYTES: Final = 32
_MLKEM_PUBLIC_BYTES: Final = 1184
_PUBLIC_BYTES: Final = _MLKEM_PUBLIC_BYTES + _X25519_BYTES
_HEADER_BYTES: Final = len(_START) + 32
_ENCAPSULATED_BYTES: Final = 1120
_TAG_BYTES: Final = 16
_SHORTEST_BYTES: Final = _HEADER_BYTES + _ENCAPSULATED_BYTES + _TAG_BYTES
_LONGEST_PLAINTEXT_BYTES: Final = 64 * 2**20


def new_tenant_box_keys() -> tuple[bytes, bytes]:
    """A fresh private key (32 bytes, for the tenant alone) and its public key (1,216 bytes, for whoever seals)."""
    private = os.urandom(_SEED_BYTES)
    return private, tenant_box_public_key(private)


def tenant_box_public_key(private: bytes) -> bytes:
    """The public key of a private one.

    Raises:
        ValueError: `private` isn't 32 bytes.
        ConfigError: this build of `cryptography` has no ML-KEM.
    """
    lattice, curve = _private_halves(private)
    return lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()


def seal_to_tenant(public: bytes, *, tenant: str, store: str, record_id: str, plaintext: bytes) -> bytes:
    """A box that only the holder of the private key opens, for this tenant, store and record id.

    Raises:
        ValueError: `public` is no public key, or tenant, store or record id is empty or isn't Unicode.
        PayloadTooLarge: more than 64 MiB.
        ConfigError: this build of `cryptography` has no ML-KEM.
    """
    if not (tenant and store and record_id):
        raise ValueError("a tenant box is sealed for a tenant, a store and a record id; one of them is empty")
    if len(plaintext) > _LONGEST_PLAINTEXT_BYTES:
        raise PayloadTooLarge(f"a tenant box holds {_LONGEST_PLAINTEXT_BYTES} bytes at most, not {len(plaintext)}")
    header = _START + _recipient(public)
    info = canonical(_LABEL, header, tenant.encode(), store.encode(), record_id.encode())
    return header + _SUITE.encrypt(plaintext, _public_key(public), info=info)


def open_by_tenant(private: bytes, *, tenant: str, store: str, record_id: str, box: bytes) -> bytes:
    """The plaintext of `box`.

    Raises:
        SealBroken: `truncated`, `unknown_version`, `wrong_key` (sealed to another public key) or `not_authentic`
            (sealed for another tenant, store or record id, or changed).
        ValueError: `private` isn't 32 bytes, or an id isn't Unicode.
        ConfigError: this build of `cryptography` has no ML-KEM.
    """
    info = canonical(_LABEL, box[:_HEADER_BYTES], tenant.encode(), store.encode(), record_id.encode())
    _check_form(box)
    lattice, curve = _private_halves(private)
    own = _recipient(lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw())
    if not compare_digest(box[len(_START) : _HEADER_BYTES], own):
        raise SealBroken("a tenant box was sealed to another public key", reason=BrokenSeal.WRONG_KEY)
    try:
        return _SUITE.decrypt(box[_HEADER_BYTES:], MLKEM768X25519PrivateKey(lattice, curve), info=info)
    except InvalidTag:
        detail = f"a tenant box does not open as record `{record_id}` in `{store}` of `{tenant}`"
        raise SealBroken(detail, reason=BrokenSeal.NOT_AUTHENTIC) from None


def is_tenant_box(data: bytes) -> bool:
    """Whether `data` claims to be a tenant box of any version: never to be treated as plaintext."""
    return data.startswith(_MAGIC)


def _check_form(box: bytes) -> None:
    if len(box) >= len(_START) and not box.startswith(_START):
        raise SealBroken(
            "what should be a tenant box is none, or of a later version", reason=BrokenSeal.UNKNOWN_VERSION
        )
    if len(box) < _SHORTEST_BYTES:
        detail = f"a tenant box has {len(box)} bytes; the shortest has {_SHORTEST_BYTES}"
        raise SealBroken(detail, reason=BrokenSeal.TRUNCATED)


def _recipient(public: bytes) -> bytes:
    """Names a public key in a box. Collision-resistant, so a box is for one key pair at most."""
    return hashlib.sha256(canonical(_KEY_LABEL, public)).digest()


def _private_halves(private: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    """Expand a seed (draft-connolly-cfrg-xwing-kem, expandDecapsulationKey)."""
    if len(private) != _SEED_BYTES:
        raise ValueError(f"the private key of a tenant box is {_SEED_BYTES} bytes, not {len(private)}")
    expanded = hashlib.shake_256(private).digest(_MLKEM_SEED_BYTES + _X25519_BYTES)
    try:
        lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_BYTES])
    except UnsupportedAlgorithm as error:
        raise _no_mlkem() from error
    return lattice, X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_BYTES:])


def _public_key(public: bytes) -> MLKEM768X25519PublicKey:
    if len(public) != _PUBLIC_BYTES:
        raise ValueError(f"the public key of a tenant box is {_PUBLIC_BYTES} bytes, not {len(public)}")
    try:
        lattice = MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC_BYTES])
    except UnsupportedAlgorithm as error:
        raise _no_mlkem() from error
    return MLKEM768X25519PublicKey(lattice, X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC_BYTES:]))


def _no_mlkem() -> ConfigError:
    return ConfigError("this build of `cryptography` has no ML-KEM; install its wheel, or build it with OpenSSL 3.5")
