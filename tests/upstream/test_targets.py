"""What a target makes of its own credential, when it makes it anew, and what it lets clients know of its caches."""

from __future__ import annotations

from typing import Any

import pytest

from partywall.config.providers import CacheUsage, Target
from partywall.config.secret_refs import SecretResolver
from partywall.errors import ConfigError, CredentialUnavailable
from partywall.upstream.api import Api
from partywall.upstream.targets import Upstream, compile_targets

BY_VARIABLE = {"secret_key_ref": {"env": "ALPHAS_KEY"}}


def compiled(**fields: Any) -> Upstream:
    target = Target.model_validate({"id": "alphas", "provider": "openai", "model": "m", **fields})
    return compile_targets({"alphas": target})["alphas"]


def test_headers_are_made_once_for_each_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    upstream, secrets = compiled(**BY_VARIABLE), SecretResolver()
    monkeypatch.setenv("ALPHAS_KEY", "sk-1")
    first = upstream.credential_headers(secrets)
    assert first.carriers == [(b"authorization", b"Bearer sk-1")]
    assert first.fixed == ((b"authorization", b"Bearer sk-1"), (b"content-type", b"application/json"))
    assert upstream.credential_headers(secrets) is first
    monkeypatch.setenv("ALPHAS_KEY", "sk-2")
    assert upstream.credential_headers(secrets).carriers == [(b"authorization", b"Bearer sk-2")]
    monkeypatch.delenv("ALPHAS_KEY")
    with pytest.raises(CredentialUnavailable):
        upstream.credential_headers(secrets)
    monkeypatch.setenv("ALPHAS_KEY", "sk-1")
    assert upstream.credential_headers(secrets).carriers == [(b"authorization", b"Bearer sk-1")]


def test_without_a_credential_there_is_none() -> None:
    made = compiled(provider="vllm", base_url="http://engine:8000").credential_headers(SecretResolver())
    assert made.carriers == []
    assert made.fixed == ((b"content-type", b"application/json"),)
    assert made.may_add == (b"accept",)


@pytest.mark.parametrize("name", ["accept", "Accept", "ACCEPT"])
def test_the_client_adds_nothing_under_the_credential_s_name(name: str) -> None:
    made = compiled(api_key="sk-1", api_key_header=name).credential_headers(SecretResolver())
    assert made.carriers == [(b"accept", b"sk-1")]
    assert made.may_add == ()


def test_a_target_shows_its_credential_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHAS_KEY", "sk-1")
    upstream = compiled(**BY_VARIABLE)
    made = upstream.credential_headers(SecretResolver())
    assert "sk-1" not in repr(upstream) + repr(made)


# -- What clients are told of caches ---


def _told(**members: Any) -> Any:
    target = Target.model_validate({"id": "t", "base_url": "http://engine.example:8000", **members})
    return compile_targets({"t": target})["t"].cache_usage


def test_nothing_is_told_of_caches_unless_the_document_says_so() -> None:
    assert set(_told(provider="vllm").values()) == {CacheUsage.STRIP}
    assert set(_told(provider="openai", cache_usage="bucket").values()) == {CacheUsage.BUCKET}


def test_all_is_told_only_where_no_other_tenant_can_have_filled_the_cache() -> None:
    """vLLM's Messages took the salt in no version before 2026, so what it tells may be of anybody's prefix."""
    told = _told(provider="vllm", cache_usage="pass")
    assert told[Api.CHAT] is CacheUsage.PASS
    assert told[Api.MESSAGES] is CacheUsage.STRIP
    assert set(_told(provider="openai", cache_usage="pass", tenants=["alpha"]).values()) == {CacheUsage.PASS}
    for tenants in (None, ["alpha", "beta"]):
        with pytest.raises(ConfigError, match="tell tenants of each other's cache"):
            _told(provider="openai", cache_usage="pass", tenants=tenants)
