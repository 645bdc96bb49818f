"""The cache of answers behind its three walls.

Promises: an answer is found by a scope, in the partition of its tenant, under a keyed hash of that tenant's; it is
sealed with the tenant's key for that place, and says inside whose it is, where it lies and until when it counts. What
doesn't open, or says otherwise, is reported and counts as none. Words are compared only with those of the same
partition, and never by their vectors alone (`guards`).

Doesn't promise: to keep anything; nor that two users of one tenant don't share answers, unless the document says so.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from partywall.errors import BrokenSeal, KeyUnavailable, PartywallError, SealBroken, StoreUnavailable
from partywall.stores.alarms import OnAlarm, Wall, WallAlarm
from partywall.stores.backends.values import ValuePartition
from partywall.stores.caching.guards import alike
from partywall.stores.caching.patience import Patience
from partywall.stores.caching.question import Groups, Names, Question, names_of
from partywall.stores.documents.embedding import Embedder, EmbedderOf, checked
from partywall.stores.fields import Clock
from partywall.stores.records import Home, decode, encode
from partywall.stores.walls import Cryptography, ValuePlacement, Verification, authorise
from partywall.tenancy import TenantScope

if TYPE_CHECKING:
    from partywall.stores.documents.embedding import Vectors

__all__ = ["CacheRule", "KeptAnswer", "Place", "ResponseCache"]

_ANSWER: Final = "answer"
_HINT: Final = "hint"
_LONGEST_WORDS: Final = 2000
"""Longer ones aren't compared: what one vector says of them is too little."""


class CacheRule(NamedTuple):
    """How a tenant's answers are kept."""

    semantic: bool
    """Whether a question that is only alike counts."""
    ttl_seconds: float
    threshold: float
    per_user: bool
    largest_answer_bytes: int
    candidates: int
    """How many of the questions asked last are compared."""


class KeptAnswer(NamedTuple):
    """An answer as its upstream gave it."""

    streamed: bool
    text: str
    """The body; or all of the stream's events."""
    age_seconds: float = 0.0
    exact: bool = True


@dataclass(slots=True)
class Place:
    """Where the answer to one question lies, or would lie."""

    names: Names
    words: str
    embedder: Embedder | None
    """None when only equals match."""
    vector: Vectors | None = None


class ResponseCache:
    """Every tenant's answers. Each call raises StoreUnavailable or KeyUnavailable when they can't be had now."""

    def __init__(
        self,
        placement: ValuePlacement,
        cryptography: Cryptography,
        verification: Verification,
        on_alarm: OnAlarm,
        clock: Clock,
    ) -> None:
        self._placement = placement
        self._cryptography = cryptography
        self._verification = verification
        self._on_alarm = on_alarm
        self._clock = clock
        self._embedder_of: EmbedderOf | None = None
        self._groups = Groups()
        self._patience = Patience()

    @property
    def is_passed_by(self) -> bool:
        """Whether the engine was too slow just now, so that nobody is to wait for it."""
        return self._patience.is_over

    def embed_with(self, embedder_of: EmbedderOf) -> None:
        """Compare words with these models. Before that, only equals match."""
        self._embedder_of = embedder_of

    async def place(self, scope: TenantScope, question: Question, rule: CacheRule) -> Place:
        """Where the answer to the question lies, by this rule."""
        embedder = None
        comparable = question.rest is not None and 0 < len(question.words) <= _LONGEST_WORDS
        if rule.semantic and comparable and self._embedder_of is not None:
            try:
                embedder = self._embedder_of(authorise(scope))
            except PartywallError as error:
                raise StoreUnavailable(f"nothing compares words: {error}") from error
        model = None if embedder is None else f"{embedder.name}/{embedder.dimensions}"
        names = await names_of(self._cryptography, authorise(scope), question, model, self._groups)
        return Place(names, question.words, embedder)

    async def find(
        self, scope: TenantScope, place: Place, rule: CacheRule, *, oldest_seconds: float = math.inf
    ) -> KeptAnswer | None:
        """The answer that lies there, or one to a question that is alike, if it isn't older than so many seconds."""
        partition = self._placement.partition(scope)
        oldest = min(oldest_seconds, rule.ttl_seconds)
        found = await self._answer(scope, partition, place.names.group, place.names.answer, oldest)
        if found is None and place.embedder is not None:
            found = await self._like_it(scope, partition, place, place.embedder, rule, oldest)
        return found

    async def keep(self, scope: TenantScope, place: Place, rule: CacheRule, answer: KeptAnswer) -> None:
        """Keep an answer for as long as the rule says."""
        now = self._clock()
        until = now + rule.ttl_seconds
        vector = None if place.embedder is None else await self._vector(scope, place, place.embedder)
        names = place.names
        await self._put(scope, _ANSWER, names.answer, place, rule, [answer.streamed, answer.text, now, until])
        if vector is not None:
            packed = base64.b64encode(vector.tobytes()).decode()
            hint = [place.words, packed, names.answer.hex(), until]
            await self._put(scope, _HINT, names.hint, place, rule, hint)

    async def erase(self, scope: TenantScope) -> int:
        """Forget everything of the scope's tenant; returns how much there was."""
        return await self._placement.partition(authorise(scope)).delete_all()

    # -- Steps ---

    async def _put(
        self, scope: TenantScope, purpose: str, key: bytes, place: Place, rule: CacheRule, body: object
    ) -> None:
        group = place.names.group
        home = self._home(scope, purpose, group, key)
        sealed = await self._cryptography.seal(scope, home, encode(home, purpose, body))
        listed = group if purpose == _HINT else None
        await self._patience.of(
            self._placement.partition(scope).put(key, sealed, ttl_seconds=rule.ttl_seconds, group=listed)
        )

    async def _answer(
        self, scope: TenantScope, partition: ValuePartition, group: bytes, key: bytes, oldest: float
    ) -> KeptAnswer | None:
        sealed = await self._patience.of(partition.get(key))
        body = None if sealed is None else await self._admit(scope, _ANSWER, group, key, sealed)
        match body:
            case [bool(streamed), str(text), float(made), float(until)]:
                now = self._clock()
                # INVARIANT: the engine may forget its clock; what is inside says when it is over.
                if now < until and 0.0 <= now - made <= oldest:
                    return KeptAnswer(streamed, text, now - made)
        return None

    async def _like_it(
        self,
        scope: TenantScope,
        partition: ValuePartition,
        place: Place,
        embedder: Embedder,
        rule: CacheRule,
        oldest: float,
    ) -> KeptAnswer | None:
        vector = await self._vector(scope, place, embedder)
        best, best_score = None, rule.threshold
        members = await self._patience.of(partition.members(place.names.group, limit=rule.candidates))
        for key, sealed in members:
            match await self._admit(scope, _HINT, place.names.group, key, sealed):
                case [str(words), str(packed), str(answer), float(until)] if self._clock() < until:
                    score = _product(vector, packed)
                    if score >= best_score and alike(words, place.words):
                        best, best_score = answer, score
        if best is None:
            return None
        found = await self._answer(scope, partition, place.names.group, bytes.fromhex(best), oldest)
        return None if found is None else found._replace(exact=False)

    async def _vector(self, scope: TenantScope, place: Place, embedder: Embedder) -> Vectors:
        if place.vector is None:
            place.vector = (await self._embed(scope, embedder, [place.words]))[0]
        return place.vector

    async def _embed(self, scope: TenantScope, embedder: Embedder, texts: Sequence[str]) -> Vectors:
        try:
            return await checked(embedder, scope, texts)
        except (StoreUnavailable, KeyUnavailable):
            raise
        except PartywallError as error:
            raise StoreUnavailable(f"nothing compares words: {error}") from error

    async def _admit(self, scope: TenantScope, purpose: str, group: bytes, key: bytes, sealed: bytes) -> object:
        """What lies there, opened and verified; None, and an alarm, when it isn't this tenant's or not from there."""
        home = self._home(scope, purpose, group, key)
        try:
            plaintext = await self._cryptography.open(scope, home, sealed)
        except SealBroken as error:
            if error.reason is BrokenSeal.WRAPPED_KEY:
                raise KeyUnavailable(f"the key of `{scope.tenant}` itself is not what was wrapped") from error
            if error.reason is not BrokenSeal.VERSION_REFUSED:
                self._alarm(scope, Wall.CRYPTOGRAPHY, purpose, error.reason.value)
            return None
        try:
            said, record = decode(plaintext)
        except ValueError:
            self._alarm(scope, Wall.VERIFICATION, purpose, "what is sealed is no record")
            return None
        if not self._verification.accepts(home, said):
            self._alarm(scope, Wall.VERIFICATION, purpose, "the record belongs elsewhere")
            return None
        return record.body

    def _home(self, scope: TenantScope, purpose: str, group: bytes, key: bytes) -> Home:
        return Home(authorise(scope).tenant, self._cryptography.store, purpose, group, key, 1)

    def _alarm(self, scope: TenantScope, wall: Wall, purpose: str, reason: str) -> None:
        self._on_alarm(WallAlarm(wall, scope.tenant, self._cryptography.store, purpose, reason))


def _product(vector: Vectors, packed: str) -> float:
    """Of the two vectors; below everything when they aren't of one length."""
    import numpy as np  # noqa: PLC0415 - of the extra `documents`; whoever has an embedder has it

    try:
        other = np.frombuffer(base64.b64decode(packed, validate=True), dtype=np.float32)
    except (binascii.Error, ValueError):
        return -math.inf
    return float(vector @ other) if other.shape == vector.shape else -math.inf
