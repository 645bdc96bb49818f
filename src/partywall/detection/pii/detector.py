"""Finding personal data and credentials in a text, whole or as it streams.

Promises: one pass of RE2 over the text says which patterns are in it at all (ADR 20); only those are looked at closely,
and only candidates are checked. Time is in proportion to the text, whatever stands in it. A finding depends on what
stands there and at most `NEIGHBOURS` bytes around it, so a stream comes to the findings of the whole text, and holds
back only what may still become one: mostly the word or number at the end, never more than `LONGEST` bytes.

Doesn't promise: to read what is encoded. JSON escapes, base64 and the like are the caller's to undo first. Of a match
of more than `LONGEST` bytes only that much is found.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import re2

from partywall.detection.pii.entities import Entity, Guard
from partywall.detection.pii.folding import Folded
from partywall.detection.pii.prefixes import begun
from partywall.detection.spans import Finding, settle

__all__ = ["LONGEST", "NEIGHBOURS", "Detector", "Look", "Seen"]

LONGEST: Final = 8_192
NEIGHBOURS: Final = 8
_BESIDE: Final = r"(?:[-._][0-9A-Za-z]?)?"
_LONG: Final = 256
"""From so many bytes on it is worth to look at the whole text before its candidates."""
_DIGITS: Final = b"0123456789"
_WORD: Final = _DIGITS + b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

_JOINTS: Final = np.isin(np.arange(256), list(b"-._/"))
_ARE_DIGITS: Final = np.isin(np.arange(256), list(_DIGITS))
_ARE_WORD: Final = np.isin(np.arange(256), list(_WORD))


class Seen(NamedTuple):
    """What a look at the next piece of a stream must know of what came before it."""

    before: bytes = b""
    """The last few bytes, folded."""
    behind: int = 0
    """So many characters of what comes belong to findings that were made already."""
    resume: tuple[tuple[int, int], ...] = ()
    """Patterns whose last match reaches so many bytes into what comes."""


NOTHING_SEEN: Final = Seen()


class Look(NamedTuple):
    """What is certain of a text whose end may not have come yet."""

    findings: list[Finding]
    settled: int
    """Up to here everything is known: no finding begins before it that isn't listed."""
    seen: Seen


class _Starts(NamedTuple):
    """Where candidates of one kind may begin in one text, in order."""

    exact: list[int] | None
    """Nowhere else. None: anywhere."""
    free: list[int] | None
    """The guard lets them begin nowhere else. None: it isn't known, or there is no guard."""


class Detector:
    """A set of entities, compiled. Shared between threads and requests; it keeps nothing of a text."""

    __slots__ = ("_any", "_begun", "_groups", "_patterns", "entities")

    def __init__(self, entities: Sequence[Entity]) -> None:
        options = re2.Options()
        options.max_mem = 256 << 20
        options.log_errors = False
        self.entities = tuple(entities)
        self._patterns = [re2.compile(each.pattern.encode(), options) for each in entities]
        self._groups = [pattern.groupindex.get(b"value", 0) for pattern in self._patterns]
        self._any = re2.Set.SearchSet(options)
        for each in entities:
            self._any.Add(each.pattern.encode())
        self._any.Compile()
        beginnings = "|".join(
            begun(f"(?:{each.pattern}){_BESIDE}" if each.guard != "none" else each.pattern) for each in entities
        )
        self._begun = re2.compile(rf"(?:{beginnings})\z".encode(), options)

    def find(self, text: str) -> list[Finding]:
        """All findings of a whole text, in order; none overlaps another."""
        return self.look(text, is_whole=True).findings

    def look(self, text: str, seen: Seen = NOTHING_SEEN, *, is_whole: bool = False) -> Look:
        """What is certain of `text`, behind what was `seen`. With `is_whole`, nothing comes after it."""
        folded = Folded(text, seen.before)
        data, first = folded.data, len(seen.before)
        settled = len(data) if is_whole else self._settled(data, first)
        found, resume = self._candidates(data, first, settled, dict(seen.resume))
        places = [(folded.start(start), folded.end(end), rank) for start, end, rank in found]
        findings = [
            Finding(self.entities[rank].name, start, end) for start, end, rank in settle(places, behind=seen.behind)
        ]
        until = folded.start(settled)
        behind = max([seen.behind, *(end for _, end, _ in places)]) - until
        before = data[max(0, settled - NEIGHBOURS) : settled]
        return Look(findings, until, Seen(before, max(0, behind), resume))

    def _settled(self, data: bytes, first: int) -> int:
        """Where the first match may begin that more text could complete, or change."""
        match = self._begun.search(data, max(first, len(data) - LONGEST))
        return int(match.start()) if match is not None else len(data)

    def _candidates(
        self, data: bytes, first: int, settled: int, resume: dict[int, int]
    ) -> tuple[list[tuple[int, int, int]], tuple[tuple[int, int], ...]]:
        """`(start, end, rank)` of what passed its check and begins before `settled`; and where to go on behind it."""
        found = []
        free: dict[Guard, list[int]] = {}
        reached = {rank: first + beyond for rank, beyond in resume.items()}
        for rank in (self._any.Match(data) or ()) if first < settled else ():
            place = reached.get(rank, first)
            starts = self._starts(rank, data, free)
            while (match := self._next(rank, data, place, starts)) is not None and match.start() < settled:
                start, end = self._value(rank, data, match)
                place = max(match.start() + 1, end)
                if end:
                    found.append((start, end, rank))
            reached[rank] = place
        return found, tuple((rank, place - settled) for rank, place in reached.items() if place > settled)

    def _starts(self, rank: int, data: bytes, free: dict[Guard, list[int]]) -> _Starts:
        """What can be said of a long text at once, so that no candidate is looked at that is none by its place."""
        entity = self.entities[rank]
        if len(data) < _LONG:
            return _Starts(None, None)
        if entity.guard != "none" and not self._groups[rank] and entity.guard not in free:
            free[entity.guard] = _free(data, entity.guard)
        return _Starts(
            None if entity.starts is None else entity.starts(data),
            None if self._groups[rank] else free.get(entity.guard),
        )

    def _next(self, rank: int, data: bytes, place: int, starts: _Starts) -> Any:
        """The next match at or behind `place` that may pass."""
        if starts.exact is None:
            match = self._search(rank, data, place)
            while match is not None and starts.free is not None:
                index = bisect_left(starts.free, match.start())
                if index == len(starts.free):
                    return None
                if starts.free[index] == match.start():
                    break
                match = self._search(rank, data, starts.free[index])
            return match
        for index in range(bisect_left(starts.exact, place), len(starts.exact)):
            start = starts.exact[index]
            if starts.free is not None and not _holds(starts.free, start):
                continue
            if (match := self._patterns[rank].match(data, start)) is not None:
                return match
        return None

    def _search(self, rank: int, data: bytes, place: int) -> Any:
        """The next match at or behind `place`, cut to `LONGEST`: what a stream could see of it."""
        pattern = self._patterns[rank]
        while (match := pattern.search(data, place)) is not None and match.end() - match.start() > LONGEST:
            place = match.start()
            match = pattern.match(data, place, place + LONGEST)
            if match is not None:
                return match
            place += 1
        return match

    def _value(self, rank: int, data: bytes, match: Any) -> tuple[int, int]:
        """Start and end of the value in a candidate; an end of 0 says that it is none."""
        entity, group = self.entities[rank], self._groups[rank]
        start, stop = match.span(group)
        if start < 0:
            start, stop = match.span()
        text = data[start:stop].decode(errors="replace")
        length = entity.fit(text)
        end = start + len(text[:length].encode())
        is_part = _is_beside(data, end, end + 1, entity.guard) or _is_beside(data, start - 1, start - 2, entity.guard)
        return (start, 0) if length == 0 or is_part else (start, end)


def _free(data: bytes, guard: Guard) -> list[int]:
    """Where something may begin: not on a joint, not behind one that has before it what the guard forbids, and not
    inside a word."""
    text = np.frombuffer(data, np.uint8)
    is_joint, is_word = _JOINTS[text], _ARE_WORD[text]
    is_barred = is_joint.copy()
    is_barred[1:] |= is_word[1:] & is_word[:-1]
    is_barred[2:] |= is_joint[1:-1] & (_ARE_DIGITS[text] if guard == "digit" else is_word)[:-2]
    free: list[int] = np.flatnonzero(~is_barred).tolist()
    return free


def _holds(places: list[int], place: int) -> bool:
    index = bisect_left(places, place)
    return index < len(places) and places[index] == place


def _is_beside(data: bytes, joint: int, neighbour: int, guard: Guard) -> bool:
    """Whether a joint, and behind it what the guard forbids, stand beside a value."""
    if guard == "none" or min(joint, neighbour) < 0 or max(joint, neighbour) >= len(data):
        return False
    is_joint = data[joint] in (b"-._/" if neighbour < joint else b"-._")
    return is_joint and data[neighbour] in (_DIGITS if guard == "digit" else _WORD)
