"""What an answer costs that is given again, beside one that is passed through and beside nginx."""

from __future__ import annotations

from bench.gateways.nginx import Nginx
from bench.gateways.partywall import Partywall, PartywallWithCache
from bench.report import Report
from bench.sections.gateways import compare
from bench.session import Session

__all__ = ["run"]


def run(session: Session) -> Report:
    """The section `cache`."""
    contenders = (Nginx(), Partywall(), PartywallWithCache())
    return compare(session, contenders, "cache", "Answers that are given again: the cost of an exact hit")
