"""The way out: an upstream's answer, checked and released to the client.

Promises: nothing goes out to a tenant that was suspended meanwhile; an answer whose tools are restricted is released
only after each tool it calls was allowed, streamed or not, and then in the form that was inspected; a stream always
ends in a terminal event, ours if the upstream's is missing; nothing of the upstream's headers is passed on but the
content type, and nothing of its caches (`wire.cache_usage`) unless they are the tenant's own.

Doesn't promise: to hold a whole stream. Events go out as they come, but for those of a tool call without a name yet.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import orjson

from partywall.config.routing import Stage
from partywall.errors import ToolDenied, UpstreamUnavailable
from partywall.gateway.answer import Answer, is_event_stream
from partywall.gateway.context.turn import Turn
from partywall.gateway.exchange import Exchange
from partywall.gateway.scanning import Scan
from partywall.gateway.wire import SseEvent, SseSplitter, Usage, Wire
from partywall.gateway.wire.cache_usage import SIGNS, hide_cache_usage
from partywall.gateway.wire.refusals import sse
from partywall.gateway.wire.streaming import DONE, is_terminal, is_usage_only
from partywall.policy import Decision
from partywall.trail import Verdict

__all__ = ["relay", "tenant_lines"]


def tenant_lines(request_id: str, content_type: bytes) -> bytes:
    """The headers of everything that is a tenant's: two names for the request id, and no shared cache may keep it."""
    own = request_id.encode("ascii")
    kind = b"content-type: " + content_type
    return kind + b"\r\ncache-control: private, no-store\r\nx-request-id: " + own + b"\r\nrequest-id: " + own + b"\r\n"


def relay(
    exchange: Exchange,
    wire: Wire,
    answer: Answer,
    decision: Decision,
    *,
    hide_usage: bool,
    turn: Turn | None = None,
    scan: Scan | None = None,
) -> Coroutine[Any, Any, Usage | None]:
    """What, awaited, releases `answer` to the client and returns what it used, if it says so.

    `hide_usage` drops the usage-only event that we asked for and the client didn't. `turn` says what the client is
    given in the place of the upstream's words, and keeps what is to be kept before the client sees the end. `scan`
    looks at the upstream's words before anybody.

    Raises:
        ToolDenied: it calls a tool that the role may not use. Nothing of that call has been released.
        UpstreamUnavailable: it broke off, or isn't what the API promises.
        PartywallError: it can't be kept (`Turn.keep`), or the scan stops it (`Scan.whole`).
    """
    if is_event_stream(answer):
        return _Stream(exchange, wire, decision, hide_usage=hide_usage, turn=turn, scan=scan).relay(answer)
    return _whole(exchange, wire, answer, decision, turn, scan)


async def _whole(
    exchange: Exchange, wire: Wire, answer: Answer, decision: Decision, turn: Turn | None, scan: Scan | None
) -> Usage | None:
    limit = exchange.serving.snapshot.server.max_answer_bytes
    body = answer.read_at_once(limit)
    if body is None:
        body = await answer.read(limit)
    parsed = _object(body)
    if decision.answer_tools is not None:
        _check(decision, wire.tool_names_in_answer(parsed))
    usage = wire.usage(parsed)
    touched = hide_cache_usage(wire.api, parsed, exchange.cache_usage())
    if scan is not None:
        parsed = await scan.whole(parsed, size=len(body))
    if turn is not None:
        turn.answered(parsed)
    if touched or scan is not None or turn is not None or decision.answer_tools is not None:
        body = _again(orjson.dumps, parsed)
    if turn is not None:
        await turn.keep()
    exchange.require_standing()
    exchange.responder.whole(200, tenant_lines(exchange.id, b"application/json"), body)
    return usage


class _Stream:
    """One stream on its way out."""

    __slots__ = (
        "_decision",
        "_exchange",
        "_held",
        "_hide_usage",
        "_scan",
        "_shown",
        "_terminal",
        "_turn",
        "_usage",
        "_watch",
        "_wire",
    )

    def __init__(
        self,
        exchange: Exchange,
        wire: Wire,
        decision: Decision,
        *,
        hide_usage: bool,
        turn: Turn | None,
        scan: Scan | None,
    ) -> None:
        self._exchange = exchange
        self._wire = wire
        self._decision = decision
        self._hide_usage = hide_usage
        self._turn = turn
        self._scan = scan
        self._shown = exchange.cache_usage()
        self._watch = wire.watch() if decision.answer_tools is not None else None
        self._held: list[bytes] = []
        self._usage: Usage | None = None
        self._terminal = False

    async def relay(self, answer: Answer) -> Usage | None:
        try:
            return await self._relay(answer)
        finally:
            if self._scan is not None:
                self._scan.broke_off()

    async def _relay(self, answer: Answer) -> Usage | None:
        responder = self._exchange.responder
        splitter = SseSplitter()
        responder.start(200, tenant_lines(self._exchange.id, b"text/event-stream; charset=utf-8"))
        async for chunk in answer.chunks():
            self._exchange.require_standing()
            await self._pass_on(splitter.feed(chunk))
        await self._pass_on(splitter.flush())
        if self._watch is not None:
            _check(self._decision, self._watch.finish())
        if not self._terminal:
            raise UpstreamUnavailable("the upstream's stream ended without its terminal event")
        if self._scan is not None:
            self._scan.ended()
        await responder.end(b"".join(self._held))
        return self._usage

    async def _pass_on(self, events: list[SseEvent]) -> None:
        out: list[bytes] = []
        try:
            for event in events:
                released = self._released(event)
                if self._turn is not None and self._terminal:
                    await self._turn.keep()
                out += released
        finally:
            # Also when an event ends the stream: how the upstream cut it into chunks changes nothing for the client.
            if out:
                await self._exchange.responder.write(b"".join(out))

    def _released(self, event: SseEvent) -> list[bytes]:
        """What may go out now that `event` has come."""
        if is_terminal(self._wire.api, event):
            self._terminal = True
        if not self._needs_reading(event):
            out = [*self._rest(), event.raw] if self._terminal else [event.raw]
            if self._held:
                self._held += out
                return []
            return out
        parsed = _object(event.data)
        if parsed.get("error") or parsed.get("type") == "error":
            # Its words may quote our account or key; the client gets ours.
            raise UpstreamUnavailable("the upstream ended its stream with an error")
        usage = self._wire.usage(parsed)
        if usage is not None:
            self._usage = usage.most(self._usage)
            # At once, and not at the end: a client that hangs up before it doesn't get its tokens for nothing.
            self._exchange.record.tokens_in, self._exchange.record.tokens_out = self._usage
            if self._hide_usage and is_usage_only(self._wire.api, parsed):
                return []
        touched = hide_cache_usage(self._wire.api, parsed, self._shown)
        if self._watch is None:
            if self._turn is not None or self._scan is not None:
                return self._told(event, parsed)
            return [_again(sse, parsed, event.name.encode()) if touched else event.raw]
        step = self._watch.feed(parsed)
        _check(self._decision, step.names)
        # INVARIANT: what is released is what was inspected, written anew from the parsed event.
        self._held += self._told(event, parsed)
        if step.hold:
            return []
        released, self._held = self._held, []
        return released

    def _told(self, event: SseEvent, parsed: dict[str, object]) -> list[bytes]:
        """What the client is given in the place of an event that was looked at."""
        name = event.name.encode()
        return self._written([(name, parsed)] if self._scan is None else self._scan.event(name, parsed))

    def _rest(self) -> list[bytes]:
        """What the scan still holds when the stream ends."""
        return [] if self._scan is None else self._written(self._scan.finish())

    def _written(self, events: list[tuple[bytes, dict[str, object]]]) -> list[bytes]:
        """Events as the client is given them, after the turn."""
        if self._turn is not None:
            events = [told for name, data in events for told in self._turn.event(name, data)]
        return [_again(sse, data, name) for name, data in events]

    def _needs_reading(self, event: SseEvent) -> bool:
        if not event.data or event.data == DONE:
            return False
        if self._watch is not None or self._turn is not None or self._scan is not None:
            return True
        data = event.data
        if b'"usage"' in data or b'"error"' in data:
            return True
        timings, progress, cache = SIGNS
        return timings in data or progress in data or cache in data


def _check(decision: Decision, names: list[str] | tuple[str, ...]) -> None:
    test = decision.answer_tools
    if test is None:
        return
    for name in names:
        if not test(name):
            error = ToolDenied(f"the answer calls the tool `{name}`, which the role may not use")
            decision.refuse("rbac", Stage.PRE_RESPONSE, error)
            raise error
    if names:
        decision.note("rbac", Stage.PRE_RESPONSE, Verdict.ALLOW, "the answer calls permitted tools only")


def _again(write: Callable[..., bytes], *what: object) -> bytes:
    """What was read, written anew. More can be read than written: an upstream may nest its answer too deeply."""
    try:
        return write(*what)
    except TypeError as error:
        raise UpstreamUnavailable(f"the upstream's answer can't be written again: {error}") from None


def _object(data: bytes) -> dict[str, object]:
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise UpstreamUnavailable("the upstream's answer is not a JSON object")
    return parsed
