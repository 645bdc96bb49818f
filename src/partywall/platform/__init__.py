"""The library's front door: one document and one data directory, open."""

from partywall.platform.platform import Platform
from partywall.platform.snapshot import Snapshot
from partywall.platform.standing import Standing, Suspension
from partywall.platform.tenants import Tenants

__all__ = ["Platform", "Snapshot", "Standing", "Suspension", "Tenants"]
