"""Our own sections: `tenants`, `storage`, `tools`, `prompts`, `residency`, `limits`, `telemetry`, `workers`, `server`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from partywall.config.base import HttpUrl, Name, PositiveInt, Seconds, Section, TenantIdText
from partywall.config.encryption import TenantRoot
from partywall.config.isolation import Embedding
from partywall.config.providers import SecretKeyRef
from partywall.config.routing import HeaderName, KeyHash, Limits, Strings

__all__ = [
    "Cache",
    "IdentityHeaders",
    "Issuer",
    "Prompts",
    "Residency",
    "Server",
    "Storage",
    "Telemetry",
    "TenantLimits",
    "TenantSettings",
    "Tools",
    "Workers",
]

CacheMode = Literal["off", "exact", "semantic"]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class TenantSettings(Section):
    """What is particular to one organisation."""

    name: str | None = Field(default=None, max_length=200, description="Its name for people.")
    allowed_models: Strings | None = Field(
        default=None, description="Models it may use (globs); an empty list means none."
    )
    regions: Strings | None = Field(
        default=None, description="Regions its data may reach; a target without one is not in any."
    )
    require_zero_data_retention: bool = Field(default=False, description="Only targets whose vendor keeps nothing.")
    isolation_strategy: Literal["namespace", "separate_collection", "separate_db"] | None = Field(
        default=None,
        description="Overrides `rag.isolation_strategy` for this tenant, and where PostgreSQL has its rows.",
    )
    embedding: Embedding | None = Field(default=None, description="Overrides `rag.embedding` for this tenant.")
    root_key: TenantRoot | None = Field(default=None, description="Its own root key, in place of the platform's.")
    cache: CacheMode | None = Field(default=None, description="Overrides `cache.mode` for this tenant.")


class Cache(Section):
    """Answers that are given again to the tenant that was given them before."""

    mode: CacheMode = Field(
        default="off",
        description="`exact`: to the same request. `semantic`: also to one whose last words differ in light words alone.",
    )
    ttl_seconds: Seconds = Field(default=3600, description="How long an answer is given again.")
    threshold: float = Field(
        default=0.85, ge=0.5, le=1, description="How near two questions must be: the cosine of their angle."
    )
    per_user: bool = Field(default=False, description="Whether the users of a tenant share none of its answers.")
    largest_answer_bytes: int = Field(
        default=256 * 1024, ge=1024, le=4 * 2**20, description="A larger answer isn't kept."
    )
    candidates: int = Field(
        default=64, ge=1, le=1000, description="How many of the questions asked last are compared with a new one."
    )
    bytes_per_tenant: int = Field(
        default=32 * 2**20, ge=2**20, le=2**36, description="What the embedded cache keeps of one tenant."
    )
    most_bytes: int = Field(
        default=512 * 2**20, ge=2**20, le=2**40, description="Likewise of all of them, in each process."
    )


class Storage(Section):
    """Where tenants' data is kept."""

    backend: Literal["sqlite", "postgres"] = Field(default="sqlite", description="SQLite files, or PostgreSQL.")
    dsn_ref: SecretKeyRef | None = Field(
        default=None, description="Where the PostgreSQL connection string of the serving role is kept."
    )
    owner_dsn_ref: SecretKeyRef | None = Field(
        default=None,
        description="Likewise, of the tables' owner. Only `partywall storage` and `tenants create` read it.",
    )
    max_connections: int = Field(
        default=16, ge=1, le=1000, description="Connections to PostgreSQL at most, for each process."
    )
    vectors: Literal["memory", "pgvector", "chroma", "qdrant", "weaviate", "pinecone"] = Field(
        default="memory",
        description="Where vectors of documents are compared: sealed at rest and scanned in our memory; or in the "
        "tenant's place on PostgreSQL, in the clear; or in an engine outside, likewise, while records stay where "
        "`backend` says. A collection stays where its first document came to.",
    )
    vectors_url_ref: SecretKeyRef | None = Field(
        default=None,
        description="Where the engine's address is kept, with its key: `https://:KEY@host:port`. Without TLS, it must "
        "be on this machine.",
    )
    cache: Literal["embedded", "valkey"] = Field(
        default="embedded", description="Where caches, sessions and counters are."
    )
    cache_url_ref: SecretKeyRef | None = Field(
        default=None, description="Where the address of Valkey or Redis is kept, with the user that serves."
    )
    cache_owner_url_ref: SecretKeyRef | None = Field(
        default=None,
        description="Likewise, with a user that may make users. Only `partywall storage` and `tenants create` read it.",
    )
    cache_max_connections: int = Field(
        default=16, ge=3, le=1000, description="Connections to Valkey at most, for each process."
    )


class ToolServer(Section):
    """One MCP server behind `/mcp/{name}`."""

    name: Name = Field(description="Its name in the path.")
    url: HttpUrl = Field(description="Its address.")
    credentials: dict[TenantIdText, SecretKeyRef] = Field(default={}, description="The credential for each tenant.")
    approval_required: tuple[str, ...] = Field(default=(), description="Tools (globs) that need a person's approval.")


class Tools(Section):
    """The agent-tool broker."""

    servers: tuple[ToolServer, ...] = Field(default=(), description="The MCP servers.")


class Prompts(Section):
    """Templates and system prompts."""

    base_system_prompt: str | None = Field(
        default=None,
        max_length=65_536,
        pattern=r"\S",
        description="Comes first in every prompt; nothing of a tenant's, a user's or a document's comes before it.",
    )
    directory: str | None = Field(default=None, description="Folder of templates.")


class Residency(Section):
    """Where data may go."""

    allowed_regions: Strings | None = Field(
        default=None, description="For tenants that don't state their own `regions`."
    )


class TenantLimits(Section):
    """Limits by tenant."""

    default: Limits | None = Field(default=None, description="Of each tenant that has none of its own.")
    tenants: dict[TenantIdText, Limits] = Field(default={}, description="Of one tenant.")


class Telemetry(Section):
    """Traces and metrics."""

    otlp_endpoint: HttpUrl | None = Field(default=None, description="Where spans and logs go.")
    tenants: dict[TenantIdText, HttpUrl] = Field(default={}, description="A tenant's own OTLP endpoint.")
    tenant_metric_labels: bool = Field(default=False, description="Put the tenant on metrics, capped.")


class Workers(Section):
    """Our own model workers."""

    targets: tuple[Name, ...] = Field(default=(), description="Targets that partywall runs workers for.")
    isolation: Literal["process_per_tenant", "reset_between_tenants"] = Field(
        default="process_per_tenant", description="How no state crosses."
    )


class Issuer(Section):
    """One issuer of JWTs that is trusted."""

    issuer: str = Field(min_length=1, description="The `iss` it writes, exactly.")
    audience: Strings = Field(min_length=1, description="The `aud` that is ours; one of these must be in the token.")
    algorithms: tuple[Algorithm, ...] = Field(default=("RS256", "ES256", "EdDSA"), min_length=1, description="Allowed.")
    jwks_url: HttpUrl | None = Field(default=None, description="Where its public keys are.")
    jwks_file: str | None = Field(default=None, description="A file with its public keys.")
    typ: tuple[str, ...] = Field(
        default=("JWT", "at+jwt"), min_length=1, description="The `typ` headers that are accepted."
    )
    leeway_seconds: float = Field(default=30, ge=0, le=300, description="Clock difference that is forgiven.")
    refresh_seconds: Seconds = Field(default=300, description="Age after which its keys are fetched again.")
    tenant_claim: str | None = Field(
        default=None, min_length=1, description="Overrides `multi_tenant.tenant_id_claim`."
    )
    user_claim: str = Field(default="sub", min_length=1, description="The claim that names the user.")
    role_claim: str | None = Field(default=None, min_length=1, description="The claim that names the role.")
    tenants: tuple[TenantIdText, ...] | None = Field(default=None, description="The only tenants it may speak for.")

    @model_validator(mode="after")
    def _one_key_source(self) -> Self:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("exactly one of `jwks_url` and `jwks_file` must be given")
        return self


class IdentityHeaders(Section):
    """Headers that may agree with the credential, or say which of the tenant's users is calling."""

    tenant: tuple[HeaderName, ...] = Field(
        default=("X-Org-ID", "X-Organization-ID", "X-Tenant-ID", "X-Tenant", "X-Scope-OrgID"),
        description="Must equal the credential's tenant, or the request is refused.",
    )
    user: tuple[HeaderName, ...] = Field(
        default=("X-User-ID", "X-User"), description="The user, vouched for by the tenant."
    )
    role: tuple[HeaderName, ...] = Field(
        default=("X-User-Role", "X-Role"), description="The role, vouched for likewise."
    )


class Admin(Section):
    """Who may operate the platform over HTTP."""

    api_keys: tuple[KeyHash, ...] = Field(
        default=(), description="`sha256:` digests of operators' keys. Empty: nobody."
    )


class CircuitBreaker(Section):
    """When a failing target is left alone."""

    failures: PositiveInt = Field(default=5, description="Consecutive failures that open the circuit.")
    open_seconds: Seconds = Field(default=10, description="Time until one request may try again.")


class Server(Section):
    """The gateway process."""

    name: str = Field(default="partywall", max_length=100, description="This gateway's name, for `when.gateway`.")
    max_body_bytes: int = Field(default=8 * 2**20, ge=1024, le=2**30, description="Largest request body.")
    max_upload_bytes: int = Field(default=32 * 2**20, ge=1024, le=2**30, description="Largest upload of a file.")
    max_answer_bytes: int = Field(
        default=32 * 2**20, ge=1024, le=2**30, description="Largest answer that isn't streamed."
    )
    body_timeout_seconds: Seconds = Field(default=30, description="Until the whole request body has arrived.")
    connect_timeout_seconds: Seconds = Field(default=5, description="Until a target accepts a connection.")
    answer_timeout_seconds: Seconds = Field(default=120, description="Until the answer's first byte.")
    stream_idle_timeout_seconds: Seconds = Field(default=60, description="Between two pieces of an answer.")
    jwt: tuple[Issuer, ...] = Field(default=(), description="Issuers of JWTs that are trusted.")
    identity_headers: IdentityHeaders = Field(default=IdentityHeaders(), description="Headers about identity.")
    admin: Admin = Field(default=Admin(), description="Who may operate the platform over HTTP.")
    circuit_breaker: CircuitBreaker = Field(
        default=CircuitBreaker(), description="When a failing target is left alone."
    )
    trail_durability: Literal["normal", "full"] = Field(
        default="normal", description="Whether records survive a crash of the process, or of the machine too."
    )
