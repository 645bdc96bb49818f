"""The sections of a run. A later one is a module with a `run(session) -> Report` and a line here."""

from collections.abc import Callable

from bench.report import Report
from bench.sections import cache, detection, gateways, keys, memory, prefix, retrieval
from bench.session import Session

__all__ = ["SECTIONS"]

SECTIONS: dict[str, Callable[[Session], Report]] = {
    "gateways": gateways.run,
    "cache": cache.run,
    "memory": memory.run,
    "keys": keys.run,
    "retrieval": retrieval.run_retrieval,
    "neighbours": retrieval.run_neighbours,
    "tenants": retrieval.run_tenants,
    "detection": detection.run,
    "prefix": prefix.run,
}
"""By the name that `python -m bench NAME` and the document's markers use, in the order they run."""
