"""Scanning what goes to a model and what comes back, where a document's chain asks for it.

Promises: `scan_request` sees the body as the upstream will see it, its texts wherever they stand, tool results and the
arguments of calls (decoded) included; the `Scan` that it returns does the same for the answer, whole or streamed, and
a stream releases no character of what was found. What can't be scanned is refused, and the record says that a text was
scanned only after it was.

Doesn't promise: to read images, sound, files in base64 and what is encrypted; to put together a value that was split
over several texts (two messages, two blocks); nor to look at what the gateway's own stores answer with (`/v1/files`,
the results of a file search): that never went through a model.
"""

from partywall.gateway.scanning.scan import Scan, scan_request
from partywall.gateway.scanning.threads import ScanThreads

__all__ = ["Scan", "ScanThreads", "scan_request"]
