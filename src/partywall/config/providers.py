"""`providers`: where answers come from, with whose credential, and what the vendor does with the data."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from partywall.config.base import Name, Seconds, Section, TenantIdText
from partywall.config.vendors import parse_provider

__all__ = ["CacheUsage", "DataPolicy", "Fallback", "FallbackTrigger", "Providers", "Routing", "SecretKeyRef", "Target"]

EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")]


class SecretKeyRef(Section):
    """Where a secret is kept. Exactly one of the keys; the document never holds the secret itself."""

    env: EnvName | None = Field(default=None, description="Name of an environment variable.")
    file: str | None = Field(
        default=None, description="Path of a file that holds the secret and that only its owner can read."
    )
    vault: str | None = Field(default=None, description="Path in OpenBao/Vault.")
    store: str | None = Field(default=None, description="Name in the platform's own credential store.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_fields_set) != 1 or not next(iter(self.model_dump(exclude_none=True).values()), ""):
            raise ValueError("exactly one of `env`, `file`, `vault`, `store` must be given")
        return self


class DataPolicy(Section):
    """What the vendor has promised to do with requests sent to this target."""

    zero_data_retention: bool = Field(default=False, description="The vendor keeps nothing.")
    training_opt_out: bool = Field(default=False, description="The vendor doesn't train on it.")
    retention_days: int | None = Field(default=None, ge=0, description="Days that the vendor keeps it; 0 is none.")


class CacheUsage(StrEnum):
    """What clients are told about an upstream's caches."""

    STRIP = "strip"
    BUCKET = "bucket"
    PASS = "pass"  # noqa: S105  # a word of the document, not a password


class Target(Section):
    """One upstream: a vendor's API, reached with one credential."""

    id: Name = Field(description="Names the target in `upstream`.")
    provider: str = Field(min_length=1, description="Vendor (`openai`, `parrot`, …) or `vendor:chat:model`.")
    model: str | None = Field(
        default=None, min_length=1, description="The model sent upstream; without it, the client's."
    )
    base_url: str | None = Field(default=None, description="The API's address; the vendor's own when left out.")
    region: str | None = Field(
        default=None, min_length=1, description="Where the data goes, as `tenants.<id>.regions` calls it."
    )
    secret_key_ref: SecretKeyRef | None = Field(default=None, description="Where this target's credential is kept.")
    api_key: str | None = Field(
        default=None, min_length=1, description="The credential in clear text. Lint refuses it."
    )
    tenants: tuple[TenantIdText, ...] | None = Field(
        default=None,
        description="The only tenants that may use it. Without it: the tenants whose groups name it as upstream, "
        "or every tenant when none does.",
    )
    data_policy: DataPolicy = Field(
        default=DataPolicy(), description="What the vendor promised about retention and training."
    )
    zdr: bool | None = Field(default=None, description="Short for `data_policy.zero_data_retention`.")
    data_collection: Literal["allow", "deny"] | None = Field(
        default=None, description="`deny` is short for a training opt-out."
    )
    allow_private_network: bool = Field(
        default=False, description="Let the host name in `base_url` resolve to a private address."
    )
    slots: tuple[Annotated[int, Field(ge=0, le=4095)], ...] | None = Field(
        default=None,
        min_length=2,
        description="llama.cpp: slots of its server that are this one process's alone. Each is lent to one tenant at a "
        "time; the last serves whoever has none. Without it no prompt is reused.",
    )
    cache_usage: CacheUsage = Field(
        default=CacheUsage.STRIP,
        description="What answers tell about cached tokens: nothing (`strip`), full thousands (`bucket`), or all "
        "(`pass`; only where the cache is known to be the tenant's own).",
    )
    timeout_seconds: Seconds | None = Field(
        default=None, description="Until the answer's first byte; overrides `server`."
    )
    api_version: str | None = Field(default=None, description="Azure: the `api-version` of the deployment-style API.")
    provider_type: str | None = Field(default=None, description="Published synonym of the vendor in `provider`.")
    format: Literal["openai", "anthropic"] | None = Field(
        default=None, description="The API the target speaks, if unusual."
    )
    api_key_header: str | None = Field(default=None, description="Header that carries the credential, if unusual.")
    api_key_prefix: str | None = Field(
        default=None, description="Text before the credential, if unusual; may be empty."
    )

    @property
    def vendor(self) -> str:
        """The vendor in `provider`, under its one name."""
        return parse_provider(self.provider)[0]

    @property
    def upstream_model(self) -> str | None:
        """The model sent upstream, from `model` or else from `provider`; None when the client's is."""
        return self.model if self.model is not None else parse_provider(self.provider)[1]

    @property
    def zero_data_retention(self) -> bool:
        """Whether the vendor keeps nothing. Where the document says both, the stricter reading counts: it doesn't."""
        policy = self.data_policy
        if self.zdr is False or (policy.retention_days or 0) > 0:
            return False
        if self.zdr and "zero_data_retention" in policy.model_fields_set and not policy.zero_data_retention:
            return False
        return bool(self.zdr or policy.zero_data_retention or policy.retention_days == 0)

    @property
    def no_training(self) -> bool:
        """Whether the vendor doesn't train on what is sent. Where the document says both, it does."""
        if self.data_collection == "allow":
            return False
        if self.data_collection == "deny" and "training_opt_out" in self.data_policy.model_fields_set:
            return self.data_policy.training_opt_out
        return self.data_policy.training_opt_out or self.data_collection == "deny"

    @field_validator("provider")
    @classmethod
    def _names_a_vendor(cls, text: str) -> str:
        parse_provider(text)
        return text

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if self.secret_key_ref is not None and self.api_key is not None:
            raise ValueError("`secret_key_ref` and `api_key` both name a credential; keep the reference")
        return self


class FallbackTrigger(StrEnum):
    """What makes the gateway try the next target."""

    RATE_LIMIT = "rate_limit"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"


class Fallback(Section):
    """Try further targets, in document order, among those that the tenant may use."""

    triggers: tuple[FallbackTrigger, ...] = Field(
        default=tuple(FallbackTrigger), description="What makes it try the next."
    )
    max_fallback_attempts: int = Field(default=3, ge=0, le=10, description="Further targets tried at most.")


class Routing(Section):
    """How a target is chosen among those that serve the model."""

    strategy: Literal["ordered"] = Field(default="ordered", description="Document order.")


class Providers(Section):
    """Every upstream of the platform."""

    targets: tuple[Target, ...] = Field(default=(), description="The upstreams.")
    strategy: Literal["single", "ordered"] | None = Field(
        default=None, description="Published synonym of `routing.strategy`."
    )
    routing: Routing = Field(default=Routing(), description="How one is chosen.")
    fallback: Fallback | None = Field(
        default=None, description="Whether another is tried when one fails. Absent: none is."
    )

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        seen: set[str] = set()
        for target in self.targets:
            if target.id in seen:
                raise ValueError(f"two targets have the id `{target.id}`; `upstream` could mean either")
            seen.add(target.id)
        return self
