"""The texts of one request, or of one answer, and what was found in them.

Promises: what a `Channel` releases, piece by piece, is what the whole text would have become; findings are counted by
kind and never kept; `settle` raises before anything is released that may not be.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from partywall.errors import PiiBlocked

if TYPE_CHECKING:
    from partywall.detection.pii import PiiPolicy, Redaction

__all__ = ["Channel", "Texts"]


class Texts:
    """One side of an exchange. `side` is what the client is told was refused: the request, or the answer.

    Without a `redaction` nothing is looked for, and only the values of `restores_from` are put back.
    """

    __slots__ = ("_policy", "_redaction", "_restores_from", "found", "has_fixed", "side")

    def __init__(
        self, side: str, policy: PiiPolicy, redaction: Redaction | None, restores_from: Redaction | None
    ) -> None:
        self.side = side
        self._policy = policy
        self._redaction = redaction
        self._restores_from = restores_from
        self.found: Counter[str] = Counter()
        self.has_fixed = False
        """Whether something was found where nothing can be put in its place: in a name, an id, a key."""

    def beside(self) -> Texts:
        """For texts that tell again what was told before: found and replaced alike, counted apart."""
        return Texts(self.side, self._policy, self._redaction, self._restores_from)

    def channel(self) -> Channel:
        """For one text that comes in pieces."""
        return Channel(self, self._redaction, self._restores_from)

    def whole(self, text: str, *, label: str = "") -> str:
        """A whole text, as it may go on. `label` is what stands before it and may give it away."""
        if not label or self._redaction is None:
            return self.channel().end(text) if text else text
        released, findings = self._redaction.redact(text, label=label)
        self.found.update(finding.entity for finding in findings)
        return released if self._restores_from is None else self._restores_from.restore(released)

    def look_at(self, text: str) -> None:
        """A text that must stay as it is."""
        before = self.found.total()
        self.whole(text)
        self.has_fixed |= self.found.total() > before

    def settle(self) -> None:
        """Raises PiiBlocked when what was found so far stops the request or the answer."""
        if self.has_fixed or (self.found and self._policy.action == "block"):
            where = ", where it can't be replaced" if self.has_fixed else ""
            raise PiiBlocked(
                f"the {self.side} holds {self.told()}{where}",
                public_message=f"The {self.side} contains personal data that may not be sent.",
            )

    @property
    def scans(self) -> bool:
        """Whether anything is looked for."""
        return self._redaction is not None

    def told(self) -> str:
        """What was found: kinds and counts, or only that there was something."""
        if not self.found:
            return "no findings"
        if not self._policy.include_metadata:
            return "findings"
        return ", ".join(f"{kind} {count}" for kind, count in sorted(self.found.items()))


class Channel:
    """One text on its way: scanned, then with the request's own values put back."""

    __slots__ = ("_counted", "_restorer", "_scanner", "_texts")

    def __init__(self, texts: Texts, redaction: Redaction | None, restores_from: Redaction | None) -> None:
        self._texts = texts
        self._scanner = None if redaction is None else redaction.scanner()
        self._restorer = None if restores_from is None else restores_from.restorer()
        self._counted = 0

    def feed(self, delta: str) -> str:
        """What may go out now."""
        released = delta if self._scanner is None else self._counted_of(self._scanner.feed(delta))
        return released if self._restorer is None else self._restorer.feed(released)

    def end(self, last: str = "") -> str:
        """What is left to go out, with `last` before the end."""
        released = last if self._scanner is None else self._counted_of(self._scanner.end(last))
        return released if self._restorer is None else self._restorer.end(released)

    def _counted_of(self, released: str) -> str:
        """`released`, now that what was found on the way is counted."""
        findings = [] if self._scanner is None else self._scanner.findings
        for finding in findings[self._counted :]:
            self._texts.found[finding.entity] += 1
        self._counted = len(findings)
        return released
