"""Slots of a llama.cpp server, each lent to one tenant at a time.

A slot remembers the prompt it worked on last, and whoever is sent there next with the same prefix skips that work.
llama.cpp gives a request without a slot to the one with the longest common prefix, whoever filled it (LESSONS C1, C21).

Promises: a request reuses a slot's memory only when everything that the slot worked on since it was last overwritten is
of the same tenant. The first request after a change of hands reuses nothing, and until such a request was answered to
its end, none does. A slot in which a request broke off, so that the server may still work on it, doesn't change hands
for `DOUBT_SECONDS`. Nothing is reused before the server was proved (`slot_proof`), nor in the last slot, which serves
every tenant that has no other.

Doesn't promise: anything about a server that others use as well, and so could put a foreign prompt into a slot. Slots
are finite: a neighbour's work can cost a tenant its place, which makes its next answer slower and tells it that the
platform is busy.

State is in memory and a process's own: no two processes may have the same slots.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

import orjson

from partywall.errors import BadRequest
from partywall.tenancy import TenantId
from partywall.upstream.providers.base import Body

__all__ = ["DOUBT_SECONDS", "Lease", "SlotTable"]

DOUBT_SECONDS: Final = 900.0
"""Longer than a server with the usual time-outs keeps a request whose client has hung up."""
_PIECE_BYTES: Final = 128
_MOST_PIECES: Final = 512
_PROMPT: Final = ("tools", "instructions", "messages", "input", "prompt")


@dataclass(slots=True, eq=False)
class _Slot:
    id: int
    owner: TenantId | None = None
    clean: bool = False
    """All that it holds is the owner's."""
    busy: bool = False
    doubted_until: float = 0.0
    used: float = 0.0
    pieces: tuple[int, ...] = field(default=(), repr=False)
    """What it worked on last, as hashes of this process's own: enough to tell conversations of its owner apart."""


@dataclass(slots=True, eq=False)
class Lease:
    """A request's place. Whoever took it ends it, once, with `answered`, `refused` or `lost`."""

    slot_id: int
    reuses: bool
    _slot: _Slot | None
    _clock: Callable[[], float]

    def pin(self, body: Body) -> None:
        """Send `body` to this place."""
        body["id_slot"] = self.slot_id
        body["cache_prompt"] = self.reuses

    def answered(self) -> None:
        """The whole answer has come: the slot holds nothing but this tenant's."""
        if (slot := self._end()) is not None:
            slot.clean = True

    def refused(self) -> None:
        """The server has answered otherwise, and works on it no more."""
        self._end()

    def lost(self) -> None:
        """The request broke off: the server may still begin to work on it, or go on."""
        if (slot := self._end()) is not None:
            slot.doubted_until = self._clock() + DOUBT_SECONDS

    def _end(self) -> _Slot | None:
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.busy, slot.used = False, self._clock()
        return slot


class SlotTable:
    """Who holds which slot of one server. `slot_ids` are the document's; the last is everybody's."""

    __slots__ = ("_clock", "_common", "_slots", "is_proved")

    def __init__(
        self, slot_ids: Sequence[int], *, is_doubted: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`is_doubted` says that the server may still work on requests that this table doesn't know of."""
        *own, self._common = slot_ids
        until = clock() + DOUBT_SECONDS if is_doubted else 0.0
        self._slots = [_Slot(slot_id, doubted_until=until) for slot_id in own]
        self._clock = clock
        self.is_proved = False
        """Whether the server keeps slots apart. Until then every request goes to the last slot, and reuses nothing."""

    @property
    def slot_ids(self) -> tuple[int, ...]:
        """The slots that it was made of."""
        return (*(slot.id for slot in self._slots), self._common)

    def doubt_the_server(self) -> None:
        """It may have been replaced by one that was started otherwise: nothing holds until it is proved again."""
        self.is_proved = False
        for slot in self._slots:
            slot.clean = False

    def take(self, tenant: TenantId, body: Body) -> Lease:
        """A place for one request of `tenant`'s.

        Raises:
            BadRequest: it asks for several answers, for which the server would take slots of other tenants.
        """
        if body.get("n", 1) not in (None, 1):
            raise BadRequest("several choices of a pinned slot", public_message="`n` must be 1 for this model.")
        pieces = _pieces(body)
        slot = self._choose(tenant, pieces) if self.is_proved else None
        if slot is None:
            return Lease(self._common, reuses=False, _slot=None, _clock=self._clock)
        if slot.owner != tenant:
            slot.owner, slot.clean = tenant, False
        # INVARIANT: `clean` was set by an answer that this tenant got to its end, with no other tenant since.
        slot.busy, slot.pieces = True, pieces
        return Lease(slot.id, reuses=slot.clean, _slot=slot, _clock=self._clock)

    def _choose(self, tenant: TenantId, pieces: tuple[int, ...]) -> _Slot | None:
        now = self._clock()
        idle = [slot for slot in self._slots if not slot.busy]
        own = [slot for slot in idle if slot.owner == tenant]
        best = max(own, key=lambda slot: (_common(slot.pieces, pieces), -slot.used), default=None)
        if best is not None and 2 * _common(best.pieces, pieces) >= len(best.pieces):
            return best  # a conversation goes on
        fresh = next((slot for slot in idle if slot.owner is None and slot.doubted_until <= now), None)
        if fresh is not None or best is not None:
            return fresh or best
        return self._taken_over(tenant, idle)

    def _taken_over(self, tenant: TenantId, idle: list[_Slot]) -> _Slot | None:
        """Another's slot, for a tenant that has none: of those who hold most, the one that lay idle longest."""
        if any(slot.owner == tenant for slot in self._slots):
            return None
        now = self._clock()
        held = [slot.owner for slot in self._slots]
        free = [slot for slot in idle if slot.doubted_until <= now]
        return min(free, key=lambda slot: (-held.count(slot.owner), slot.used), default=None)


def _pieces(body: Body) -> tuple[int, ...]:
    prompt = orjson.dumps([body.get(name) for name in _PROMPT])[: _PIECE_BYTES * _MOST_PIECES]
    return tuple(hash(prompt[at : at + _PIECE_BYTES]) for at in range(0, len(prompt), _PIECE_BYTES))


def _common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """How many pieces two prompts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
