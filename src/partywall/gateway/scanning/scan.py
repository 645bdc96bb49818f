"""One exchange's scan: the request before it leaves, the answer before it is released.

Promises: the decision says `pii-detector` for a side after that side was scanned, with kinds and counts and no value;
a scanner that fails refuses and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from partywall.config.routing import Stage
from partywall.errors import Denied, PartywallError, ScannerUnavailable
from partywall.gateway.exchange import Exchange
from partywall.gateway.scanning.blocks import BlocksScan
from partywall.gateway.scanning.channels import Event, EventScan
from partywall.gateway.scanning.choices import ChoicesScan
from partywall.gateway.scanning.items import ItemsScan
from partywall.gateway.scanning.places import Walk, refuse_tokens
from partywall.gateway.scanning.texts import Texts
from partywall.gateway.scanning.threads import ScanThreads
from partywall.gateway.wire import Api, JsonObject
from partywall.gateway.wire.shapes import malformed
from partywall.policy import Decision
from partywall.tenancy import TenantScope
from partywall.trail import Verdict

if TYPE_CHECKING:
    from partywall.platform.salts import Salter
    from partywall.platform.scanned import Scanned

__all__ = ["Scan", "scan_request"]

_KIND: Final = "pii-detector"
_MARKERS: Final = "pii-marker"


class Scan:
    """The scan of one answer."""

    __slots__ = ("_decision", "_events", "_has_ended", "_scope", "_texts", "_threads")

    def __init__(self, scope: TenantScope, threads: ScanThreads, api: Api, decision: Decision, texts: Texts) -> None:
        self._scope = scope
        self._threads = threads
        self._decision = decision
        self._texts = texts
        self._events = _events_of(api, texts)
        self._has_ended = False

    async def whole(self, answer: JsonObject, *, size: int) -> JsonObject:
        """The whole answer, which has so many bytes, as it may go out.

        Raises:
            PiiBlocked: it holds what the document blocks.
            ScannerUnavailable: it can't be scanned.
        """
        with _refusing(self._decision, Stage.PRE_RESPONSE):
            walk = partial(Walk(self._texts, is_answer=True).value, "", answer)
            made = await self._threads.run(self._scope, size, walk)
            self._texts.settle()
        self.ended()
        return made if isinstance(made, dict) else answer

    def event(self, name: bytes, event: JsonObject) -> list[Event]:
        """What may go out now that `event` of a stream has come. Raises as `whole`; nothing of a finding went out."""
        with _refusing(self._decision, Stage.PRE_RESPONSE):
            out = self._events.event(name, event)
            self._texts.settle()
        return out

    def finish(self) -> list[Event]:
        """What is left to go out before the end of a stream. Raises as `whole`."""
        with _refusing(self._decision, Stage.PRE_RESPONSE):
            out = self._events.finish()
            self._texts.settle()
        return out

    def ended(self) -> None:
        """The answer has gone out to its end: say what was found."""
        if not self._has_ended:
            self._has_ended = True
            _note(self._decision, Stage.PRE_RESPONSE, self._texts)

    def broke_off(self) -> None:
        """The stream ended before its end: say what was found in what came of it."""
        if not self._has_ended and self._texts.found:
            self._has_ended = True
            _note(self._decision, Stage.PRE_RESPONSE, self._texts, ", up to where the stream broke off")


async def scan_request(
    scope: TenantScope,
    exchange: Exchange,
    threads: ScanThreads,
    scanned: Scanned,
    salter: Salter,
    api: Api,
    body: JsonObject,
    *,
    size: int,
) -> Scan | None:
    """Scan `body`, as it will leave, and return what scans the answer; None when that isn't asked for.

    The top level of `body` is changed; what is nested is replaced, never altered. `size` is that of the body in bytes.

    Raises:
        PiiBlocked: it holds what the document blocks, or where nothing can be put in its place.
        BadRequest: it is made of tokens, or nested too deeply.
        ScannerUnavailable: it can't be scanned.
    """
    decision = exchange.decision
    if decision is None:
        raise ScannerUnavailable("nothing was decided about the request")
    if not decision.scans_request and not decision.scans_answer:
        return None
    key = salter.salt(_MARKERS, scope.tenant).encode()
    restores_from = None
    if decision.scans_request:
        asked = scanned.requests.request(key)
        restores_from = asked if scanned.requests.restores else None
        texts = Texts("request", scanned.requests, asked, None)
        with _refusing(decision, Stage.PRE_REQUEST):
            await threads.run(scope, size, partial(_scan_body, api, body, texts))
        _note(decision, Stage.PRE_REQUEST, texts)
        exchange.decided(decision)
    if api is Api.EMBEDDINGS or not (decision.scans_answer or restores_from):
        return None  # vectors are no texts
    redaction = scanned.answers.request(key) if decision.scans_answer else None
    return Scan(scope, threads, api, decision, Texts("answer", scanned.answers, redaction, restores_from))


def _scan_body(api: Api, body: JsonObject, texts: Texts) -> None:
    if api in (Api.COMPLETIONS, Api.EMBEDDINGS, Api.CHAT, Api.RESPONSES, Api.MESSAGES):
        refuse_tokens(body)
    scanned = Walk(texts, is_answer=False).value("", body)
    texts.settle()
    if isinstance(scanned, dict):
        body.update(scanned)


def _events_of(api: Api, texts: Texts) -> EventScan:
    if api is Api.RESPONSES:
        return ItemsScan(texts)
    return BlocksScan(texts) if api is Api.MESSAGES else ChoicesScan(texts)


def _note(decision: Decision, stage: Stage, texts: Texts, more: str = "") -> None:
    if not texts.scans:
        return
    verdict = Verdict.REDACT if texts.found else Verdict.ALLOW
    decision.note(_KIND, stage, verdict, f"scanned the {texts.side}: {texts.told()}{more}")


@contextmanager
def _refusing(decision: Decision, stage: Stage) -> Iterator[None]:
    try:
        yield
    except Denied as error:
        decision.refuse(_KIND, stage, error)
        raise
    except PartywallError:
        raise
    except RecursionError:
        if stage is Stage.PRE_REQUEST:
            raise malformed("it is nested too deeply") from None
        raise ScannerUnavailable("it is nested too deeply to be scanned") from None
    except Exception as error:  # in order to refuse: nothing that wasn't scanned goes on
        failure = ScannerUnavailable(f"the scanner failed: {type(error).__name__}")
        decision.refuse(_KIND, stage, failure)
        raise failure from error
