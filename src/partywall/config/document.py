"""`Document`: the whole of one YAML file, validated.

Promises: every section of the published vocabulary and of ours is here, typed, with unknown keys refused.

Doesn't promise: that its parts fit together (that is `integrity`), that it isolates well (that is `partywall lint`), or
that this build has every room it asks for (that is `unbuilt`).
"""

from __future__ import annotations

from pydantic import Field

from partywall.config.base import Section, TenantIdText
from partywall.config.encryption import Encryption
from partywall.config.isolation import LeakageDetection, MultiTenant, Rag
from partywall.config.platform import (
    Cache,
    Prompts,
    Residency,
    Server,
    Storage,
    Telemetry,
    TenantLimits,
    TenantSettings,
    Tools,
    Workers,
)
from partywall.config.policy import PolicySettings
from partywall.config.providers import Providers
from partywall.config.routing import ConsumerGroups, Policies, Route

__all__ = ["Document", "Pack"]


class Pack(Section):
    """What this document is called."""

    id: str | None = Field(default=None, max_length=200, description="A stable identifier.")
    name: str = Field(min_length=1, max_length=200, description="Its name.")
    version: str = Field(default="0.1.0", pattern=r"^\d+(\.\d+){0,2}([-+].+)?$", description="Its version.")
    enabled: bool = Field(default=True, description="`false` makes `serve` refuse it.")
    description: str | None = Field(default=None, max_length=2000, description="For people.")
    author: str | None = Field(default=None, max_length=200, description="For people.")


class Document(Section):
    """The whole file."""

    pack: Pack = Field(description="What this document is called.")
    providers: Providers = Field(default=Providers(), description="Where answers come from.")
    consumer_groups: ConsumerGroups = Field(default=ConsumerGroups(), description="Who may call.")
    routes: tuple[Route, ...] = Field(
        default=(), description="Paths and where they lead. None: every endpoint, every group."
    )
    policies: Policies = Field(default=Policies(), description="The global chain.")
    policy: PolicySettings = Field(default=PolicySettings(), description="Settings of each policy.")
    multi_tenant: MultiTenant = Field(default=MultiTenant(), description="How tenants are kept apart.")
    rag: Rag | None = Field(default=None, description="Documents and their retrieval.")
    encryption: Encryption | None = Field(default=None, description="Every tenant's records under its own key.")
    leakage_detection: LeakageDetection | None = Field(
        default=None, description="Watches for what should be impossible."
    )
    tenants: dict[TenantIdText, TenantSettings] = Field(
        default={}, description="What is particular to one organisation."
    )
    storage: Storage = Field(default=Storage(), description="Where tenants' data is kept.")
    cache: Cache = Field(default=Cache(), description="Answers that are given again to the same tenant.")
    tools: Tools | None = Field(default=None, description="The agent-tool broker.")
    prompts: Prompts | None = Field(default=None, description="Templates and system prompts.")
    residency: Residency = Field(default=Residency(), description="Where data may go.")
    limits: TenantLimits | None = Field(default=None, description="Limits by tenant.")
    telemetry: Telemetry | None = Field(default=None, description="Traces and metrics.")
    workers: Workers | None = Field(default=None, description="Our own model workers.")
    server: Server = Field(default=Server(), description="The gateway process.")

    def tenant_ids(self) -> list[str]:
        """Every tenant that the document names, sorted."""
        return sorted({*self.tenants, *(group.tenant_id for group in self.consumer_groups.groups)})
