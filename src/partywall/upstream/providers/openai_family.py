"""OpenAI's API and everything that speaks it: Azure, the engines one hosts oneself, any compatible `base_url`.

Promises: each row of the table sends the partition field that the engine's own schema names, on the APIs whose schema
has it, and nothing that the schema would refuse.

Doesn't promise: isolation inside Ollama, OpenAI, Azure or an unknown compatible server. None has a per-request
partition of its prefix cache; a tenant's own credential or its own upstream is the wall there.

Sources, read in October 2026:
- OpenAI: https://developers.openai.com/api/docs/guides/prompt-caching (`prompt_cache_key` steers the routing to a
  cache, no more), https://help.openai.com/en/articles/5428082 (`safety_identifier`). By the official client's types
  only chat and responses take them; completions and embeddings have `user`.
- Azure: https://learn.microsoft.com/azure/foundry/openai/how-to/prompt-caching (caches are per subscription); models
  of other makers answer `prompt_cache_key` with 400 (https://github.com/zed-industries/zed/issues/52000), so `user`,
  which the API has had from its first version, is sent instead.
- vLLM: https://docs.vllm.ai/en/stable/serving/online_serving/openai_compatible_server/ and the `protocol.py` of each
  API (`cache_salt`, 1 to 1,024 characters); Messages takes it since https://github.com/vllm-project/vllm/pull/49498
  and dropped it in silence before.
- SGLang: `python/sglang/srt/entrypoints/openai/protocol.py`; its embeddings and Messages schemas have no salt.
- TensorRT-LLM: `tensorrt_llm/serve/openai_protocol.py`; only chat has `cache_salt`, and completions forbid unknown
  fields.
- llama.cpp: `tools/server/server-schema.cpp` (`cache_prompt`) and `tools/server/server-chat.cpp`: responses keep the
  field on their way to chat, Messages lose it.
- Ollama: https://docs.ollama.com/api/openai-compatibility, https://docs.ollama.com/api/anthropic-compatibility.
"""

from __future__ import annotations

import hmac
from typing import Final
from urllib.parse import quote, urlsplit

from partywall.errors import ConfigError
from partywall.tenancy import Secret
from partywall.upstream.api import Api
from partywall.upstream.providers.base import Body, Header, Partition, Provider, Salts, TargetLike, key_header, suffix

__all__ = ["AZURE", "LLAMA_CPP", "OLLAMA", "OPENAI", "SGLANG", "TENSORRT_LLM", "VLLM", "OpenAICompatible", "compatible"]

_GENERATION: Final = frozenset({Api.CHAT, Api.COMPLETIONS, Api.RESPONSES})
_OPENAI_APIS: Final = _GENERATION | {Api.EMBEDDINGS, Api.MODELS}


class OpenAICompatible(Provider):
    """A server that takes OpenAI's requests under bearer authentication."""

    __slots__ = ("_under_v1",)

    def __init__(
        self,
        name: str,
        partition: Partition,
        *,
        apis: frozenset[Api] = _OPENAI_APIS,
        partitioned: frozenset[Api] = frozenset(),
        under_v1: bool = True,
    ) -> None:
        super().__init__(name, partition, apis=apis, partitioned=partitioned)
        self._under_v1 = under_v1

    def path(self, api: Api, target: TargetLike) -> bytes:
        return suffix(api, target.base_url, under_v1=self._under_v1)

    def credential_headers(
        self, secret: Secret | None, *, header: str | None = None, prefix: str | None = None
    ) -> list[Header]:
        if secret is None:
            return []
        if prefix is None:
            prefix = "Bearer " if header is None or header.lower() == "authorization" else ""
        return [key_header(secret, header or "authorization", prefix)]


class _Azure(OpenAICompatible):
    """Azure OpenAI: the v1 API, or the older one with the deployment in the path when `api_version` is given."""

    __slots__ = ()

    def path(self, api: Api, target: TargetLike) -> bytes:
        """Raises ConfigError: the deployment API without `model`; the client's model must not choose the path."""
        place = urlsplit(target.base_url or "").path.rstrip("/")
        query = b"" if target.api_version is None else f"?api-version={quote(target.api_version, safe='')}".encode()
        if place.endswith("/v1") or "/deployments/" in place:
            return suffix(api, target.base_url, under_v1=False) + query
        if target.api_version is None:
            return b"/openai/v1" + suffix(api, target.base_url, under_v1=False)
        root = b"" if place.endswith("/openai") else b"/openai"
        if api in {Api.RESPONSES, Api.MODELS}:
            return root + suffix(api, target.base_url, under_v1=False) + query
        if target.upstream_model is None:
            raise ConfigError("an `azure` target with `api_version` needs `model`, the name of its deployment")
        deployment = f"/deployments/{quote(target.upstream_model, safe='')}".encode()
        return root + deployment + suffix(api, target.base_url, under_v1=False) + query

    def credential_headers(
        self, secret: Secret | None, *, header: str | None = None, prefix: str | None = None
    ) -> list[Header]:
        return super().credential_headers(secret, header=header or "api-key", prefix=prefix)


# -- What each one takes -------------------------------------------------------------------------------------------


def _openai(api: Api, body: Body, salts: Salts) -> None:
    if api is Api.CHAT or api is Api.RESPONSES:
        body["prompt_cache_key"] = salts.cache
        body["safety_identifier"] = salts.user
    else:
        body["user"] = salts.user


def _azure(_api: Api, body: Body, salts: Salts) -> None:
    body["user"] = salts.user


def _vllm(_api: Api, body: Body, salts: Salts) -> None:
    body["cache_salt"] = salts.cache
    _own_media_ids(body, salts)


def _sglang(api: Api, body: Body, salts: Salts) -> None:
    if api in _GENERATION:
        body["cache_salt"] = salts.cache


def _tensorrt_llm(api: Api, body: Body, salts: Salts) -> None:
    if api is Api.CHAT:
        body["cache_salt"] = salts.cache


def _llama_cpp(api: Api, body: Body, _salts: Salts) -> None:
    # There is nothing to salt: a slot's cache serves whoever shares the prefix. So none is reused.
    if api in _GENERATION:
        body["cache_prompt"] = False


def _nothing(_api: Api, _body: Body, _salts: Salts) -> None:
    """An unknown server may refuse unknown fields, so none is sent."""


def _own_media_ids(body: Body, salts: Salts) -> None:
    """Make each media `uuid` the tenant's own.

    vLLM's media caches are keyed by it alone: two tenants with one uuid would share the first one's image (C10,
    https://github.com/vllm-project/vllm/issues/55439). Within a tenant, equal ids stay equal.
    """
    for field in ("messages", "input"):
        turns = body.get(field)
        if isinstance(turns, list) and any(map(_has_media_id, turns)):
            body[field] = [_with_own_ids(turn, salts) if _has_media_id(turn) else turn for turn in turns]


def _has_media_id(turn: object) -> bool:
    content = turn.get("content") if isinstance(turn, dict) else None
    return isinstance(content, list) and any(isinstance(part, dict) and "uuid" in part for part in content)


def _with_own_ids(turn: dict[str, object], salts: Salts) -> dict[str, object]:
    content = turn["content"]
    parts = content if isinstance(content, list) else []
    return turn | {
        "content": [
            part | {"uuid": _tenant_uuid(part["uuid"], salts)} if isinstance(part, dict) and "uuid" in part else part
            for part in parts
        ]
    }


def _tenant_uuid(uuid: object, salts: Salts) -> str | None:
    if not isinstance(uuid, str):
        return None
    return hmac.digest(salts.cache.encode(), uuid.encode(), "sha256").hex()


# -- The table -----------------------------------------------------------------------------------------------------

OPENAI: Final = OpenAICompatible("openai", _openai)
AZURE: Final = _Azure("azure", _azure)
VLLM: Final = OpenAICompatible("vllm", _vllm, apis=_OPENAI_APIS | {Api.MESSAGES}, partitioned=_GENERATION)
SGLANG: Final = OpenAICompatible("sglang", _sglang, partitioned=_GENERATION)
TENSORRT_LLM: Final = OpenAICompatible(
    "tensorrt-llm",
    _tensorrt_llm,
    apis=frozenset({Api.CHAT, Api.EMBEDDINGS, Api.MODELS}),
    partitioned=frozenset({Api.CHAT}),
)
LLAMA_CPP: Final = OpenAICompatible("llama.cpp", _llama_cpp, partitioned=_GENERATION)
OLLAMA: Final = OpenAICompatible("ollama", _nothing, apis=_OPENAI_APIS | {Api.MESSAGES})


def compatible(name: str) -> OpenAICompatible:
    """A server of which we know only that it speaks OpenAI's API at the document's `base_url`, used as it stands."""
    return OpenAICompatible(name, _nothing, under_v1=False)
