"""Settings that describe something unsafe do not load."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from partywall.identity import IdentitySettings, IssuerSettings, KeyEntry
from partywall.tenancy import GroupName, TenantId

ALPHA = TenantId("alpha")
DIGEST = hashlib.sha256(b"key").digest()


def issuer(**changes: Any) -> IssuerSettings:
    values = {
        "issuer": "https://id.example",
        "audiences": ("pw",),
        "tenant_claim": "org",
        "jwks_url": "https://k.example",
    }
    return IssuerSettings(**values | changes)


def settings(**changes: Any) -> IdentitySettings:
    values: dict[str, Any] = {
        "keys": {DIGEST: KeyEntry(ALPHA, GroupName("g"))},
        "groups_by_tenant": {ALPHA: (GroupName("g"),)},
    }
    return IdentitySettings(**values | changes)


def test_the_defaults_are_asymmetric_and_typed() -> None:
    assert issuer().algorithms == ("RS256", "PS256", "ES256", "EdDSA")
    assert issuer().require_typ
    assert settings().issuers == ()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"issuer": ""}, "can't be empty"),
        ({"tenant_claim": ""}, "can't be empty"),
        ({"user_claim": ""}, "claim name can't be empty"),
        ({"role_claim": ""}, "claim name can't be empty"),
        ({"group_claim": ""}, "claim name can't be empty"),
        ({"audiences": ()}, "at least one audience"),
        ({"audiences": ("",)}, "at least one audience"),
        ({"typ": ()}, "at least one `typ`"),
        ({"algorithms": ()}, "algorithms"),
        ({"algorithms": ("none",)}, "none"),
        ({"algorithms": ("HS256",)}, "HS256"),
        ({"algorithms": ("RS256", "HS256")}, "HS256"),
        ({"algorithms": ("rs256",)}, "rs256"),
        ({"leeway_seconds": -1}, "leeway_seconds"),
        ({"leeway_seconds": 301}, "leeway_seconds"),
        ({"leeway_seconds": float("nan")}, "leeway_seconds"),
        ({"jwks_refresh_seconds": 0}, "jwks_refresh_seconds"),
        ({"jwks_refresh_seconds": float("nan")}, "jwks_refresh_seconds"),
        ({"jwks_refresh_seconds": 20, "jwks_max_age_seconds": 10}, "jwks_refresh_seconds"),
        ({"jwks_max_age_seconds": float("inf")}, "jwks_refresh_seconds"),
        ({"jwks_url": None}, "exactly one"),
        ({"jwks_file": Path("keys.json")}, "exactly one"),
        ({"jwks_url": "http://id.example/jwks"}, "must be https"),
        ({"jwks_url": "http://127.0.0.1.evil.example/jwks"}, "must be https"),
        ({"jwks_url": "file:///etc/keys.json"}, "needs a host"),
        ({"jwks_url": "ftp://id.example/jwks"}, "must be https"),
        ({"jwks_url": "https:///jwks"}, "needs a host"),
        ({"jwks_url": "http://127.0.0.1@evil.example/jwks"}, "can't carry a user"),
        ({"jwks_url": "https://user:pw@id.example/jwks"}, "can't carry a user"),
        ({"jwks_url": "https://id.example/jwks#x"}, "fragment"),
        ({"jwks_url": "https://id.example:http/jwks"}, "no URL"),
        ({"jwks_url": "https://[::1/jwks"}, "no URL"),
    ],
)
def test_an_unsafe_issuer_is_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        issuer(**changes)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "[::1]", "localhost"])
def test_http_is_for_this_machine(host: str) -> None:
    assert issuer(jwks_url=f"http://{host}:8080/jwks").jwks_url


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"keys": {DIGEST[:-1]: KeyEntry(ALPHA, GroupName("g"))}}, "32 bytes"),
        ({"keys": {hashlib.sha256(b"").digest(): KeyEntry(ALPHA, GroupName("g"))}}, "empty key"),
        ({"keys": {DIGEST: KeyEntry(TenantId("beta"), GroupName("g"))}}, "`beta` does not have"),
        ({"keys": {DIGEST: KeyEntry(ALPHA, GroupName("other"))}}, "group `other`"),
        ({"issuers": (issuer(), issuer(audiences=("x",)))}, "same `issuer`"),
        ({"issuers": (issuer(tenants=frozenset({TenantId("beta")})),)}, "unknown tenants: `beta`"),
        ({"key_header": b"X-Gateway-Key"}, "lower-case"),
        ({"key_header": b""}, "lower-case"),
        ({"key_header": b"x-tenant-id"}, "twice"),
        ({"tenant_headers": (b"X-Org-ID",)}, "lower-case"),
        ({"user_headers": (b"x-org-id",)}, "twice"),
        ({"role_headers": (b"authorization",)}, "twice"),
    ],
)
def test_settings_with_two_meanings_are_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        settings(**changes)


def test_the_configured_header_comes_first_and_once() -> None:
    assert settings(key_header=b"x-gw").credential_headers == (b"x-gw", b"authorization", b"x-api-key", b"api-key")
    assert settings(key_header=b"api-key").credential_headers == (b"api-key", b"authorization", b"x-api-key")
