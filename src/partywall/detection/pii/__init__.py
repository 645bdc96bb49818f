"""Personal data and credentials: found, redacted, put back.

    policy = compile_pii(settings)              # once for a document: ConfigError says what can't be used
    request = policy.request(key)               # once for a request, with a key of the tenant's
    redacted = request.redact(text)             # .text, .findings
    scanner = request.scanner()                 # for a stream: feed(delta), end()
    restorer = request.restorer()               # with `restore: true`: puts values back into the answer's stream

Promises: a `Finding` never holds a value. See `detector` for what is found and `redaction` for what takes its place.
"""

from partywall.detection.pii.detector import LONGEST, Detector
from partywall.detection.pii.entities import BUILT_IN, FAMILIES, Entity, phones_of
from partywall.detection.pii.redaction import HELD_MOST, Redacted, Redaction, StreamScanner
from partywall.detection.pii.restoring import StreamRestorer
from partywall.detection.pii.settings import PiiPolicy, compile_pii
from partywall.detection.spans import Finding

__all__ = [
    "BUILT_IN",
    "FAMILIES",
    "HELD_MOST",
    "LONGEST",
    "Detector",
    "Entity",
    "Finding",
    "PiiPolicy",
    "Redacted",
    "Redaction",
    "StreamRestorer",
    "StreamScanner",
    "compile_pii",
    "phones_of",
]
