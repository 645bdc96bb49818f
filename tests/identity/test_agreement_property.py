"""The property that carries the room: whatever is combined, the scope is of the one tenant that all of it names.

Compared with a reference model of a few lines, so that a refusal that should have been an admission fails as well.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from partywall.errors import InvalidCredential, MissingIdentity, PartywallError, TenantMismatch
from partywall.identity import (
    CREDENTIAL_HEADERS,
    TENANT_HEADERS,
    Authenticator,
    IdentitySettings,
    IssuerSettings,
    KeyEntry,
)
from partywall.tenancy import GroupName, TenantId

GATEWAY_KEY = b"x-gateway-key"
SIGNER, STRANGER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())


def token(tenant: str, signer: ec.EllipticCurvePrivateKey = SIGNER) -> bytes:
    claims = {"iss": "https://id.example", "aud": "pw", "exp": int(time.time()) + 86_400, "org": tenant}
    return jwt.encode(claims, signer, "ES256", headers={"kid": "k"}).encode()


API_KEYS = {b"pw_a1": "alpha", b"pw_a2": "alpha", b"pw_b1": "beta"}
OWNERS = API_KEYS | {token("alpha"): "alpha", token("beta"): "beta"}
GROUPS = {TenantId(name): (GroupName(f"{name}-group"),) for name in ("alpha", "beta")}
KEYS = {
    hashlib.sha256(key).digest(): KeyEntry(TenantId(name), GroupName(f"{name}-group")) for key, name in API_KEYS.items()
}
NOBODY = [b"pw_nobody", b"", b"Basic x", b"a.b.c", token("alpha", STRANGER), token("gamma")]


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> IssuerSettings:
    path = tmp_path_factory.mktemp("jwks") / "jwks.json"
    jwk = ECAlgorithm.to_jwk(SIGNER.public_key(), as_dict=True)
    path.write_text(json.dumps({"keys": [jwk | {"kid": "k"}]}))
    return IssuerSettings(
        issuer="https://id.example",
        audiences=("pw",),
        tenant_claim="org",
        jwks_file=path,
        user_claim=None,  # so that a user header is noise, and tenants alone decide
    )


credential = st.sampled_from([*OWNERS, *NOBODY])
scheme = st.sampled_from([b"", b"Bearer ", b"bearer "])
spelling = st.sampled_from([bytes.lower, bytes.upper, bytes.title])
place = st.sampled_from([*CREDENTIAL_HEADERS, GATEWAY_KEY])
credential_header = st.builds(lambda f, name, a, b: (f(name), a + b), spelling, place, scheme, credential)
tenant_value = st.sampled_from([b"alpha", b"beta", b"", b"ALPHA", b"gamma", b"alpha,beta", b"alpha ", b"*"])
tenant_header = st.builds(
    lambda f, name, value: (f(name), value), spelling, st.sampled_from(TENANT_HEADERS), tenant_value
)
noise = st.sampled_from([(b"host", b"alpha"), (b"x-user-id", b"beta"), (b"x-org", b"beta"), (b"x-role", b"alpha")])
Pairs = list[tuple[bytes, bytes]]


def owner(value: bytes) -> str | None:
    scheme, _, rest = value.partition(b" ")
    return OWNERS.get(rest if scheme.lower() == b"bearer" else value)


def model(headers: Pairs, key_header: bytes | None) -> str:
    """The tenant, or why not, from the rules read aloud."""
    places = (*CREDENTIAL_HEADERS, *([key_header] if key_header else []))
    values: dict[bytes, set[bytes]] = {}
    for name, value in headers:
        if name.lower() in places:
            values.setdefault(name.lower(), set()).add(value)
    if any(len(several) > 1 for several in values.values()):
        return "invalid"
    if not values:
        return "missing"
    owners = {name: owner(next(iter(value))) for name, value in values.items()}
    must_hold = [key_header] if key_header is not None and key_header in owners else list(owners)
    if any(owners[name] is None for name in must_hold):
        return "invalid or missing"
    tenants = {name for name in owners.values() if name is not None}
    claimed = {value.decode() for name, value in headers if name.lower() in TENANT_HEADERS}
    return tenants.pop() if len(tenants) == 1 and claimed <= tenants else "mismatch"


def outcome(issuer: IssuerSettings, headers: Pairs, key_header: bytes | None) -> str | PartywallError:
    settings = IdentitySettings(keys=KEYS, groups_by_tenant=GROUPS, issuers=(issuer,), key_header=key_header)
    authenticator = Authenticator(settings)
    try:
        scope = asyncio.run(authenticator.authenticate(headers))
    except PartywallError as error:
        return error
    assert scope.group == f"{scope.tenant}-group"
    return scope.tenant


ERRORS: dict[str, type[PartywallError] | tuple[type[PartywallError], ...]] = {
    "missing": MissingIdentity,
    "invalid": InvalidCredential,
    "invalid or missing": (InvalidCredential, MissingIdentity),
    "mismatch": TenantMismatch,
}


@settings(max_examples=300, deadline=None)
@given(
    credentials=st.lists(credential_header, max_size=4),
    tenants=st.lists(tenant_header, max_size=3),
    other=st.lists(noise, max_size=2),
    key_header=st.sampled_from([None, GATEWAY_KEY, b"authorization"]),
    order=st.randoms(use_true_random=False),
)
def test_the_tenant_is_everyones_or_nobodys(
    issuer: IssuerSettings,
    credentials: Pairs,
    tenants: Pairs,
    other: Pairs,
    key_header: bytes | None,
    order: random.Random,
) -> None:
    headers = credentials + tenants + other
    order.shuffle(headers)
    result, expected = outcome(issuer, headers, key_header), model(headers, key_header)
    if isinstance(result, PartywallError):
        assert expected in ERRORS, f"refused although all agree on {expected}: {result}"
        assert isinstance(result, ERRORS[expected])
        return
    # Said again without the model: no recognised credential and no header names anybody else.
    assert result == expected
    named = {owner(value) for name, value in credentials if name.lower() in {*CREDENTIAL_HEADERS, key_header}}
    assert named - {None} == {result}
    assert all(value == result.encode() for _, value in tenants)
