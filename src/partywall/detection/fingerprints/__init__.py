"""Passages that tenants own, known by winnowed fingerprints under a deployment's key.

Promises: every run of `CAUGHT` (40) or more normalised characters that a text shares with a document is found; none
under 32 is. `leaks.LeakScanner` gives verdicts on texts and streams.
"""

from partywall.detection.fingerprints.printing import Printer, Prints
from partywall.detection.fingerprints.table import FingerprintTable
from partywall.detection.fingerprints.winnowing import CAUGHT

__all__ = ["CAUGHT", "FingerprintTable", "Printer", "Prints"]
