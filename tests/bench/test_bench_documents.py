"""The sections of retrieval, small: what is compared is the same, and the tables admit what was found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.documents.neighbours import measure_neighbours
from bench.documents.retrieval import measure_retrieval
from bench.documents.shared_graph import measure_shared_graph
from bench.documents.tenants import measure_tenants
from bench.sections.retrieval import neighbours_report, retrieval_report, tenants_report


def test_the_bare_engine_finds_the_same(tmp_path: Path) -> None:
    found = measure_retrieval(tmp_path, pieces=150, calls=20)
    assert found.pieces >= 150
    report = retrieval_report(replace(found, ours=300.0, bare=100.0))
    assert "is NOT met" in report.notes[-1]
    assert "3.00" in report.rows[1][-1]


def test_a_neighbour_moves_nothing(tmp_path: Path) -> None:
    found = measure_neighbours(tmp_path, neighbours=200, calls=10)
    assert found.same
    assert found.alone.recall == found.beside.recall == 1.0
    assert "NOT as promised" in neighbours_report(replace(found, same=False)).notes[0]


def test_a_shared_graph_is_measured_beside_ours(tmp_path: Path) -> None:
    """Small, so that nothing is proved of the graph; ours is exact at any size."""
    shared = measure_shared_graph(own=20, neighbours=300, calls=5)
    assert shared.ours_alone.recall == shared.ours_beside.recall == 1.0
    found = measure_neighbours(tmp_path, neighbours=20, calls=2)
    report = neighbours_report(found, shared)
    assert report.rows[-1][0] == "pgvector, one graph of all tenants, beside them"
    assert "pgvector" in report.notes[-1]


def test_more_tenants_are_measured(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    found = measure_tenants(tmp_path, lambda done, total: told.append((done, total)), sizes=(2, 4), calls=10)
    assert [each.tenants for each in found] == [2, 4]
    assert sorted(told) == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(
        each.us > 0 and each.coming_cpu_ms > 0 and each.open_files > 0 and each.resident_mb > 0 for each in found
    )
    slope = tenants_report([replace(found[0], tenants=1, us=10.0), replace(found[1], tenants=1001, us=15.0)]).notes[1]
    assert "+5.0 µs" in slope
