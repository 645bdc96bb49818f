"""Looking for what is another tenant's: passages and canaries, in one pass over a text or a stream.

    scanner = LeakScanner(printer, table, canaries)
    leaks = scanner.scan(tenant, text)                    # a whole text
    stream = scanner.stream(tenant)                       # feed(delta), end(); .leaks
    redacted = scanner.remove(tenant, text)               # the text without them

Promises: a stream comes to the leaks of the whole text, however it is cut, and releases no character of one. It holds
back the last 39 normalised characters (some 50 of prose), and up to 104 while what looks like a canary is coming: that
is all the added delay. A canary of the tenant's own is no leak.

Doesn't promise: to release characters before a passage's first chosen run in time to know that they belong to it: a
leak begins at most eight characters into the passage. Nor to hold for ever: see `HELD_MOST`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from partywall.detection.canaries import SEEN, Canaries
from partywall.detection.fingerprints.printing import Printer
from partywall.detection.fingerprints.table import FingerprintTable
from partywall.detection.fingerprints.winnowing import WINDOW
from partywall.detection.grams import LONG
from partywall.detection.normal import Codes, codes_of, places_of
from partywall.errors import LeakBlocked
from partywall.tenancy import TenantId

__all__ = ["HELD_MOST", "REMOVED", "Leak", "LeakScanner", "LeakStream", "Removed"]

HELD_MOST: Final = 65_536
"""Characters that a stream may hold. Only one with next to no letters or digits in it gets there; it is refused."""
REMOVED: Final = "[REMOVED]"
_BEFORE: Final = WINDOW - 1
_UNDECIDED: Final = LONG - 1 + WINDOW - 1


class Leak(NamedTuple):
    """Something of `owner`'s, and where. `surface` says where a canary was planted; it is empty for a passage."""

    owner: TenantId
    surface: str
    start: int
    end: int


class Removed(NamedTuple):
    """A text without its leaks, and where they were."""

    text: str
    leaks: list[Leak]


class _Look(NamedTuple):
    """Leaks by normalised characters, and up to where they are certain."""

    found: list[tuple[int, int, TenantId, str]]
    settled: int


class LeakScanner:
    """A deployment's fingerprints and canaries. Shared by all requests; the table may grow under it."""

    __slots__ = ("_canaries", "_printer", "_table")

    def __init__(self, printer: Printer, table: FingerprintTable, canaries: Canaries | None = None) -> None:
        self._printer = printer
        self._table = table
        self._canaries = canaries if canaries is not None else Canaries(printer.grams, ())

    def scan(self, tenant: TenantId, text: str) -> list[Leak]:
        """Everything in `text` that is another tenant's."""
        return self.remove(tenant, text).leaks

    def remove(self, tenant: TenantId, text: str) -> Removed:
        """`text` with `REMOVED` in the place of each leak."""
        stream = self.stream(tenant)
        return Removed(stream.end(text), stream.leaks)

    def stream(self, tenant: TenantId) -> LeakStream:
        """For one stream of text to `tenant`."""
        return LeakStream(self, tenant)

    def look(self, tenant: TenantId, codes: Codes, first: int, *, is_whole: bool) -> _Look:
        """The leaks that begin at `first` or behind it. What comes before it is there for its neighbours' sake."""
        runs = self._printer.grams.of(codes)
        settled = len(codes) if is_whole else max(first, len(codes) - _UNDECIDED)
        found: list[tuple[int, int, TenantId, str]] = []
        for start, end, canary, is_open in self._canaries.find(codes, runs.short):
            if canary.owner == tenant or start < first:
                continue
            if is_open and not is_whole:
                settled = min(settled, start)
            elif end - start >= SEEN:
                found.append((start, end, canary.owner, canary.surface))
        prints = self._printer.of_hashes(runs.long)
        for index, owner in self._table.foreign(tenant, prints.values):
            start = int(prints.places[index])
            if start >= first:
                found.append((start, start + LONG, owner, ""))
        return _Look(sorted(each for each in found if each[0] < settled), settled)


class LeakStream:
    """One stream. `leaks` grows as they become certain; offsets count the characters that were fed."""

    __slots__ = ("_base", "_before", "_behind", "_held", "_scanner", "_tenant", "leaks")

    def __init__(self, scanner: LeakScanner, tenant: TenantId) -> None:
        self._scanner = scanner
        self._tenant = tenant
        self._held = ""
        self._before: Codes = np.empty(0, np.uint8)
        self._behind = 0
        self._base = 0
        self.leaks: list[Leak] = []

    def feed(self, delta: str) -> str:
        """What may go out now. Raises LeakBlocked when more would have to be held than `HELD_MOST` characters."""
        self._held += delta
        released = self._release(is_whole=False)
        if len(self._held) > HELD_MOST:
            raise LeakBlocked(f"a stream left more than {HELD_MOST} characters undecided")
        return released

    def end(self, last: str = "") -> str:
        """What is left to go out, with `last` before the end."""
        self._held += last
        return self._release(is_whole=True)

    def _release(self, *, is_whole: bool) -> str:
        codes, first = codes_of(self._held), len(self._before)
        if first:
            codes = np.concatenate((self._before, codes))
        look = self._scanner.look(self._tenant, codes, first, is_whole=is_whole)
        if is_whole and not look.found:
            return self._held[max(0, self._behind - self._base) :]
        places = places_of(self._held)
        settled, until = _whole_character(places, look.settled - first, len(self._held))
        found = [each for each in look.found if each[0] - first < settled]
        released = self._without(found, first, places, until)
        self._before = codes[max(0, first + settled - _BEFORE) : first + settled]
        self._held = self._held[until:]
        self._base += until
        return released

    def _without(
        self, found: list[tuple[int, int, TenantId, str]], first: int, places: NDArray[np.int64], until: int
    ) -> str:
        pieces: list[str] = []
        place = max(0, self._behind - self._base)
        for start, end, owner, surface in found:
            begin, stop = int(places[start - first]), int(places[end - first - 1]) + 1
            leak = Leak(owner, surface, self._base + begin, self._base + stop)
            if not self._joins(leak):
                pieces += self._held[place:begin], REMOVED
            place = max(place, stop)
            self._behind = max(self._behind, leak.end)
        pieces.append(self._held[place:until])
        return "".join(pieces)

    def _joins(self, leak: Leak) -> bool:
        """Whether it goes on where the last one is; the last one is made longer if both are of one kind."""
        if not self.leaks or leak.start > self._behind or self._behind == 0:
            self.leaks.append(leak)
            return False
        last = self.leaks[-1]
        if (last.owner, last.surface) == (leak.owner, leak.surface):
            self.leaks[-1] = last._replace(end=max(last.end, leak.end))
        else:
            self.leaks.append(leak)
        return True


def _whole_character(places: NDArray[np.int64], settled: int, length: int) -> tuple[int, int]:
    """Back to the first of the normalised characters that come from one character; and its place in the text."""
    if settled >= len(places):
        return len(places), length
    until = int(places[settled])
    return int(np.searchsorted(places, until)), until
