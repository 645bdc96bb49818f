"""Embeddings by an upstream that the tenant may use.

Promises: texts go only to a target that policy lets this tenant's chats go to (whose it is, its region, what its vendor
promised), with that target's own credential and this tenant's salts, over a connection that no other tenant uses. An
answer of another shape than was stated is refused. Nothing falls back: another model's vectors mean something else.

Doesn't promise: to hide from that upstream what a document says, but for what `pii-detector` takes out. Choose one
whose vendor may read it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import orjson

from partywall.config.secret_refs import SecretResolver
from partywall.errors import UpstreamUnavailable
from partywall.policy import TargetRule
from partywall.tenancy import TenantScope
from partywall.upstream.api import Api
from partywall.upstream.client import PoolKey, UpstreamPool
from partywall.upstream.providers import Salts
from partywall.upstream.providers import answer as parrot_answer
from partywall.upstream.targets import Upstream

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors: TypeAlias = npt.NDArray[np.float32]

__all__ = ["EmbeddingModel", "Outward", "UpstreamEmbedder", "UpstreamFor"]

_BATCH: Final = 64
_MOST_ANSWER_BYTES: Final = 32 * 2**20
_LARGEST: Final = 1e18  # its square is a float32 still

UpstreamFor: TypeAlias = Callable[[TenantScope, str], tuple[TargetRule, Upstream]]
"""The target of that id as the present document has it, if this scope may use it. Raises Denied if not."""

Outward: TypeAlias = Callable[[TenantScope, Sequence[str]], Awaitable[Sequence[str]]]
"""Texts of the scope's tenant as the present document lets them go. Raises Denied if it doesn't."""


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """A model at a target, as the document names it."""

    target: str
    model: str | None
    dimensions: int


class UpstreamEmbedder:
    """An `Embedder` that asks an upstream."""

    def __init__(
        self,
        model: EmbeddingModel,
        upstream_for: UpstreamFor,
        salts_of: Callable[[TenantScope], Salts],
        pool: UpstreamPool,
        secrets: SecretResolver,
        outward: Outward,
        *,
        timeout_seconds: float,
    ) -> None:
        self._model = model
        self._upstream_for = upstream_for
        self._salts_of = salts_of
        self._pool = pool
        self._secrets = secrets
        self._outward = outward
        self._timeout_seconds = timeout_seconds

    @property
    def name(self) -> str:
        """The target and the model. Two names are never taken for the same vectors."""
        return f"{self._model.target}/{self._model.model or ''}"

    @property
    def dimensions(self) -> int:
        """As the document states."""
        return self._model.dimensions

    async def embed(self, scope: TenantScope, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`.

        Raises:
            Denied: policy doesn't let this tenant's texts go there, or not these.
            UpstreamUnavailable, CredentialUnavailable: it can't be asked, or answered something else.
        """
        import numpy as np  # noqa: PLC0415 - of the extra `documents`; whoever embeds has it

        rule, upstream = self._upstream_for(scope, self._model.target)
        texts = await self._outward(scope, texts)
        found: list[Sequence[float]] = []
        for start in range(0, len(texts), _BATCH):
            batch = list(texts[start : start + _BATCH])
            body = await self._asked(scope, rule, upstream, batch)
            found += _vectors(body, len(batch), self.dimensions, upstream.id)
        vectors = np.array(found, dtype=np.float32).reshape(len(texts), self.dimensions)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(lengths == 0.0, 1.0, lengths)).astype(np.float32)

    async def _asked(self, scope: TenantScope, rule: TargetRule, upstream: Upstream, texts: list[str]) -> bytes:
        """What the upstream answers, if it says that it could."""
        model = self._model.model or rule.model_for(rule.id)
        body: dict[str, object] = {"model": model, "input": texts, "encoding_format": "float"}
        upstream.provider.salt(Api.EMBEDDINGS, body, self._salts_of(scope))
        if upstream.origin is None:
            return parrot_answer(Api.EMBEDDINGS, body, answer_id="embedding").body
        credential = upstream.credential_headers(self._secrets)
        async with await self._pool.send(
            PoolKey(scope.tenant, upstream.id),
            upstream.origin,
            method=b"POST",
            path=upstream.paths[Api.EMBEDDINGS],
            headers=(),
            fixed_headers=credential.fixed,
            body=orjson.dumps(body),
            head_timeout_seconds=upstream.answer_timeout_seconds or self._timeout_seconds,
            chunk_timeout_seconds=self._timeout_seconds,
            allow_private=upstream.allow_private,
        ) as answer:
            if answer.status != 200:
                raise UpstreamUnavailable(f"`{upstream.id}` answered {answer.status} instead of embedding")
            return await answer.read(_MOST_ANSWER_BYTES)


def _vectors(body: bytes, count: int, dimensions: int, target: str) -> list[Sequence[float]]:
    """The vectors of an answer, in the order of the texts.

    Raises:
        UpstreamUnavailable: there is another number of them, or one of another length, or something else.
    """
    try:
        data = orjson.loads(body)["data"]
        by_index: Mapping[int, Sequence[float]] = {item["index"]: item["embedding"] for item in data}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise UpstreamUnavailable(f"`{target}` answered something else than embeddings") from None
    vectors = [by_index.get(number) for number in range(count)]
    if len(data) != count or not all(_is_vector(vector, dimensions) for vector in vectors):
        raise UpstreamUnavailable(f"`{target}` answered other vectors than {count} of {dimensions} numbers")
    return [vector for vector in vectors if vector is not None]


def _is_vector(vector: object, dimensions: int) -> bool:
    return (
        isinstance(vector, list)
        and len(vector) == dimensions
        and all(type(number) in (float, int) and abs(number) <= _LARGEST for number in vector)
    )
