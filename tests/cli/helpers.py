"""What the tests of the command line share."""

from __future__ import annotations

import asyncio
import http.client
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from partywall.tenancy import TenantId
from partywall.trail import DecisionRecord, Trail, Verdict, new_decision_id


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)


Command = Callable[..., Ended]


def spawn(*arguments: str | Path, stdout: int = subprocess.PIPE, **environment: str) -> subprocess.Popen[str]:
    """`partywall` in a process of its own."""
    return start(arguments, stdout=stdout, environment=environment)


def start(
    arguments: Sequence[str | Path],
    *,
    stdin: int | None = None,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """The same, with streams of the test's choice."""
    return subprocess.Popen(
        [sys.executable, "-m", "partywall", *map(str, arguments)],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=True,
        env={name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "NO_COLOR")}
        | {"PYTHONUNBUFFERED": "1"}
        | dict(environment or {}),
    )


def decision(tenant: str | None, **fields: Any) -> DecisionRecord:
    """One request that has ended."""
    record = DecisionRecord(
        id=new_decision_id(),
        time=fields.pop("time", 1_700_000_000.0),
        method="POST",
        path=fields.pop("path", "/v1/chat/completions"),
        tenant=None if tenant is None else TenantId(tenant),
        verdict=fields.pop("verdict", Verdict.ALLOW),
        status=200,
        outcome="completed",
    )
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def record(data_dir: Path, *decisions: DecisionRecord) -> None:
    """Write decisions as a gateway does."""

    async def write() -> None:
        trail = Trail.open(data_dir)
        try:
            for one in decisions:
                await trail.admit(one)
        finally:
            await trail.aclose()

    data_dir.mkdir(exist_ok=True)
    asyncio.run(write())


def status_of(url: str, path: str, key: str | None = None) -> int:
    """What a gateway answers to a GET."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(
            "GET", path, headers={"X-User-ID": "ann"} | ({"Authorization": f"Bearer {key}"} if key else {})
        )
        return connection.getresponse().status
    finally:
        connection.close()
