"""Redacting the texts of one request, whole and as they stream.

Promises: a stream releases no character of a finding, and what it releases in all is, byte for byte, what the whole
text redacted would be, however the text was cut. What it holds back is what may still become a finding: mostly the
last word or number, never more than `LONGEST` bytes of visible text; added delay is that and no time.

Doesn't promise: to hold invisible characters for ever: a stream that makes it keep more than `HELD_MOST` is refused.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from partywall.detection.pii.detector import Detector, Look, Seen
from partywall.detection.pii.markers import LITERAL, Markers
from partywall.detection.pii.restoring import StreamRestorer, restore
from partywall.detection.spans import Finding, settle
from partywall.errors import PiiBlocked

__all__ = ["HELD_MOST", "Redacted", "Redaction", "StreamScanner"]

HELD_MOST: Final = 65_536


class Redacted(NamedTuple):
    """A text without its findings, and where they were."""

    text: str
    findings: list[Finding]


class StreamScanner:
    """One stream. `findings` grows as they become certain; offsets count the characters that were fed."""

    __slots__ = ("_base", "_detector", "_held", "_markers", "_seen", "findings")

    def __init__(self, detector: Detector, markers: Markers) -> None:
        self._detector = detector
        self._markers = markers
        self._held = ""
        self._base = 0
        self._seen = Seen()
        self.findings: list[Finding] = []

    def feed(self, delta: str) -> str:
        """What may go out now. Raises PiiBlocked when more would have to be held than `HELD_MOST` characters."""
        self._held += delta
        released = self._release(self._detector.look(self._held, self._seen))
        if len(self._held) > HELD_MOST:
            raise PiiBlocked(f"a stream left more than {HELD_MOST} characters undecided")
        return released

    def end(self, last: str = "") -> str:
        """What is left to go out, with `last` before the end."""
        self._held += last
        return self._release(self._detector.look(self._held, self._seen, is_whole=True))

    def _release(self, look: Look) -> str:
        pieces: list[str] = []
        place = self._seen.behind
        for finding in look.findings:
            value = self._held[finding.start : finding.end]
            pieces += self._held[place : finding.start], self._markers.marker(finding.entity, value)
            place = finding.end
            if finding.entity != LITERAL.name:
                self.findings.append(Finding(finding.entity, self._base + finding.start, self._base + finding.end))
        pieces.append(self._held[place : look.settled])
        self._held = self._held[look.settled :]
        self._base += look.settled
        self._seen = look.seen
        return "".join(pieces)


class Redaction:
    """One request of one tenant: its markers, and with `restore` the values behind them. Nothing outlives it."""

    __slots__ = ("_detector", "_markers")

    def __init__(self, detector: Detector, markers: Markers) -> None:
        self._detector = detector
        self._markers = markers

    def redact(self, text: str, *, label: str = "") -> Redacted:
        """`text` with markers. The same value gets the same marker throughout a request. With a `label`, what is only
        found behind it is found as well."""
        found = self._detector.find(text)
        if label:
            labelled = self._detector.find(label + text) if text else []
            found += [Finding(name, max(0, start - len(label)), end - len(label)) for name, start, end in labelled]
        pieces: list[str] = []
        findings: list[Finding] = []
        place = 0
        for start, end, index in settle((each.start, each.end, index) for index, each in enumerate(found)):
            name = found[index].entity
            pieces += text[place:start], self._markers.marker(name, text[start:end])
            place = end
            if name != LITERAL.name:
                findings.append(Finding(name, start, end))
        return Redacted("".join([*pieces, text[place:]]), findings)

    def scanner(self) -> StreamScanner:
        """For one stream of text. Each text of an answer (choice, block, call) needs its own."""
        return StreamScanner(self._detector, self._markers)

    def restore(self, text: str, *, in_json: bool = False) -> str:
        """`text` with the values that this request's markers stand for. `in_json`: `text` is JSON, or a piece of it."""
        return restore(text, self._markers.values, in_json=in_json)

    def restorer(self, *, in_json: bool = False) -> StreamRestorer:
        """The same for one stream of text. It knows the markers given out before it was made."""
        return StreamRestorer(self._markers.values, in_json=in_json)
