"""Documents for tests. `alpha` and `beta` each have a key, a group and a target of their own."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any, Final

import yaml

__all__ = [
    "KEYS",
    "OPERATOR_KEY",
    "TENANTS",
    "UPSTREAM_SECRETS",
    "base_document",
    "both_vendors",
    "headers_of",
    "key_hash",
    "merged",
    "write_document",
]

TENANTS: Final = ("alpha", "beta")
KEYS: Final = {"alpha": "pw-test-alpha-0123456789abcdef", "beta": "pw-test-beta-0123456789abcdef"}
OPERATOR_KEY: Final = "pw-test-operator-0123456789abcdef"
UPSTREAM_SECRETS: Final = {"alpha": "sk-upstream-alpha", "beta": "sk-upstream-beta"}


def key_hash(key: str) -> str:
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def base_document(*, base_url: str | None = None, provider: str = "openai") -> dict[str, Any]:
    """Two tenants, each with its own target: the parrot, or `provider` at `base_url` with its own credential."""
    targets: list[dict[str, Any]] = []
    for tenant in TENANTS:
        target: dict[str, Any] = {"id": f"{tenant}-target", "provider": "parrot", "model": f"{tenant}-model"}
        if base_url is not None:
            target |= {"provider": provider, "base_url": base_url, "api_key": UPSTREAM_SECRETS[tenant]}
        targets.append(target)
    return {
        "pack": {"name": "test", "version": "1.0.0", "enabled": True},
        "providers": {"targets": targets},
        "consumer_groups": {
            "groups": [
                {"name": f"{t}-app", "tenant": t, "api_keys": [key_hash(KEYS[t])], "upstream": f"{t}-target"}
                for t in TENANTS
            ]
        },
        "policies": {"chain": ["rbac", "audit-logger"]},
        "policy": {
            "rbac": {
                "deny_if_missing": ["X-User-ID"],
                "roles": {
                    "analyst": {"allowed_tools": ["search", "get_*", "file_search"], "denied_tools": ["get_secret"]}
                },
            }
        },
        "server": {"admin": {"api_keys": [key_hash(OPERATOR_KEY)]}},
    }


def both_vendors(base_url: str) -> dict[str, Any]:
    """The base document with a second target for each tenant, `<tenant>-claude`, that speaks Anthropic's API."""
    document = base_document(base_url=base_url)
    for tenant, group in zip(TENANTS, document["consumer_groups"]["groups"], strict=True):
        target = {"id": f"{tenant}-claude", "provider": "anthropic", "base_url": base_url, "model": f"{tenant}-claude"}
        document["providers"]["targets"].append(target | {"api_key": UPSTREAM_SECRETS[tenant]})
        group["upstream"] = [f"{tenant}-target", f"{tenant}-claude"]
    return document


def merged(document: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """A copy of `document` with whole sections replaced."""
    return {**copy.deepcopy(document), **sections}


class _WithoutAnchors(yaml.SafeDumper):
    """Documents may not use YAML's anchors; what occurs twice is written twice."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def write_document(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(yaml.dump(document, Dumper=_WithoutAnchors, sort_keys=False), encoding="utf-8")
    return path


def headers_of(tenant: str, *, role: str | None = "analyst", **extra: str) -> dict[str, str]:
    """What a well-behaved client of `tenant` sends."""
    headers = {"authorization": f"Bearer {KEYS[tenant]}", "x-user-id": f"user-of-{tenant}", "x-org-id": tenant}
    if role is not None:
        headers["x-user-role"] = role
    return headers | {name.replace("_", "-"): value for name, value in extra.items()}
