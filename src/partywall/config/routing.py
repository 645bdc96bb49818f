"""`consumer_groups`, `routes` and `policies`: who calls, where it leads, and which policies run on the way."""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from partywall.config.base import Name, PositiveInt, Section, TenantIdText
from partywall.config.kinds import PolicyKind
from partywall.tenancy import TENANT_ID_PATTERN

__all__ = [
    "ChainEntry",
    "Condition",
    "ConsumerGroups",
    "Group",
    "HeaderName",
    "KeyHash",
    "Limits",
    "Policies",
    "Route",
    "Stage",
    "Strings",
]

KeyHash = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")]
Strings = Annotated[tuple[str, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)]


class Stage(StrEnum):
    """When a policy runs, relative to the call to the upstream."""

    PRE_REQUEST = "pre-request"
    POST_REQUEST = "post-request"
    PRE_RESPONSE = "pre-response"
    POST_RESPONSE = "post-response"


class Condition(Section):
    """When a chain entry applies. Every key given must match."""

    path: str | None = Field(
        default=None,
        description="The endpoint's path starts with this (what follows the prefix of a route that has one).",
    )
    header: dict[HeaderName, str] | None = Field(default=None, description="Each header equals its value exactly.")
    model: Strings | None = Field(default=None, description="The requested model is one of these (globs).")
    tenant: Strings | None = Field(default=None, description="The credential's tenant is one of these.")
    gateway: Strings | None = Field(default=None, description="`server.name` is one of these.")


class ChainEntry(Section):
    """One policy of a chain, with the condition and stage it was given."""

    kind: PolicyKind = Field(description="The policy.")
    when: Condition | None = Field(default=None, description="Applies only when this matches; always when left out.")
    stage: Stage | None = Field(
        default=None, description="Runs at this stage only; at the kind's own stages when left out."
    )
    parallel: bool = Field(default=False, description="May run beside its neighbours; the outcome is the same.")

    @model_validator(mode="before")
    @classmethod
    def _published_forms(cls, value: Any) -> Any:  # raw YAML: anything at all may stand here
        """Accept `kind` and `kind: {when: …}` as documents write them."""
        if isinstance(value, str):
            return {"kind": value}
        if isinstance(value, dict) and len(value) == 1 and "kind" not in value:
            ((kind, options),) = value.items()
            if options is None:
                return {"kind": kind}
            if isinstance(options, dict) and "kind" not in options:
                return {"kind": kind, **options}
        return value


class Limits(Section):
    """How much may be used, and how fast. What is left out is not limited."""

    requests_per_minute: PositiveInt | None = Field(default=None, description="Requests in a minute.")
    tokens_per_minute: PositiveInt | None = Field(default=None, description="Tokens in a minute, both directions.")
    tokens_per_day: PositiveInt | None = Field(default=None, description="Tokens in a UTC day.")
    usd_per_day: float | None = Field(default=None, gt=0, description="Money in a UTC day.")
    usd_per_month: float | None = Field(default=None, gt=0, description="Money in a UTC month.")
    concurrency: PositiveInt | None = Field(default=None, description="Requests under way at once.")


class Group(Section):
    """Callers that share keys, an upstream, a chain and limits; they belong to one tenant."""

    name: Name = Field(description="Names the group in decisions.")
    tenant: TenantIdText | None = Field(
        default=None, description="The tenant it belongs to; the group's name when left out."
    )
    api_keys: tuple[KeyHash, ...] = Field(default=(), description="`sha256:` and the hex digest of each key.")
    api_key: str | None = Field(default=None, min_length=16, description="One key in clear text. Lint refuses it.")
    upstream: Strings | None = Field(default=None, description="The target, or targets in order, that it may use.")
    chain: tuple[ChainEntry, ...] = Field(default=(), description="Policies added to the global chain.")
    allowed_models: Strings | None = Field(
        default=None, description="Models it may use (globs); an empty list means none."
    )
    limits: Limits | None = Field(default=None, description="Limits of the whole group.")
    rate_limits: Limits | None = Field(default=None, description="Published synonym of `limits`.")

    @property
    def tenant_id(self) -> str:
        """The tenant that the group's callers act for."""
        return self.tenant if self.tenant is not None else self.name

    def key_hashes(self) -> tuple[str, ...]:
        """`sha256:<hex>` of every key of the group, a key in clear text last."""
        if self.api_key is None:
            return self.api_keys
        return (*self.api_keys, "sha256:" + hashlib.sha256(self.api_key.encode()).hexdigest())

    @model_validator(mode="after")
    def _name_can_be_tenant(self) -> Self:
        if self.tenant is None and not re.fullmatch(TENANT_ID_PATTERN, self.name, re.ASCII):
            raise ValueError(f"the group's name `{self.name}` can't be a tenant id, so `tenant` must be given")
        return self


class ConsumerGroups(Section):
    """Who may call, and with which keys."""

    key_header: HeaderName | None = Field(
        default=None, description="The header that carries the key, beside `Authorization`."
    )
    groups: tuple[Group, ...] = Field(default=(), description="The groups.")

    @model_validator(mode="before")
    @classmethod
    def _published_list(cls, value: Any) -> Any:  # raw YAML: anything at all may stand here
        """Accept the published short form, a bare list of groups."""
        return {"groups": value} if isinstance(value, list) else value


class Route(Section):
    """A path (and optionally method and headers) that leads to an upstream."""

    name: Name = Field(description="Names the route in decisions.")
    path: str = Field(pattern=r"^/", max_length=500, description="The path, or its beginning with `match: prefix`.")
    match: Literal["exact", "prefix"] = Field(
        default="exact", description="Whether `path` is the whole path or a beginning."
    )
    methods: tuple[Literal["GET", "POST", "PUT", "PATCH", "DELETE"], ...] | None = Field(
        default=None, description="Methods it takes; all when left out."
    )
    headers: dict[HeaderName, str] = Field(default={}, description="Each header must equal its value exactly.")
    upstream: Strings | None = Field(default=None, description="The target, or targets in order, it leads to.")
    chain: tuple[ChainEntry, ...] = Field(
        default=(), description="Policies added to those of the platform and the group."
    )
    priority: int = Field(
        default=0, description="Of several matching routes the highest wins, then exact, then the longest."
    )


class Policies(Section):
    """The global chain: it runs on every request."""

    chain: tuple[ChainEntry, ...] = Field(default=(), description="Policy kinds, in order, plain or conditional.")
