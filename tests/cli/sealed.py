"""A gateway's data directory whose decision records are sealed, for the tests of commands that have to do with keys."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.documents import TENANTS, base_document, headers_of, merged, write_document
from tests.support.inprocess import gateway

__all__ = ["SEALING", "ask", "document_in", "halves", "key_versions", "sealed_data"]

SEALING: dict[str, Any] = {"encrypted_per_tenant": ["audit_logs"]}


def document_in(folder: Path, **encryption: Any) -> Path:
    return write_document(folder / "doc.yaml", merged(base_document(), encryption=SEALING | encryption))


def ask(document: Path, data_dir: Path, *tenants: str) -> list[int]:
    """One request of each named tenant, to a gateway of its own; the statuses."""

    async def main() -> list[int]:
        async with gateway(document, data_dir) as client:
            body = {"messages": [{"role": "user", "content": "hello"}]}
            calls = [
                client.post("/v1/chat/completions", headers_of(t), body | {"model": f"{t}-model"}) for t in tenants
            ]
            return [(await call).status for call in calls]

    return asyncio.run(main())


def sealed_data(folder: Path, *, requests: int = 3, **encryption: Any) -> Path:
    """A data directory below `folder`, with some requests of each tenant's and one of nobody's."""
    document, data_dir = document_in(folder, **encryption), folder / "data"
    assert ask(document, data_dir, *TENANTS * requests) == [200] * len(TENANTS) * requests

    async def nobody() -> None:
        async with gateway(document, data_dir) as client:
            assert (await client.get("/v1/models", {})).status == 401

    asyncio.run(nobody())
    return data_dir


def halves(data_dir: Path, tenant: str | None) -> list[bytes]:
    """What lies in a tenant's file, admissions and completions in turn."""
    folder = data_dir / "platform" if tenant is None else data_dir / "tenants" / tenant
    with closing(sqlite3.connect(folder / "decisions.db")) as file:
        rows = file.execute("SELECT admission, completion FROM decisions ORDER BY seq").fetchall()
    return [half for row in rows for half in row]


def key_versions(data_dir: Path, tenant: str | None) -> set[int]:
    """The versions under which they are sealed, as their headers say."""
    return {int.from_bytes(half[1:5], "big") for half in halves(data_dir, tenant)}
