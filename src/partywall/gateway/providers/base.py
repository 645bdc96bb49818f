"""What a provider is: where a request goes, with which headers, and whose side of the vendor's caches it stays on.

Promises: `Provider.salt` first removes every field by which a client could choose a cache partition, an upstream, a
worker, an adapter or an identity, of any engine we know, and then sets the ones that this provider takes, from the
tenant's salts alone. `forward_headers` and `forward_query` are allow-lists: what they don't name stays here.

Doesn't promise: that a salt is a wall everywhere. `partitioned` names the APIs whose prefix cache it really divides;
for the others the wall is a credential of the tenant's own, or an upstream of its own (LESSONS C7). Nor does it look
inside messages for ids of files and other things that a vendor keeps per account; `VENDOR_STATE_FIELDS` names the
top-level ones, and refusing them is the pipeline's decision.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Protocol
from urllib.parse import urlsplit

from partywall.gateway.wire.api import Api
from partywall.tenancy import Secret

__all__ = [
    "RESERVED_FIELDS",
    "VENDOR_STATE_FIELDS",
    "Body",
    "Header",
    "Provider",
    "Salts",
    "TargetLike",
    "key_header",
    "suffix",
]

Body = dict[str, object]
"""A request body as orjson parsed it."""

Header = tuple[bytes, bytes]
"""A raw header, name in lower case."""

RESERVED_FIELDS: Final = frozenset(
    {
        # Cache partitions: with another tenant's value a client would share its cache (C2).
        "cache_salt",  # vLLM, SGLang, TensorRT-LLM
        "extra_key",  # SGLang joins it to the salt
        "prompt_cache_key",  # OpenAI, Mistral
        "prompt_cache_isolation_key",  # Fireworks
        "safety_identifier",  # OpenAI
        "user",  # OpenAI's older name for both; several vendors route caches by it
        "cache_prompt",  # llama.cpp
        "id_slot",  # llama.cpp: names the slot, and with it whose cache
        "n_cache_reuse",  # llama.cpp
        "session_id",  # SGLang, vLLM, OpenRouter
        "session_params",  # SGLang: continues a session held by the engine
        "conversation_params",  # TensorRT-LLM
        "vllm_xargs",  # reaches KV connectors, past the salt (C4)
        # Oracles: they compare this prompt with an earlier one, found by id alone.
        "diagnostics",  # Anthropic: previous_message_id
        # Where the work is done: hosts, ranks, opaque cache hand-overs, somebody else's vendor.
        "bootstrap_host",  # SGLang connects to it
        "bootstrap_port",
        "bootstrap_room",
        "data_parallel_rank",
        "routed_dp_rank",
        "disagg_prefill_dp_rank",
        "disaggregated_params",  # TensorRT-LLM
        "kv_transfer_params",  # vLLM
        "ec_transfer_params",
        "data_sources",  # Azure: reads indexes with the resource's own identity
        "inference_geo",  # Anthropic: the region is the target's
        "models",  # OpenRouter: fall-backs of the client's choice
        "provider",
        "route",
        "fallbacks",
        "fallback_credit_token",
        "api_base",  # LiteLLM proxies
        "api_key",
        "api_version",
        "base_url",
        "extra_body",
        "extra_headers",
        "extra_query",
        # Identity, order and labels inside a shared engine: a repeated id mixes answers up (C20), a priority is
        # taken from the neighbours (C9), a label ends in shared metrics.
        "request_id",
        "rid",
        "priority",
        "agent_hierarchy",
        "custom_labels",
        # Weights and code (C17).
        "lora",
        "lora_path",
        "lora_request",
        "custom_logit_processor",
        "custom_params",
        "logits_processors",
        "ngram_corpus_id",
    }
)
"""Fields of a request body that no client sets, whatever the provider."""

VENDOR_STATE_FIELDS: Final[Mapping[Api, frozenset[str]]] = MappingProxyType(
    {
        Api.RESPONSES: frozenset({"previous_response_id", "conversation", "prompt"}),
        Api.MESSAGES: frozenset({"container", "thread"}),
    }
)
"""Fields that name what the vendor keeps, found by its id within the whole account: with one credential for two
tenants, a foreign id is enough to read on (R1). Dropping one in silence would change the answer; refuse instead."""

_HEX64: Final = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch

_SUFFIX: Final = {
    Api.CHAT: b"/chat/completions",
    Api.COMPLETIONS: b"/completions",
    Api.EMBEDDINGS: b"/embeddings",
    Api.RESPONSES: b"/responses",
    Api.MESSAGES: b"/messages",
    Api.MODELS: b"/models",
}


@dataclass(frozen=True, slots=True)
class Salts:
    """A tenant's two pseudonyms at an upstream, made elsewhere by HMAC with one label per purpose.

    Each is 64 lower-case hex digits and nothing else: a long or odd salt has crashed an engine (CVE-2026-105756), and
    OpenAI takes at most 64 characters.
    """

    cache: str
    user: str

    def __post_init__(self) -> None:
        if _HEX64(self.cache) is None or _HEX64(self.user) is None:
            raise ValueError("a salt is 64 lower-case hex digits")


class TargetLike(Protocol):
    """The part of `providers.targets[]` that a path depends on."""

    @property
    def model(self) -> str | None: ...
    @property
    def base_url(self) -> str | None: ...
    @property
    def api_version(self) -> str | None: ...


class Provider(ABC):
    """One vendor's or engine's way of being asked. Stateless; one instance serves all tenants."""

    __slots__ = ("apis", "forward_headers", "forward_query", "name", "partitioned")

    name: str
    apis: frozenset[Api]
    """What it serves in its own dialect. An API that is known to drop the salt is left out when another keeps it."""
    partitioned: frozenset[Api]
    """The APIs whose shared prefix cache `salt` divides between tenants, in every version that we know."""
    forward_headers: frozenset[bytes]
    """Client headers that may be sent on, lower case. Never identity, credential, organisation, project, cookies,
    tracing or proxy headers; nor request ids and idempotency keys, which are global to an account (C20)."""
    forward_query: frozenset[str]
    """Query parameters that may be sent on."""

    def __init__(
        self,
        name: str,
        *,
        apis: frozenset[Api],
        partitioned: frozenset[Api] = frozenset(),
        forward_headers: frozenset[bytes] = frozenset({b"accept"}),
        forward_query: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self.apis = apis
        self.partitioned = partitioned
        self.forward_headers = forward_headers
        self.forward_query = forward_query

    @abstractmethod
    def path(self, api: Api, target: TargetLike) -> bytes:
        """What is appended to the path of the target's `base_url`, query included. The same for every request."""

    @abstractmethod
    def credential_headers(
        self, secret: Secret | None, *, header: str | None = None, prefix: str | None = None
    ) -> list[Header]:
        """The headers that authenticate us, and those without which the vendor won't answer.

        `header` and `prefix` are the document's `api_key_header` and `api_key_prefix`.
        """

    def salt(self, api: Api, body: Body, salts: Salts) -> tuple[str, ...]:
        """Put `body` on the tenant's own side: drop the client's reserved fields, then set the server's.

        Changes the top level only; what is nested is replaced, never altered, so a shallow copy is enough to try
        another target with. Returns the names of the client's fields that were dropped, sorted; usually none.
        """
        dropped = _drop_reserved(body)
        # INVARIANT: no reserved field of the client's is left, so `_partition` needs to add only.
        self._partition(api, body, salts)
        return dropped

    @abstractmethod
    def _partition(self, api: Api, body: Body, salts: Salts) -> None:
        """Set the fields that this provider takes on `api`, and no field that it would answer with a 400."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"


def _drop_reserved(body: Body) -> tuple[str, ...]:
    if RESERVED_FIELDS.isdisjoint(body):
        return ()
    dropped = tuple(sorted(RESERVED_FIELDS.intersection(body)))
    for name in dropped:
        del body[name]
    return dropped


def suffix(api: Api, base_url: str | None, *, under_v1: bool) -> bytes:
    """The path of `api` below `base_url`, with the `/v1` that `base_url` lacks when it is a bare host.

    Engines document both `http://host:8000` and `http://host:8000/v1`; `under_v1` says that this one has one place.
    """
    return (b"/v1" if under_v1 and _is_bare(base_url) else b"") + _SUFFIX[api]


@lru_cache(maxsize=1024)
def _is_bare(base_url: str | None) -> bool:
    return base_url is not None and urlsplit(base_url).path in {"", "/"}


def key_header(secret: Secret, name: str, prefix: str) -> Header:
    """One header with the credential in it.

    INVARIANT: secrets are printable ASCII (`SecretResolver`), so no secret can end the header and start another.
    """
    return name.lower().encode("ascii"), f"{prefix}{secret.reveal()}".encode("ascii")
