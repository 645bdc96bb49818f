"""The record of every decision: one file per tenant, written before anything leaves, read back with a check.

Promises: see `trail` (what a returned `admit` means), `shelf` (what a reader never returns), `placement` (where it
lies). Ids, records and policy results are plain values that the rooms above fill in.

Doesn't promise: tamper evidence; or secrecy at rest, unless it is opened with something to seal with (`sealing`).
"""

from partywall.trail.ids import DecisionId, new_decision_id
from partywall.trail.reader import Follower, TrailReader, View
from partywall.trail.record import DecisionRecord, PolicyResult, Verdict
from partywall.trail.sealing import NothingToOpenWith, Opener, Seals
from partywall.trail.shelf import Alarm
from partywall.trail.trail import Durability, Trail

__all__ = [
    "Alarm",
    "DecisionId",
    "DecisionRecord",
    "Durability",
    "Follower",
    "NothingToOpenWith",
    "Opener",
    "PolicyResult",
    "Seals",
    "Trail",
    "TrailReader",
    "Verdict",
    "View",
    "new_decision_id",
]
