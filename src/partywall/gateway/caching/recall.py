"""Step 7's other half: what the tenant was answered before, or the upstream's answer, to be kept when it has ended.

Promises: a cache that can't be asked is no reason to refuse, nor to wait for long: the request goes on, and its record
says why nothing was found. What was decided about the request stands before anything is looked up, and a kept answer
passes everything that an upstream's does. Kept is only what its client was given to the end, by the target that comes
first.

Doesn't promise: to ask an upstream once for two equal requests that come at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence

from partywall.config.routing import Stage
from partywall.errors import PartywallError
from partywall.gateway.answer import Answer
from partywall.gateway.caching.answers import Keeping, Replayed
from partywall.gateway.caching.asking import circumstances_of, question_of
from partywall.gateway.caching.wishes import Wishes, wishes_of
from partywall.gateway.caching.worth import CACHED_APIS, may_be_kept
from partywall.gateway.context.asked import Asked
from partywall.gateway.exchange import Exchange
from partywall.gateway.wire import JsonObject, Wire
from partywall.policy import Decision, TargetRule
from partywall.stores import Stores
from partywall.stores.caching import CacheRule, KeptAnswer, Place, ResponseCache
from partywall.tenancy import TenantScope
from partywall.trail import Verdict
from partywall.upstream.targets import Upstream

__all__ = ["Recall", "recall"]


class Recall:
    """What the cache has for one request, and what it will keep of it."""

    __slots__ = ("_cache", "_decision", "_keeping", "_place", "_rule", "_scope", "_wire", "answer")

    def __init__(self, scope: TenantScope, wire: Wire, decision: Decision) -> None:
        self._scope = scope
        self._wire = wire
        self._decision = decision
        self._cache: ResponseCache | None = None
        self._place: Place | None = None
        self._rule: CacheRule | None = None
        self._keeping: Keeping | None = None
        self.answer: Answer | None = None
        """The one that was found."""

    def of_upstream(self, answer: Answer, *, first: bool) -> Answer:
        """The upstream's answer, noted while it is read. `first` says whether the first of the targets gave it."""
        if self._place is None or self._rule is None or not first:
            return answer
        self._keeping = Keeping(answer, self._rule.largest_answer_bytes)
        return self._keeping

    async def keep(self) -> None:
        """Its client has the answer: keep it, if it may be given again."""
        keeping, cache, place, rule = self._keeping, self._cache, self._place, self._rule
        if keeping is None or cache is None or place is None or rule is None:
            return
        if cache.is_passed_by:
            self.note("not kept: the cache doesn't answer")
            return
        body = keeping.body()
        if body is None or not may_be_kept(self._wire, body, streamed=keeping.streamed):
            return
        try:
            await cache.keep(self._scope, place, rule, KeptAnswer(keeping.streamed, body.decode()))
        except UnicodeDecodeError:
            return
        except (PartywallError, ValueError) as error:  # whatever it is: the answer is out, and nothing hangs on this
            self.note(f"not kept: {type(error).__name__}")

    async def find(self, cache: ResponseCache, rule: CacheRule, place: Place, wishes: Wishes) -> None:
        """Look it up."""
        found = None
        if wishes.find:
            found = await cache.find(self._scope, place, rule, oldest_seconds=wishes.oldest_seconds)
        if found is not None:
            self.answer = Replayed(found)
            self.note(f"{'hit-exact' if found.exact else 'hit-semantic'}: {found.age_seconds:.0f} s old")
            return
        self.note("miss" if wishes.find else "bypass: the client wants a new answer")
        if wishes.keep:
            self._cache, self._rule, self._place = cache, rule, place

    def note(self, said: str) -> None:
        """Put it on record."""
        self._decision.note("cache", Stage.PRE_RESPONSE, Verdict.ALLOW, said)


async def recall(
    scope: TenantScope,
    exchange: Exchange,
    stores: Stores | None,
    wire: Wire,
    body: JsonObject,
    asked: Asked | None,
    decision: Decision,
    targets: Sequence[tuple[TargetRule, Upstream]],
) -> Recall | None:
    """What the tenant's cache has for the request; None when it has none, or answers of this API aren't kept."""
    rule = exchange.serving.snapshot.cached.rule_of(scope.tenant)
    if rule is None or stores is None or wire.api not in CACHED_APIS:
        return None
    recalled = Recall(scope, wire, decision)
    wishes = wishes_of(exchange.request.header_map)
    if asked is not None and (asked.keeps or asked.conversation is not None or asked.previous is not None):
        recalled.note("bypass: the answer is part of what is stored")
        return recalled
    if not wishes.find and not wishes.keep:
        recalled.note("bypass: the client wants none")
        return recalled
    if stores.cache.is_passed_by:
        recalled.note("bypass: the cache doesn't answer")
        return recalled
    circumstances = circumstances_of(scope, exchange, wire.api, str(body["model"]), targets, per_user=rule.per_user)
    # What was searched for belongs to these words alone.
    question = question_of(wire.api, body, circumstances, compares=rule.semantic and asked is None)
    if question is None:
        return recalled
    try:
        place = await stores.cache.place(scope, question, rule)
        await recalled.find(stores.cache, rule, place, wishes)
    except PartywallError as error:  # whatever it is: nothing is decided here, so that it is a miss
        recalled.note(f"miss: {type(error).__name__}")
    return recalled
