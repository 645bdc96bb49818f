"""Sends an admitted request to the first of its targets that answers.

Promises: only targets that the decision named are tried; each gets its own credential, resolved for this call; the
tenant's salts are set on every copy that leaves; another target is tried only for the triggers that the document lists,
and never after any of an answer was released.

Doesn't promise: to translate between vendors' APIs. A target that doesn't speak the request's API isn't tried.
"""

from __future__ import annotations

import errno
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, NoReturn
from urllib.parse import urlencode

import orjson

from partywall.config.providers import FallbackTrigger
from partywall.config.secret_refs import SecretResolver
from partywall.errors import BadRequest, CredentialUnavailable, UpstreamRejected, UpstreamUnavailable
from partywall.gateway.answer import Answer, LocalAnswer
from partywall.gateway.exchange import Exchange
from partywall.gateway.http import Header
from partywall.gateway.slots import PinnedAnswer, Slots
from partywall.gateway.wire import Api
from partywall.policy import TargetRule
from partywall.tenancy import TenantScope
from partywall.upstream.client import PoolKey, UpstreamPool
from partywall.upstream.providers import Salts
from partywall.upstream.providers import answer as parrot_answer
from partywall.upstream.targets import Upstream

__all__ = ["Forwarder", "pairs"]

_OUR_CREDENTIAL_FAILED: Final = frozenset({401, 403, 407})
_FAILED: Final = {
    408: (FallbackTrigger.TIMEOUT, 504),
    429: (FallbackTrigger.RATE_LIMIT, 503),
    503: (FallbackTrigger.SERVER_ERROR, 503),
    504: (FallbackTrigger.TIMEOUT, 504),
}
"""Statuses of an upstream that are its failure, what they trigger, and the status that the client gets."""
_ERROR_BYTES: Final = 64 * 1024
_OUR_SHORTAGE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_QUOTE_CHARS: Final = 6
_MESSAGE_CHARS: Final = 1000


class TargetFailed(UpstreamUnavailable):
    """One target failed, and whether that lets another be tried depends on `trigger`."""

    def __init__(
        self, trigger: FallbackTrigger, detail: str, *, status: int, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(detail, status=status, retry_after_seconds=retry_after_seconds)
        self.trigger = trigger


class Forwarder:
    """Tries targets in order. One per process."""

    def __init__(self, pool: UpstreamPool, secrets: SecretResolver) -> None:
        self._pool = pool
        self._secrets = secrets
        self._slots = Slots(pool, secrets)

    async def send(
        self,
        scope: TenantScope,
        exchange: Exchange,
        api: Api,
        body: dict[str, object],
        salts: Salts,
        targets: Sequence[tuple[TargetRule, Upstream]],
    ) -> tuple[Answer, str]:
        """The first answer that isn't a failure of its target, and the target's id. Each target gets a copy of `body`.

        Raises:
            UpstreamRejected: a target refused the request itself; another would as well.
            UpstreamUnavailable: every target failed; its status is that of the last.
        """
        serving = exchange.serving
        failure: TargetFailed | None = None
        for rule, upstream in targets:
            if failure is not None and failure.trigger not in serving.triggers:
                break
            breaker = serving.breakers.of(scope.tenant, upstream.id)
            if not breaker.admits():
                failure = failure or TargetFailed(
                    FallbackTrigger.UNREACHABLE, f"`{upstream.id}`: circuit open", status=503
                )
                continue
            try:
                copy = body.copy()
                copy["model"] = rule.model_for(str(body["model"]))
                upstream.provider.salt(api, copy, salts)
                answer = await self._answer(scope, exchange, api, copy, upstream)
            except CredentialUnavailable:
                raise
            except UpstreamRejected:
                breaker.succeeded()  # the target is well; the request wasn't
                raise
            except UpstreamUnavailable as error:
                failure = _as_failed(error)
                if upstream.slots:
                    self._slots.failed(upstream)
                # A 429 is about rate, not about the target's health; it opens no circuit.
                if failure.trigger is not FallbackTrigger.RATE_LIMIT and not _is_our_shortage(error):
                    breaker.failed()
            else:
                if breaker.failures:
                    breaker.succeeded()
                return answer, upstream.id
        raise failure or UpstreamUnavailable("no target speaks this API", status=502)

    async def _answer(
        self, scope: TenantScope, exchange: Exchange, api: Api, body: dict[str, object], upstream: Upstream
    ) -> Answer:
        """One target's answer. Raises when it is none."""
        lease = await self._slots.lease(scope, api, body, upstream) if upstream.slots else None
        try:
            asked, carriers = self._ask(scope, exchange, api, body, upstream)
            answer = await asked
            if lease is not None:
                answer = PinnedAnswer(answer, lease)
            if answer.status != 200:
                await _failed(answer, upstream, carriers)
        except BaseException:
            if lease is not None:
                lease.lost()  # nothing, if the answer has ended it
            raise
        return answer

    def _ask(
        self, scope: TenantScope, exchange: Exchange, api: Api, body: dict[str, object], upstream: Upstream
    ) -> tuple[Coroutine[Any, Any, Answer], Sequence[Header]]:
        """What, awaited, asks one target; and the headers that carry the credential it is asked with."""
        if upstream.origin is None:
            return _parrot(api, body, exchange.id), ()
        credential = upstream.credential_headers(self._secrets)
        # INVARIANT: no header of the client's doubles or replaces one of ours: `may_add` holds none of their names.
        theirs = exchange.request.header_map
        headers = [(name, theirs[name]) for name in credential.may_add if name in theirs]
        server = exchange.serving.snapshot.server
        asked = self._pool.send(
            PoolKey(scope.tenant, upstream.id),
            upstream.origin,
            method=b"POST",
            path=_path(upstream, api, exchange.query) if exchange.query else upstream.paths[api],
            headers=headers,
            fixed_headers=credential.fixed,
            body=_encoded(body),
            head_timeout_seconds=upstream.answer_timeout_seconds or server.answer_timeout_seconds,
            chunk_timeout_seconds=server.stream_idle_timeout_seconds,
            allow_private=upstream.allow_private,
        )
        return asked, credential.carriers


async def _parrot(api: Api, body: dict[str, object], answer_id: str) -> Answer:
    return LocalAnswer(parrot_answer(api, body, answer_id=answer_id))


def _path(upstream: Upstream, api: Api, query: Mapping[str, str]) -> bytes:
    path = upstream.paths[api]
    # INVARIANT: written anew, so that no value brings a parameter along which the allow-list doesn't name.
    kept = [(name, query[name]) for name in upstream.provider.forward_query if name in query]
    return path if not kept else path + (b"&" if b"?" in path else b"?") + urlencode(kept).encode("ascii")


def _encoded(body: dict[str, object]) -> bytes:
    # What was inspected is what is sent: the parsed body, written anew, so that no second reading of the client's
    # bytes (a repeated key, say) can differ from ours.
    try:
        return orjson.dumps(body)
    except TypeError as error:
        raise BadRequest(
            f"body can't be written again: {error}", public_message="The body is nested too deeply."
        ) from None


async def _failed(answer: Answer, upstream: Upstream, credential: Sequence[Header]) -> NoReturn:
    """Raises what went wrong, without anything the upstream said about us."""
    status = answer.status
    try:
        if status in _OUR_CREDENTIAL_FAILED:
            # Its body may quote our key; nobody sees it (LiteLLM #29936).
            detail = f"`{upstream.id}` refused our credential with {status}"
            raise TargetFailed(FallbackTrigger.SERVER_ERROR, detail, status=502)
        if status in _FAILED:
            trigger, ours = _FAILED[status]
            wait = _retry_after(answer) if status == 429 else None
            raise TargetFailed(trigger, f"`{upstream.id}` answered {status}", status=ours, retry_after_seconds=wait)
        if status >= 500:
            raise TargetFailed(FallbackTrigger.SERVER_ERROR, f"`{upstream.id}` answered {status}", status=502)
        if 400 <= status < 500:
            message = _message_of(await answer.read(_ERROR_BYTES), credential)
            kept = status if status in (400, 404, 409, 413, 415, 422) else 400
            raise UpstreamRejected(
                f"`{upstream.id}` refused the request with {status}", status=kept, public_message=message
            )
    finally:
        answer.abort()
    raise UpstreamUnavailable(f"`{upstream.id}` answered {status}, which is neither an answer nor an error")


def _retry_after(answer: Answer) -> float:
    text = next((value for name, value in answer.headers if name == b"retry-after"), b"1")
    try:
        return min(max(float(text), 0.0), 3600.0)
    except ValueError:
        return 1.0


def _message_of(body: bytes, credential: Sequence[Header]) -> str | None:
    """The upstream's own sentence about the tenant's own request, bounded; None when there is none, or it quotes us."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    error = parsed.get("error") if isinstance(parsed, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    if not isinstance(message, str) or any(_quotes(message, value) for _, value in credential):
        return None
    return message[:_MESSAGE_CHARS] or None


def _is_our_shortage(error: UpstreamUnavailable) -> bool:
    """Whether it was this process that lacked descriptors or memory: no fault of the target's."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _OUR_SHORTAGE


def _quotes(message: str, header: bytes) -> bool:
    """Whether `message` quotes the end of a credential's header, whatever prefix stands before the secret."""
    text = header.decode("latin-1")
    return len(text) >= _QUOTE_CHARS and text[-_QUOTE_CHARS:] in message


def _as_failed(error: UpstreamUnavailable) -> TargetFailed:
    """What the pool raised, as a failure with its trigger."""
    if isinstance(error, TargetFailed):
        return error
    trigger = FallbackTrigger.TIMEOUT if error.status == 504 else FallbackTrigger.UNREACHABLE
    failed = TargetFailed(trigger, str(error), status=error.status)
    failed.__cause__ = error
    return failed


def pairs(
    rules: Sequence[TargetRule], upstreams: Mapping[str, Upstream], api: Api
) -> list[tuple[TargetRule, Upstream]]:
    """The decided targets that speak `api`, with what is needed to call them."""
    found = []
    for rule in rules:
        upstream = upstreams[rule.id]
        if api in upstream.paths:
            found.append((rule, upstream))
    return found
