"""partywall with everything on that this build has: identity, agreement, RBAC and the decision record."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import yaml

from bench.gateways.base import Gateway, Launch, output_of
from bench.wire import MODEL

__all__ = ["Partywall", "PartywallWithCache", "api_key", "document", "serve"]

_UPSTREAM_KEY = "PARTYWALL_BENCH_UPSTREAM_KEY"


def api_key(tenant: str) -> str:
    """The key that `tenant` presents. Made for the run; it opens nothing but a mock on loopback."""
    return f"pw-bench-{hashlib.sha256(tenant.encode()).hexdigest()[:32]}"


def identity_headers(tenant: str) -> dict[str, str]:
    """Credential, a tenant header that must agree with it, and the tenant's own user and role."""
    return {
        "Authorization": f"Bearer {api_key(tenant)}",
        "X-Org-ID": tenant,
        "X-User-ID": "u-1001",
        "X-User-Role": "analyst",
    }


def document(tenants: Sequence[str], upstream_port: int) -> dict[str, object]:
    """The document under test: one group and key for each tenant, one target, RBAC and audit for everybody."""
    groups = [
        {
            "name": tenant,
            "tenant": tenant,
            "api_keys": [f"sha256:{hashlib.sha256(api_key(tenant).encode()).hexdigest()}"],
            "upstream": "mock",
        }
        for tenant in tenants
    ]
    target = {
        "id": "mock",
        "provider": "openai",
        "model": MODEL,
        "base_url": f"http://127.0.0.1:{upstream_port}/v1",
        "secret_key_ref": {"env": _UPSTREAM_KEY},
    }
    role = {"allowed_tools": ["search_*", "read_*"], "denied_tools": ["delete_*"]}
    return {
        "pack": {"name": "bench", "version": "1.0.0", "enabled": True},
        "providers": {"targets": [target]},
        "consumer_groups": {"groups": groups},
        "policies": {"chain": ["rbac", "audit-logger"]},
        "policy": {"rbac": {"deny_if_missing": ["X-Org-ID", "X-User-ID"], "roles": {"analyst": role}}},
        "multi_tenant": {"isolation_model": "strict"},
    }


def serve(
    tenants: Sequence[str],
    port: int,
    upstream_port: int,
    directory: Path,
    callers: Sequence[str] | None = None,
    *,
    more: Mapping[str, object] | None = None,
) -> Launch:
    """Write the document and say how to start the gateway on it.

    `callers` of the tenants call, or all of them; `more` are sections that the document has besides.
    """
    path = directory / "partywall.yaml"
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    whole = {**document(tenants, upstream_port), **(more or {})}
    path.write_text(yaml.dump(whole, Dumper=dumper, sort_keys=False), encoding="utf-8")
    where = ["--host", "127.0.0.1", "--port", str(port), "--data-dir", str(directory / "data")]
    env = {_UPSTREAM_KEY: "sk-bench-upstream"}
    return Launch(
        [_program(), "serve", str(path), *where], env, [identity_headers(name) for name in callers or tenants]
    )


def _program() -> str:
    return str(Path(sys.executable).with_name("partywall"))


class Partywall(Gateway):
    """The checkout's own build, from the environment that runs the benchmark."""

    name = "partywall"
    does = (
        "API key, agreement of key and `X-Org-ID`, RBAC over the request's and the answer's tools, "
        "one durable decision record per request"
    )

    def prepare(self) -> None:
        output_of([_program(), "serve", "--help"])

    def version(self) -> str:
        return version("partywall")

    def launch(self, port: int, upstream_port: int, directory: Path) -> Launch:
        return serve(("alpha", "beta"), port, upstream_port, directory)


class PartywallWithCache(Partywall):
    """The same, and every request of the load has been answered before."""

    name = "partywall, exact hits"
    does = f"{Partywall.does}; the answer is opened with the tenant's key, verified, and given new ids"

    def launch(self, port: int, upstream_port: int, directory: Path) -> Launch:
        return serve(
            ("alpha", "beta"), port, upstream_port, directory, more={"encryption": {}, "cache": {"mode": "exact"}}
        )
