"""Which keys of a set may verify, and with which algorithm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from partywall.identity.jwks import KeySet, parse_key_set
from partywall.identity.settings import SUPPORTED_ALGORITHMS

if TYPE_CHECKING:
    from tests.identity.conftest import SigningKey


def load(*jwks: object, allowed: tuple[str, ...] = tuple(SUPPORTED_ALGORITHMS)) -> KeySet:
    return parse_key_set(json.dumps({"keys": jwks}).encode(), allowed)


def test_each_kind_of_key_fits_its_own_algorithms(rsa_key: SigningKey, ec_key: SigningKey, ed_key: SigningKey) -> None:
    keys = load(*(key.jwk(alg=None) for key in (rsa_key, ec_key, ed_key)))
    fits = {
        key.kid: {name for name in SUPPORTED_ALGORITHMS if keys.find(key.kid, name)}
        for key in (rsa_key, ec_key, ed_key)
    }
    assert fits == {
        "rsa-1": {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
        "ec-1": {"ES256"},
        "ed-1": {"EdDSA"},
    }


def test_a_key_is_bound_to_the_algorithm_it_was_asked_for(rsa_key: SigningKey) -> None:
    keys = load(rsa_key.jwk(alg=None))
    for name in ("RS256", "PS512"):
        key = keys.find("rsa-1", name)
        assert key is not None
        assert key.algorithm_name == name


def test_alg_of_the_key_and_of_the_issuer_both_narrow(rsa_key: SigningKey) -> None:
    assert load(rsa_key.jwk(alg="PS256")).find("rsa-1", "RS256") is None
    assert load(rsa_key.jwk(alg="PS256")).find("rsa-1", "PS256")
    assert load(rsa_key.jwk(alg=None), allowed=("PS256",)).find("rsa-1", "RS256") is None
    assert load(rsa_key.jwk(alg="RS512"), allowed=("RS256",)).find("rsa-1", "RS512") is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"use": "enc"}, "`use`"),
        ({"use": None, "key_ops": ["encrypt"]}, "`key_ops`"),
        ({"key_ops": "verify"}, "`key_ops`"),
        ({"key_ops": []}, "`key_ops`"),
        ({"alg": "RSA-OAEP"}, "fits no algorithm"),
        ({"alg": "none"}, "fits no algorithm"),
        ({"alg": "HS256"}, "fits no algorithm"),
        ({"alg": 7}, "fits no algorithm"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "secret part"),
        ({"kty": "oct"}, "fits no algorithm"),
        ({"kty": ["RSA"]}, "fits no algorithm"),
        ({"kty": "EC", "crv": "P-256"}, "fits no algorithm"),
        ({"d": "AQAB"}, "secret part"),
        ({"n": None}, "not usable"),
        ({"n": 5}, "not usable"),
        ({"e": "AQ"}, "not usable"),
        ({"n": "!!"}, "not usable"),
    ],
)
def test_an_unfit_key_verifies_nothing(rsa_key: SigningKey, changes: dict[str, object], why: str) -> None:
    keys = load(rsa_key.jwk(**changes))
    assert all(keys.find("rsa-1", name) is None for name in (*SUPPORTED_ALGORITHMS, "none", "HS256"))
    assert "rsa-1" in keys
    assert why in keys.describe("rsa-1", "RS256")


def test_private_and_weak_keys_verify_nothing() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()  # noqa: S505  # weak is the point
    private = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
    curious = OKPAlgorithm.to_jwk(ed448.Ed448PrivateKey.generate().public_key(), as_dict=True)
    odd = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256K1()).public_key(), as_dict=True)
    keys = load(
        RSAAlgorithm.to_jwk(weak, as_dict=True) | {"kid": "weak"},
        private | {"kid": "private"},
        curious | {"kid": "ed448"},
        odd | {"kid": "secp256k1"},
    )
    for kid in ("weak", "private", "ed448", "secp256k1"):
        assert all(keys.find(kid, name) is None for name in SUPPORTED_ALGORITHMS)
        assert "not usable" in keys.describe(kid, "RS256")


def test_a_kid_of_two_keys_names_none(rsa_key: SigningKey, ec_key: SigningKey) -> None:
    keys = load(rsa_key.jwk(kid="same"), ec_key.jwk(kid="same"), rsa_key.jwk(kid="own"))
    assert keys.find("same", "RS256") is None
    assert keys.find("same", "ES256") is None
    assert "two keys" in keys.describe("same", "RS256")
    assert keys.find("own", "RS256")


def test_an_encryption_key_of_the_same_kid_makes_it_ambiguous(rsa_key: SigningKey) -> None:
    assert load(rsa_key.jwk(), rsa_key.jwk(use="enc")).find("rsa-1", "RS256") is None


def test_entries_without_a_name_are_skipped(rsa_key: SigningKey) -> None:
    keys = load(rsa_key.jwk(kid=None), rsa_key.jwk(kid=""), rsa_key.jwk(kid=5), "text", None, rsa_key.jwk())
    assert "" not in keys
    assert keys.find("rsa-1", "RS256")


def test_a_curve_decides_the_algorithm() -> None:
    for curve, algorithm in ((ec.SECP384R1(), "ES384"), (ec.SECP521R1(), "ES512")):
        jwk = ECAlgorithm.to_jwk(ec.generate_private_key(curve).public_key(), as_dict=True) | {"kid": "k"}
        keys = load(jwk)
        assert {name for name in SUPPORTED_ALGORITHMS if keys.find("k", name)} == {algorithm}


def test_an_empty_set_is_obeyed() -> None:
    keys = load()
    assert keys.find("any", "RS256") is None
    assert "no such key" in keys.describe("any", "RS256")


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": null}', b'{"keys": [], "keys": []}']
)
def test_what_is_no_set_raises(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|keys|name"):
        parse_key_set(document, SUPPORTED_ALGORITHMS)


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(
        ["RSA", "EC", "OKP", "P-256", "Ed25519", "Ed448", "sig", "verify", "RS256", "ES256", "EdDSA", "AQAB", "A" * 43]
    )
    | st.lists(st.text(max_size=3), max_size=2)
)
MEMBERS = ["kty", "crv", "use", "key_ops", "alg", "n", "e", "x", "y"]


@settings(deadline=None)  # a shared machine's pauses are no failure
@given(st.dictionaries(st.sampled_from(MEMBERS), VALUES), st.sampled_from(["RSA", "EC", "OKP"]))
def test_malformed_keys_never_raise(members: dict[str, object], kind: str) -> None:
    keys = load({"kty": kind, "kid": "k"} | members)
    assert "k" in keys
    for name in SUPPORTED_ALGORITHMS:
        assert isinstance(keys.find("k", name), jwt.PyJWK | None)
