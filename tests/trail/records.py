"""Records and trails for the tests of this room."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from partywall.tenancy import CredentialId, GroupName, Role, TenantId, UserId
from partywall.trail import (
    DecisionId,
    DecisionRecord,
    Durability,
    PolicyResult,
    Trail,
    TrailReader,
    Verdict,
    new_decision_id,
)

ROOT = Path(__file__).parents[2]
"""Where children are started, so that they find these helpers."""

ALPHA = TenantId("alpha")
BETA = TenantId("beta")
RBAC = PolicyResult("rbac", "pre-request", Verdict.ALLOW, "role `agent` may use every tool asked for")


def new_record(tenant: TenantId | None = ALPHA, *, at: float | None = None, path: str = "/v1/chat") -> DecisionRecord:
    """An allowed request that hasn't ended."""
    began = time.time() if at is None else at
    return DecisionRecord(
        id=id_at(began),
        time=began,
        method="POST",
        path=path,
        tenant=tenant,
        verdict=Verdict.ALLOW,
        reason="allowed",
        policies=(RBAC,),
        endpoint="chat",
        group=None if tenant is None else GroupName(tenant),
        route="main",
        model="gpt-4o-mini",
        upstream="openai-eu",
        user=UserId("u-17"),
        role=Role("agent"),
        credential_id=CredentialId("key:0123456789ab"),
    )


def id_at(began: float) -> DecisionId:
    """A fresh id, as if it had been drawn at that time."""
    if not math.isfinite(began):
        return new_decision_id()
    return DecisionId(f"dec_{int(began * 1000):012x}{new_decision_id()[16:]}")


def end(record: DecisionRecord, outcome: str = "completed") -> DecisionRecord:
    """The same request, ended."""
    record.status, record.outcome = 200, outcome
    record.tokens_in, record.tokens_out, record.latency_ms = 12, 34, 56.5
    return record


@asynccontextmanager
async def open_trail(
    data_dir: Path,
    *,
    durability: Durability = "normal",
    max_open_files: int = 256,
    max_waiting: int = 10_000,
    max_waiting_per_tenant: int = 2_000,
    lock_patience_seconds: float = 2.0,
) -> AsyncIterator[Trail]:
    """A trail for the length of the block."""
    trail = Trail.open(
        data_dir,
        durability=durability,
        max_open_files=max_open_files,
        max_waiting=max_waiting,
        max_waiting_per_tenant=max_waiting_per_tenant,
        lock_patience_seconds=lock_patience_seconds,
    )
    try:
        yield trail
    finally:
        await trail.aclose()


def stored(data_dir: Path, tenant: TenantId | None) -> list[DecisionRecord]:
    """What a reader finds of one tenant; a dropped row fails the test."""

    def fail(alarm: object) -> None:
        raise AssertionError(str(alarm))

    reader = TrailReader(data_dir, on_alarm=fail)
    view = reader.of_platform() if tenant is None else reader.of_tenant(tenant)
    return list(view.events())


def file_of(data_dir: Path, tenant: TenantId | None) -> Path:
    folder = data_dir / "platform" if tenant is None else data_dir / "tenants" / tenant
    return folder / "decisions.db"


def run_sql(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """Run statements behind partywall's back, and return the rows of the last one."""
    rows: list[tuple[object, ...]] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
    return rows
