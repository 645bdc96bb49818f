"""One request, top to bottom: from the client's bytes to the tenant's answer or the refusal.

Promises: no step is skipped and none runs out of order; nothing of a request reaches an upstream before its tenant is
verified, its policies have run and its decision is on disk; whatever is refused leaves a record that says why.

Read `Pipeline.handle` first. Each step is one call into one room.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Final

from partywall.config.routing import Stage
from partywall.errors import MethodNotAllowed, ModelDenied, NotFound, PartywallError, TrailUnavailable
from partywall.gateway.answer import Answer
from partywall.gateway.caching import Recall, recall
from partywall.gateway.context.asked import FILE_SEARCH, Asked
from partywall.gateway.context.composing import compose
from partywall.gateway.context.instructions import instruct
from partywall.gateway.context.turn import InstructedTurn, Turn
from partywall.gateway.endpoints import Act, Endpoint, Guard, find
from partywall.gateway.exchange import Exchange
from partywall.gateway.faces import answer_call, read_call
from partywall.gateway.forward import Forwarder, pairs
from partywall.gateway.http import ClientGone, header_lines
from partywall.gateway.inspect import inspect_body, inspect_query, tenant_hints
from partywall.gateway.models import model_answer
from partywall.gateway.relay import relay, tenant_lines
from partywall.gateway.scanning import ScanThreads, scan_request
from partywall.gateway.wire import WIRES, Api, JsonObject, Wire
from partywall.gateway.wire.streaming import ask_for_usage
from partywall.platform import Platform
from partywall.policy import Decision, Facts, RouteRule, TargetRule, decide, require
from partywall.tenancy import TenantId, TenantScope
from partywall.trail import Verdict
from partywall.upstream.providers import Salts
from partywall.upstream.targets import Upstream

__all__ = ["Pipeline"]

_MAX_SALTS: Final = 4096
_log = logging.getLogger("partywall.gateway")


class Pipeline:
    """The one way from a request to an answer. Every endpoint of a tenant's goes through `handle`."""

    def __init__(self, platform: Platform, forwarder: Forwarder) -> None:
        self._platform = platform
        self._forwarder = forwarder
        self._scan_threads = ScanThreads()
        self._made_salts: dict[TenantId, Salts] = {}

    def close(self) -> None:
        """Scan nothing more."""
        self._scan_threads.close()

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request. Never raises for what a client sent."""
        try:
            # 1. Who is calling, from the credential alone. 2. Where the path leads; what isn't listed is refused.
            place = _place_of_all(exchange)
            scope = self._known(exchange)
            if scope is None:
                scope = await self._authenticate(exchange)
            endpoint, api, path, route = place or _place_of(exchange, scope)
            # 3. What the client asks for, and what it says about itself.
            exchange.query = inspect_query(exchange.request)
            if endpoint.act is not None:
                await self._act(exchange, scope, route, endpoint, endpoint.act, api, path)
            elif api is Api.MODELS:
                await self._models(exchange, scope, route, path)
            else:
                await self._generate(exchange, scope, route, api, path)
        except PartywallError as error:
            await self._refuse(exchange, error)
        except ClientGone:
            await self._gone(exchange)
        except asyncio.CancelledError:
            if not exchange.request.was_left():
                raise
            await self._gone(exchange)
        except Exception as error:  # noqa: BLE001  # the edge: whatever it is, it refuses and the process lives
            _log.exception("request %s failed", exchange.id)
            await self._refuse(exchange, PartywallError(f"unexpected {type(error).__name__}"))

    def _known(self, exchange: Exchange) -> TenantScope | None:
        """The scope of credentials that were verified before, as they mostly were; None when `_authenticate` must."""
        request = exchange.request
        if not request.repeats_no_header:
            return None
        scope = exchange.serving.snapshot.authenticator.known(request.header_map)
        if scope is not None:
            exchange.identified(scope)
        return scope

    async def _authenticate(self, exchange: Exchange) -> TenantScope:
        scope = await exchange.serving.snapshot.authenticator.authenticate(exchange.request.headers)
        exchange.identified(scope)
        return scope

    async def _generate(
        self, exchange: Exchange, scope: TenantScope, route: RouteRule | None, api: Api, path: str
    ) -> None:
        serving, server, record = exchange.serving, exchange.serving.snapshot.server, exchange.record
        wire = WIRES[api]
        raw = exchange.request.body_at_once(limit_bytes=server.max_body_bytes)
        if raw is None:
            raw = await exchange.request.body(
                limit_bytes=server.max_body_bytes, timeout_seconds=server.body_timeout_seconds
            )
        stores = self._platform.stores_or_none
        body, stripped, facts, asked = inspect_body(
            raw, exchange.request, wire, path, exchange.query, stores=stores is not None
        )
        record.model, record.streamed = facts.model, body.get("stream") is True
        # 4. Policy: agreement, the effective chain, the targets that this tenant may use.
        decision = decide(serving.snapshot.rules, scope, route, facts)
        if stripped:
            decision.note("strip", Stage.PRE_REQUEST, Verdict.ALLOW, f"took out {', '.join(stripped)}")
        exchange.decided(decision)
        require(decision)
        if decision.tools is not None and decision.filters_tools:
            wire.filter_tools(body, decision.tools)
        targets = pairs(decision.targets, serving.upstreams, api)
        if not targets:
            raise ModelDenied(f"no target for the model speaks `{api}`")
        record.upstream = targets[0][1].id
        # 5. The context; and a scan of all that will leave, where the chain says so, which goes on with the answer.
        turn: Turn | None = None
        if asked is not None or serving.snapshot.instructions is not None:
            turn = await self._compose(exchange, scope, wire, body, asked, decision)
        scan = None
        if (scanned := serving.snapshot.scanned) is not None:
            size = len(raw) if asked is None else server.max_body_bytes
            scan = await scan_request(
                scope, exchange, self._scan_threads, scanned, self._platform.salter, api, body, size=size
            )
        # 6. No trail, no data: the decision is on disk before anything leaves for an upstream.
        if not record.admitted:
            await self._platform.trail.admit(record)
        # 7. What this tenant was answered before, if it has that kept; or the upstream, with its own credential and
        # this tenant's salts. Given up when the client hangs up.
        exchange.request.watch()
        hide_usage = ask_for_usage(api, body)
        recalled = await recall(scope, exchange, stores, wire, body, asked, decision, targets)
        answer = await self._ask(exchange, scope, api, body, targets, recalled)
        # 8. The answer, checked on its way out; and kept when all of it is out, if it may be given again.
        try:
            usage = await relay(exchange, wire, answer, decision, hide_usage=hide_usage, turn=turn, scan=scan)
        finally:
            answer.abort()
        if recalled is not None:
            exchange.request.unwatch()
            await recalled.keep()
        # 9. The record says how it ended.
        exchange.finish(200, "completed", usage)
        self._complete(exchange)

    async def _compose(
        self,
        exchange: Exchange,
        scope: TenantScope,
        wire: Wire,
        body: JsonObject,
        asked: Asked | None,
        decision: Decision,
    ) -> Turn | None:
        """What its tenant stored and the request goes on with, and the instructions that come first."""
        snapshot = exchange.serving.snapshot
        turn: Turn | None = None
        if asked is not None:
            # Step 6 comes first here: a question may go to a model that embeds it.
            await self._platform.trail.admit(exchange.record)
            exchange.request.watch()
            stores, limit = self._platform.stores_or_none, snapshot.server.max_body_bytes
            turn = await compose(scope, stores, wire, body, asked, decision, limit_bytes=limit)
            exchange.request.unwatch()
        if (instructions := snapshot.instructions) is not None:
            if turn is None and wire.api is Api.RESPONSES:
                turn = InstructedTurn(body.get("instructions"))
            prompts = self._platform.system_prompts if instructions.per_tenant else None
            await instruct(scope, instructions, prompts, wire, body, decision)
        exchange.record.policies = decision.results
        return turn

    async def _ask(
        self,
        exchange: Exchange,
        scope: TenantScope,
        api: Api,
        body: JsonObject,
        targets: Sequence[tuple[TargetRule, Upstream]],
        recalled: Recall | None,
    ) -> Answer:
        """The answer that was kept, or an upstream's."""
        if recalled is not None and recalled.answer is not None:
            return recalled.answer
        salts = self._made_salts.get(scope.tenant) or self._salts(scope.tenant)
        answer, used = await self._forwarder.send(scope, exchange, api, body, salts, targets)
        exchange.record.upstream = used
        return answer if recalled is None else recalled.of_upstream(answer, first=used == targets[0][1].id)

    def _salts(self, tenant: TenantId) -> Salts:
        made = self._platform.salter.salts_of(tenant)
        if len(self._made_salts) >= _MAX_SALTS:
            self._made_salts.clear()
        self._made_salts[tenant] = made
        return made

    async def _models(self, exchange: Exchange, scope: TenantScope, route: RouteRule | None, path: str) -> None:
        request, rules = exchange.request, exchange.serving.snapshot.rules
        hints = tenant_hints(exchange.query)
        facts = Facts(request.method, path, Api.MODELS, None, request.header_map, tenant_hints=hints)
        decision = decide(rules, scope, route, facts)
        exchange.decided(decision)
        require(decision)
        body = model_answer(rules, scope, route, path)
        exchange.finish(200, "completed")
        await self._platform.trail.admit(exchange.record)
        exchange.responder.whole(200, tenant_lines(exchange.id, b"application/json"), body)

    async def _act(
        self,
        exchange: Exchange,
        scope: TenantScope,
        route: RouteRule | None,
        endpoint: Endpoint,
        act: Act,
        api: Api,
        path: str,
    ) -> None:
        """Do something with what the tenant has stored. The steps are those of `_generate`, without an upstream."""
        request = exchange.request
        call = await read_call(exchange, scope, endpoint, api, path, self._platform)
        # 4. Policy.
        # Documents are reached through the tool that searches them, and by nobody who may not use it.
        tool = FILE_SEARCH if api in (Api.FILES, Api.VECTOR_STORES) else None
        hints = tuple(call.hints)
        facts = Facts(request.method, path, api, None, request.header_map, forced_tool=tool, tenant_hints=hints)
        decision = decide(exchange.serving.snapshot.rules, scope, route, facts)
        exchange.decided(decision)
        require(decision)
        # 6. No trail, no data.
        await self._platform.trail.admit(exchange.record)
        # 7. The store; given up when the client hangs up, with nothing half made. 8. The answer, this tenant's own.
        request.watch()
        told = await answer_call(act, call)
        decision.note("stores", Stage.PRE_RESPONSE, Verdict.ALLOW, told.done)
        exchange.responder.whole(200, tenant_lines(exchange.id, told.content_type), told.body)
        # 9. The record says how it ended.
        exchange.finish(200, "completed")
        self._complete(exchange)

    async def _refuse(self, exchange: Exchange, error: PartywallError) -> None:
        """Record the refusal, then tell the client; it is refused whether or not that can be recorded."""
        exchange.request.unwatch()
        await self._identify_for_the_record(exchange, error)
        exchange.refused(error)
        try:
            await self._record_end(exchange)
        except TrailUnavailable as unrecorded:
            _log.error("refusal %s could not be recorded: %s", exchange.id, unrecorded)
            error = unrecorded
        wire, responder = WIRES[_dialect(exchange)], exchange.responder
        if responder.started:
            await responder.end(wire.error_events(error, exchange.id))
        else:
            headers, body = wire.error_body(error, exchange.id)
            responder.whole(error.status, header_lines(headers), body)

    async def _identify_for_the_record(self, exchange: Exchange, error: PartywallError) -> None:
        """An unknown path is refused whoever asks; the record of it still goes to the tenant that it belongs to."""
        if exchange.scope is None and isinstance(error, NotFound | MethodNotAllowed):
            with contextlib.suppress(PartywallError):
                if self._known(exchange) is None:
                    await self._authenticate(exchange)

    async def _gone(self, exchange: Exchange) -> None:
        exchange.finish(499, "client_gone")
        with contextlib.suppress(TrailUnavailable):
            await self._record_end(exchange)

    async def _record_end(self, exchange: Exchange) -> None:
        """Write down how a request ended that may or may not have been admitted."""
        if exchange.record.admitted:
            self._complete(exchange)
        else:
            await self._platform.trail.admit(exchange.record)

    def _complete(self, exchange: Exchange) -> None:
        # Not awaited: the decision is on disk, and how it ended rides with the next commit. A failure makes the trail
        # unhealthy, and the tenant's next request is refused.
        self._platform.trail.complete(exchange.record)


_Place = tuple[Endpoint, Api, str, RouteRule | None]
"""A tenant's endpoint, its API and path, and the document's route that leads there."""


def _place_of_all(exchange: Exchange) -> _Place | None:
    """Where the path leads, if it leads everybody there."""
    if exchange.serving.snapshot.rules.routes:
        return None
    # The endpoints are the same for everybody, so an unknown path may be called unknown to anybody.
    path = exchange.request.path
    return *_endpoint(exchange, path), path, None


def _place_of(exchange: Exchange, scope: TenantScope) -> _Place:
    """Where the document's routes lead this tenant."""
    # Its paths may name tenants: without a credential each looks like any other, and with one, a route that leads this
    # tenant nowhere looks like no route.
    request, rules = exchange.request, exchange.serving.snapshot.rules
    route = rules.routes.match(
        request.method,
        request.path,
        request.header_map,
        lambda rule: rule.upstream is None or bool(rules.available(scope, rule)),
    )
    path = request.path if route is None else route.endpoint_path(request.path)
    exchange.record.route = None if route is None else route.name
    return *_endpoint(exchange, path), path, route


def _endpoint(exchange: Exchange, path: str) -> tuple[Endpoint, Api]:
    """The tenant's endpoint behind `path`; anything else is not found."""
    endpoint = find(exchange.request.method, path)
    if endpoint.guard is not Guard.TENANT or endpoint.api is None:
        raise NotFound(f"`{path}` is not a tenant's endpoint")
    exchange.api = endpoint.api
    exchange.record.endpoint = endpoint.act or endpoint.api
    return endpoint, endpoint.api


def _dialect(exchange: Exchange) -> Api:
    """In whose shape to refuse: the API's; the client's at no endpoint, and at the one that both clients use."""
    if exchange.api is not None and exchange.api is not Api.MODELS:
        return exchange.api
    return Api.MESSAGES if b"anthropic-version" in exchange.request.header_map else Api.CHAT
