"""Wrapping a key with a key, against a published vector and by its promises."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partywall.keys.hazmat.wrap import WRAP_OVERHEAD, NotAuthentic, unwrap, wrap

# McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test case 16 (AES-256, with associated data).
KEY = bytes.fromhex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
NONCE = bytes.fromhex("cafebabefacedbaddecaf888")
PLAINTEXT = bytes.fromhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
ASSOCIATED = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
CIPHERTEXT = bytes.fromhex(
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
)
TAG = bytes.fromhex("76fc6ece0f4e1768cddf8853bb2d551b")


def test_the_published_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda size: NONCE[:size])
    assert wrap(KEY, PLAINTEXT, ASSOCIATED) == NONCE + CIPHERTEXT + TAG
    assert unwrap(KEY, NONCE + CIPHERTEXT + TAG, ASSOCIATED) == PLAINTEXT


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_what_was_wrapped_comes_back(plaintext: bytes, associated: bytes) -> None:
    key = os.urandom(32)
    wrapped = wrap(key, plaintext, associated)
    assert len(wrapped) == len(plaintext) + WRAP_OVERHEAD
    assert unwrap(key, wrapped, associated) == plaintext


@given(st.integers(0, (32 + WRAP_OVERHEAD) * 8 - 1))
def test_no_bit_may_change(bit: int) -> None:
    key, wrapped = os.urandom(32), bytearray(wrap(KEY, PLAINTEXT[:32], ASSOCIATED))
    wrapped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NotAuthentic):
        unwrap(KEY, bytes(wrapped), ASSOCIATED)
    with pytest.raises(NotAuthentic):
        unwrap(key, wrap(KEY, PLAINTEXT, ASSOCIATED), ASSOCIATED)


def test_nothing_shorter_opens() -> None:
    wrapped = wrap(KEY, b"", b"")
    for length in range(len(wrapped)):
        with pytest.raises(NotAuthentic):
            unwrap(KEY, wrapped[:length], b"")


def test_nonces_are_drawn_anew() -> None:
    assert len({wrap(KEY, PLAINTEXT, ASSOCIATED)[:12] for _ in range(1000)}) == 1000
