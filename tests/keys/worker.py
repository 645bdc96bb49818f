"""A second process over the same keys: `python -m tests.keys.worker rotate|use FOLDER`. It ends when its input does.

`rotate`: rotates both tenants' keys over and over, and seals a record after each; a line for each record.
`use`: opens and seals for both tenants over and over, as a gateway would; one line at the end, for each tenant the time
of the last success (CLOCK_MONOTONIC, which processes share), how many there were, and what it was refused with.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.keys.rings import BOTH, REPOSITORY, ring_in, scope_of

from partywall.errors import PartywallError
from partywall.keys import Store
from partywall.tenancy import TenantId

__all__ = ["Seen", "started", "use"]


class Seen:
    """What happened to one tenant's records."""

    def __init__(self) -> None:
        self.last_success = 0.0
        self.successes = 0
        self.refused: set[str] = set()
        self.unrefused_after_refusal = 0

    def as_dict(self) -> dict[str, object]:
        return {
            "last_success": self.last_success,
            "successes": self.successes,
            "refused": sorted(self.refused),
            "unrefused_after_refusal": self.unrefused_after_refusal,
        }


async def use(folder: Path, stop: threading.Event, *, hold_seconds: float = 60.0) -> dict[TenantId, Seen]:
    """Open and seal for both tenants until told to stop."""
    seen = {tenant: Seen() for tenant in BOTH}
    async with ring_in(folder, service="worker", hold_seconds=hold_seconds) as ring:
        memory = ring.store(Store.MEMORY)
        _say("ready")
        while not stop.is_set():
            for tenant in BOTH:
                mine, scope = seen[tenant], scope_of(tenant)
                try:
                    sealed = await memory.seal(scope, "note", "n", b"hello")
                    assert await memory.open(scope, "note", "n", sealed) == b"hello"
                except PartywallError as error:
                    mine.refused.add(type(error).__name__)
                else:
                    mine.unrefused_after_refusal += bool(mine.refused)
                    mine.last_success = time.monotonic()
                    mine.successes += 1
            await asyncio.sleep(0)
    return seen


async def rotate(folder: Path, stop: threading.Event) -> None:
    """Rotate and seal until told to stop, or killed."""
    async with ring_in(folder, service="worker") as ring:
        memory = ring.store(Store.MEMORY)
        count = 0
        while not stop.is_set():
            for tenant in BOTH:
                number = await ring.life.rotate(tenant, who="worker")
                record = f"w{count}"
                sealed = await memory.seal(scope_of(tenant), "note", record, record.encode())
                acknowledged = {"tenant": tenant, "record": record, "version": number, "sealed": sealed.hex()}
                _say(json.dumps(acknowledged))
                count += 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@contextmanager
def started(mode: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker, killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.keys.worker", mode, str(folder)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        try:
            yield worker
        finally:
            worker.kill()


def main() -> None:
    """Run one mode until the input ends."""
    mode, folder = sys.argv[1], Path(sys.argv[2])
    stop = threading.Event()

    def listen() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=listen, daemon=True).start()
    if mode == "rotate":
        asyncio.run(rotate(folder, stop))
    else:
        seen = asyncio.run(use(folder, stop))
        _say(json.dumps({tenant: each.as_dict() for tenant, each in seen.items()}))


if __name__ == "__main__":
    main()
