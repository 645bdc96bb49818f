"""JWTs: each refusal of RFC 8725 and the issue, beside the token that is accepted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from partywall.errors import IdentityUnavailable, InvalidCredential
from partywall.identity import tokens as tokens_module
from partywall.identity.compact import UnverifiedToken, parse_unverified
from partywall.tenancy import CredentialKind, TenantId

if TYPE_CHECKING:
    from tests.identity.conftest import FakeClock, JwksServer, Keys, OpenDoor, Provider, SigningKey


def bearer(token: bytes) -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + token


# -- What is accepted ---


def test_a_good_token_names_tenant_group_and_user(provider: Provider, door: OpenDoor) -> None:
    scope = door(provider.settings()).admit(bearer(provider.token(jti="t-1")))
    assert (scope.tenant, scope.group, scope.user, scope.role) == ("alpha", "alpha", "ann", None)
    assert scope.credential_kind is CredentialKind.JWT
    assert scope.credential_id == "jwt:t-1"


def test_each_kind_of_key_verifies(
    provider: Provider, door: OpenDoor, rsa_key: SigningKey, ec_key: SigningKey, ed_key: SigningKey
) -> None:
    provider.server.publish(*(key.jwk() for key in (rsa_key, ec_key, ed_key)))
    opened = door(provider.settings())
    for key in (rsa_key, ec_key, ed_key):
        header = {"alg": key.algorithm, "kid": key.kid}
        assert opened.admit(bearer(provider.token(header, key=key))).tenant == "alpha"


def test_an_rsa_key_without_alg_verifies_pss_too(provider: Provider, door: OpenDoor, rsa_key: SigningKey) -> None:
    provider.server.publish(rsa_key.jwk(alg=None))
    pss = replace(rsa_key, algorithm="PS256")
    token = provider.token({"alg": "PS256", "kid": rsa_key.kid}, key=pss)
    assert door(provider.settings()).admit(bearer(token)).tenant == "alpha"


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
def test_typ_is_compared_as_a_media_type(provider: Provider, door: OpenDoor, typ: str) -> None:
    door(provider.settings()).admit(bearer(provider.token({"typ": typ})))


def test_typ_may_be_absent_only_when_the_settings_say_so(provider: Provider, door: OpenDoor) -> None:
    token = provider.token({"typ": None})
    door(provider.settings()).refuse(InvalidCredential, "`typ`", bearer(token))
    opened = door(provider.settings(require_typ=False))
    opened.admit(bearer(token))
    opened.refuse(InvalidCredential, "`typ`", bearer(provider.token({"typ": "logout+jwt"})))


def test_times_are_honoured_within_the_leeway(provider: Provider, door: OpenDoor) -> None:
    now = time.time()
    opened = door(provider.settings(leeway_seconds=60))
    opened.admit(bearer(provider.token(exp=int(now - 30), iat=int(now - 90))))
    opened.admit(bearer(provider.token(nbf=int(now + 30), iat=int(now + 30))))
    opened.admit(bearer(provider.token(exp=now + 5.5)))
    opened.admit(bearer(provider.token(exp=10**400)))


def test_one_of_several_audiences_is_enough(provider: Provider, door: OpenDoor) -> None:
    opened = door(provider.settings(audiences=("other", "partywall")))
    opened.admit(bearer(provider.token(aud=["someone", "partywall"])))
    opened.refuse(InvalidCredential, "Audience", bearer(provider.token(aud=["someone"])))


def test_nested_and_url_tenant_claims(provider: Provider, door: OpenDoor) -> None:
    nested = door(provider.settings(tenant_claim="app_metadata.org_id"))
    assert nested.admit(bearer(provider.token(app_metadata={"org_id": "beta"}, group=None))).tenant == "beta"
    url = "https://example.com/tenant"
    claims: dict[str, Any] = {url: "beta", "group": None, "org_id": "alpha"}
    assert door(provider.settings(tenant_claim=url)).admit(bearer(provider.token(**claims))).tenant == "beta"


# -- What is refused: the header ---


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"alg": "none"}, "'none' is not allowed"),
        ({"alg": "None"}, "not allowed"),
        ({"alg": "HS256"}, "'HS256' is not allowed"),
        ({"alg": "es256"}, "not allowed"),
        ({"alg": None}, "not allowed"),
        ({"alg": ["ES256"]}, "not allowed"),
        ({"alg": "ES384"}, "not allowed"),
        ({"alg": "RS256"}, "fits ES256, not RS256"),
        ({"kid": None}, "names no key"),
        ({"kid": ""}, "names no key"),
        ({"kid": 5}, "names no key"),
        ({"kid": ["ec-1"]}, "names no key"),
        ({"kid": "../../dev/null"}, "no such key"),
        ({"kid": "ec-1' OR 1=1"}, "no such key"),
        ({"typ": "logout+jwt"}, "`typ`"),
        ({"typ": "dpop+jwt"}, "`typ`"),
        ({"typ": ""}, "`typ`"),
        ({"typ": 5}, "`typ`"),
        ({"typ": ["JWT"]}, "`typ`"),
        ({"crit": ["exp"]}, "crit"),
        ({"crit": []}, "crit"),
        ({"crit": ["b64"], "b64": True}, "crit"),
        ({"b64": False}, "b64"),
        ({"jwk": {"kty": "EC"}}, "brings its own key"),
        ({"jku": "https://evil.example/jwks"}, "brings its own key"),
        ({"x5u": "https://evil.example/cert"}, "brings its own key"),
        ({"x5c": ["MII"]}, "brings its own key"),
    ],
)
def test_a_header_outside_the_rules(provider: Provider, door: OpenDoor, header: dict[str, object], why: str) -> None:
    door(provider.settings()).refuse(InvalidCredential, why, bearer(provider.token(header)))


def test_an_unsigned_token_is_nobody(provider: Provider, door: OpenDoor) -> None:
    opened = door(provider.settings())
    for algorithm in ("none", "NONE", "nOnE", ""):
        head, claims, _ = provider.token({"alg": algorithm}).split(b".")
        opened.refuse(InvalidCredential, "holds no key", bearer(head + b"." + claims + b"."))
        opened.refuse(InvalidCredential, "not allowed", bearer(head + b"." + claims + b".eA"))


def test_the_public_key_is_no_hmac_secret(provider: Provider, door: OpenDoor, rsa_key: SigningKey) -> None:
    """The classic: sign with HS256, the secret being the text of the published RSA key."""
    provider.server.publish(rsa_key.jwk(alg=None))
    public = rsa_key.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head, claims, _ = provider.token({"alg": "HS256", "kid": rsa_key.kid}).split(b".")
    signing_input = head + b"." + claims
    hmac_algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = jwt.utils.base64url_encode(hmac_algorithm.sign(signing_input, public))
    door(provider.settings()).refuse(InvalidCredential, "not allowed", bearer(signing_input + b"." + signature))


def test_the_algorithm_belongs_to_the_key(provider: Provider, door: OpenDoor, rsa_key: SigningKey) -> None:
    provider.server.publish(rsa_key.jwk(alg="RS256"))
    pss = replace(rsa_key, algorithm="PS256")
    token = provider.token({"alg": "PS256", "kid": rsa_key.kid}, key=pss)
    door(provider.settings()).refuse(InvalidCredential, "fits no|not PS256", bearer(token))


# -- What is refused: the signature ---


def test_another_keys_signature(provider: Provider, door: OpenDoor, ec_key: SigningKey, ed_key: SigningKey) -> None:
    stranger = replace(ed_key, kid=ec_key.kid)
    provider.server.publish(ec_key.jwk())
    forged = provider.token({"alg": "ES256"}, key=stranger)
    door(provider.settings()).refuse(InvalidCredential, "InvalidSignatureError", bearer(forged))


def test_changed_parts_do_not_verify(provider: Provider, door: OpenDoor) -> None:
    opened = door(provider.settings())
    good, other = provider.token().split(b"."), provider.token(org_id="beta", group=None).split(b".")
    opened.refuse(InvalidCredential, "InvalidSignature", bearer(b".".join((good[0], other[1], good[2]))))
    opened.refuse(InvalidCredential, "InvalidSignature", bearer(b".".join((good[0], good[1], other[2]))))
    opened.refuse(InvalidCredential, "InvalidSignature", bearer(b".".join((good[0], good[1], good[2][:40]))))
    opened.admit(bearer(b".".join(good)))


@pytest.mark.parametrize(
    "shape", [b"a.b", b"a.b.c.d", b"a.b.c.d.e", b"..", b"a..c", b".b.c", b"a.b.", b"a.b=.c", b"a.b+.c"]
)
def test_what_has_no_three_parts_is_no_token(provider: Provider, door: OpenDoor, shape: bytes) -> None:
    door(provider.settings()).refuse(InvalidCredential, "holds no key", bearer(shape))


@pytest.mark.parametrize(
    ("header", "payload", "why"),
    [
        (b"x", b"{}", "not JSON"),
        (b"{}", b"x", "not JSON"),
        (b"[]", b"{}", "not an object"),
        (b"{}", b"[]", "not an object"),
        (b"{}", b"{}", "no `iss`"),
        (b"{}", b'{"iss": 5}', "no `iss`"),
        (b"{}", b'{"iss": "https://nobody.example"}', "nobody here trusts"),
        (b'{"alg": "ES256", "alg": "none"}', b"{}", "repeats a name"),
        (b"\xff", b"{}", "UTF-8"),
        (b"{}", b'{"a":' * 600 + b"1" + b"}" * 600, "no `iss`|too deeply"),
        (b"{}", b'{"a":' * 1200, "too deeply|not JSON"),
    ],
)
def test_unreadable_tokens(
    provider: Provider, door: OpenDoor, ec_key: SigningKey, header: bytes, payload: bytes, why: str
) -> None:
    door(provider.settings()).refuse(InvalidCredential, why, bearer(ec_key.sign(header, payload)))


def test_a_claim_that_comes_twice_is_refused_though_signed(provider: Provider, door: OpenDoor) -> None:
    """The last `org_id` is ours to believe, the first the next service's."""
    payload = json.dumps(provider.payload()).encode()[:-1] + b', "org_id": "beta"}'
    token = provider.key.sign(json.dumps(provider.header()).encode(), payload)
    door(provider.settings()).refuse(InvalidCredential, "repeats a name", bearer(token))


def test_a_token_beyond_eight_kibibytes_is_not_even_hashed(provider: Provider, door: OpenDoor) -> None:
    door(provider.settings()).refuse(InvalidCredential, "limit is 8192", bearer(provider.token(pad="x" * 8192)))


# -- What is refused: the claims ---


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": None}, "exp"),
        ({"exp": 1_000_000_000}, "expired"),
        ({"exp": str(2**33)}, "`exp` is not a number"),
        ({"exp": True}, "xpired|not a number"),
        ({"exp": "soon"}, "exp"),
        ({"exp": {}}, "exp"),
        ({"nbf": 2**33}, "nbf"),
        ({"nbf": "0"}, "`nbf` is not a number"),
        ({"nbf": []}, "nbf"),
        ({"iat": 2**33}, "iat"),
        ({"iat": False}, "`iat` is not a number"),
        ({"aud": None}, "aud"),
        ({"aud": "someone-else"}, "Audience"),
        ({"aud": "partywall "}, "Audience"),
        ({"aud": []}, "aud"),
        ({"aud": ["partywall", 5]}, "claim format"),
        ({"aud": {"partywall": 1}}, "claim format"),
        ({"sub": 5}, "Subject"),
        ({"jti": 5}, "JWT ID"),
        ({"org_id": None}, "claim `org_id` is absent"),
        ({"org_id": ["alpha"]}, "claim `org_id` is absent"),
        ({"org_id": "ALPHA"}, "no tenant id"),
        ({"org_id": "*"}, "no tenant id"),
        ({"org_id": ""}, "no tenant id"),
        ({"org_id": "gamma"}, "not in the document"),
        ({"group": "beta"}, "names no group"),
        ({"group": None}, "no single group"),
        ({"sub": "a\u202eb"}, "printable"),
    ],
)
def test_claims_outside_the_rules(provider: Provider, door: OpenDoor, claims: dict[str, Any], why: str) -> None:
    door(provider.settings()).refuse(InvalidCredential, why, bearer(provider.token(**claims)))


def test_infinite_times_are_refused(provider: Provider, door: OpenDoor) -> None:
    for literal in (b"NaN", b"Infinity", b"1e400", b"9" * 4301):
        payload = json.dumps(provider.payload(exp="EXP")).encode().replace(b'"EXP"', literal)
        token = provider.key.sign(json.dumps(provider.header()).encode(), payload)
        door(provider.settings()).refuse(InvalidCredential, "exp|JSON|integer", bearer(token))


def test_an_issuer_speaks_only_for_its_tenants(provider: Provider, door: OpenDoor) -> None:
    opened = door(provider.settings(tenants=frozenset({TenantId("beta")})))
    opened.refuse(InvalidCredential, "may not speak for tenant `alpha`", bearer(provider.token()))
    assert opened.admit(bearer(provider.token(org_id="beta", group=None))).tenant == "beta"


def test_no_issuers_trust_no_token(provider: Provider, door: OpenDoor) -> None:
    door().refuse(InvalidCredential, "nobody here trusts", bearer(provider.token()))


# -- Two issuers ---


@pytest.fixture
def other_provider(
    provider: Provider, new_server: Callable[[], JwksServer], ed_key: SigningKey, ec_key: SigningKey
) -> Provider:
    """A second issuer whose key has the same `kid` as the first's."""
    key = replace(ed_key, kid=ec_key.kid)
    server = new_server()
    server.publish(key.jwk())
    return replace(provider, server=server, key=key, issuer="https://id.other.example")


def test_equal_kids_of_two_issuers_do_not_mix(provider: Provider, other_provider: Provider, door: OpenDoor) -> None:
    opened = door(provider.settings(), other_provider.settings())
    opened.admit(bearer(provider.token()))
    opened.admit(bearer(other_provider.token()))
    lie = other_provider.token(iss=provider.issuer)
    opened.refuse(InvalidCredential, "fits ES256, not EdDSA", bearer(lie))
    lie = other_provider.token({"alg": "ES256"}, iss=provider.issuer)
    opened.refuse(InvalidCredential, "InvalidSignature", bearer(lie))


def test_same_kid_same_algorithm_other_issuer(
    provider: Provider, other_provider: Provider, door: OpenDoor, ec_key: SigningKey
) -> None:
    stranger = replace(ec_key, private=ec.generate_private_key(ec.SECP256R1()))
    other_provider.server.publish(stranger.jwk())
    opened = door(provider.settings(), other_provider.settings())
    opened.admit(bearer(replace(other_provider, key=stranger).token()))
    lie = replace(other_provider, key=stranger).token(iss=provider.issuer)
    opened.refuse(InvalidCredential, "InvalidSignature", bearer(lie))


def test_the_issuer_is_compared_exactly(provider: Provider, door: OpenDoor) -> None:
    opened = door(provider.settings())
    for name in (provider.issuer + "/", provider.issuer.upper(), provider.issuer + "\0", "", " " + provider.issuer):
        opened.refuse(InvalidCredential, "nobody here trusts", bearer(provider.token(iss=name)))


def test_an_issuer_that_is_down_does_not_close_the_other(
    provider: Provider, other_provider: Provider, door: OpenDoor
) -> None:
    other_provider.server.status = 500
    opened = door(provider.settings(), other_provider.settings())
    opened.refuse(IdentityUnavailable, "status 500", bearer(other_provider.token()))
    opened.admit(bearer(provider.token()))


# -- The cache ---


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every token that was verified in full."""
    verified: list[bytes] = []

    def counting(token: bytes) -> UnverifiedToken:
        verified.append(token)
        return parse_unverified(token)

    monkeypatch.setattr(tokens_module, "parse_unverified", counting)
    return verified


def test_a_token_is_verified_once_a_minute(
    provider: Provider, door: OpenDoor, clock: FakeClock, verifications: list[bytes]
) -> None:
    opened = door(provider.settings())
    token = bearer(provider.token())
    opened.admit(token)
    clock.now += 59
    opened.admit(token)
    assert len(verifications) == 1
    clock.now += 1
    opened.admit(token)
    assert len(verifications) == 2


def test_a_cached_token_is_not_believed_past_its_expiry(
    provider: Provider, door: OpenDoor, clock: FakeClock, verifications: list[bytes]
) -> None:
    opened = door(provider.settings())
    token = bearer(provider.token(exp=int(time.time()) + 30))
    opened.admit(token)
    clock.now += 30
    opened.admit(token)  # the real clock still has it valid: what counts is that it was asked again
    assert len(verifications) == 2


def test_a_withdrawn_key_takes_its_cached_tokens_along(provider: Provider, door: OpenDoor, clock: FakeClock) -> None:
    opened = door(provider.settings())
    token = bearer(provider.token())
    opened.admit(token)
    provider.server.publish()
    opened.refuse(InvalidCredential, "no such key", bearer(provider.token({"kid": "unknown"})))
    opened.refuse(InvalidCredential, "no such key", token)


def test_new_settings_forget_cached_tokens(provider: Provider, door: OpenDoor) -> None:
    token = bearer(provider.token())
    door(provider.settings()).admit(token)
    door(provider.settings(audiences=("moved",))).refuse(InvalidCredential, "Audience", token)


def test_a_refused_token_is_not_cached(provider: Provider, door: OpenDoor, clock: FakeClock) -> None:
    opened = door(provider.settings())
    token = bearer(provider.token({"kid": "later"}, key=replace(provider.key, kid="later")))
    opened.refuse(InvalidCredential, "no such key", token)
    provider.server.publish(provider.key.jwk(kid="later"))
    clock.now += 30
    opened.admit(token)


def test_tokens_that_differ_only_at_the_end_are_told_apart(provider: Provider, door: OpenDoor) -> None:
    """LESSONS B3: a cache keyed on the first characters let one user in as another."""
    opened = door(provider.settings())
    good = provider.token()
    opened.admit(bearer(good))
    opened.refuse(InvalidCredential, "Invalid", bearer(good[:-4] + (b"AAAA" if good[-4:] != b"AAAA" else b"BBBB")))


# -- Unavailable ---


def test_without_keys_tokens_are_unavailable_and_api_keys_go_on(provider: Provider, door: OpenDoor, keys: Keys) -> None:
    provider.server.close()
    opened = door(provider.settings())
    error = opened.refuse(IdentityUnavailable, "no current keys", bearer(provider.token()))
    assert error.status == 503
    assert opened.admit((b"authorization", keys.beta)).tenant == "beta"


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_no_damaged_token_is_accepted(provider: Provider, door: OpenDoor, data: st.DataObject) -> None:
    """Flip, drop or insert anything anywhere: it is the same token or it is refused."""
    opened = door(provider.settings())
    good = provider.token()
    at = data.draw(st.integers(0, len(good) - 1))
    with_what = data.draw(st.sampled_from([b"", b"A", b"_", b".", b"=", b"\n", b"%", good[at : at + 1] * 2]))
    damaged = good[:at] + with_what + good[at + 1 :]
    if damaged == good:
        opened.admit(bearer(damaged))
    else:
        opened.refuse(InvalidCredential, ".", bearer(damaged))
