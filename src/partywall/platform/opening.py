"""Opening sealed decision records outside an event loop: for commands, which read one record after another.

Promises: the keyring is open for the length of the block, and every use is written at its end. What can't be opened is
told as the trail's readers want to hear it.

Doesn't promise: to be used from a running event loop, or from two threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from partywall.keys import KeyAlarm, KeyRing, RecordKeys
from partywall.platform.encryption import Encrypted, open_keys
from partywall.tenancy import TenantId

__all__ = ["RecordOpener", "record_opener"]

_Result = TypeVar("_Result")


class RecordOpener:
    """A `trail.Opener`, and what else a reader does while the keys are open."""

    def __init__(self, runner: asyncio.Runner, keys: KeyRing, records: RecordKeys) -> None:
        self.keys = keys
        self._runner = runner
        self._records = records

    def __call__(self, tenant: TenantId | None, half: str, record_id: str, sealed: bytes) -> bytes:
        return self.run(self._records.open(tenant, half, record_id, sealed))

    def run(self, work: Coroutine[object, object, _Result]) -> _Result:
        """Do something with `keys`, where they belong."""
        return self._runner.run(work)

    def pause(self, seconds: float) -> None:
        """Wait, and let the keyring do what it does once a second."""
        self.run(asyncio.sleep(seconds))


@contextmanager
def record_opener(
    encrypted: Encrypted,
    *,
    base: Path,
    data_dir: Path,
    service: str,
    requestor: str,
    on_alarm: Callable[[KeyAlarm], None],
) -> Iterator[RecordOpener]:
    """What opens decision records as the document says. `requestor` stands beside `service` in the records of use.

    Raises:
        ConfigError, CredentialUnavailable: as `open_keys`.
        KeyUnavailable: the platform's root can't be used.
    """
    with asyncio.Runner() as runner:
        opened = AsyncExitStack()
        ring = open_keys(encrypted, base=base, data_dir=data_dir, service=service, on_alarm=on_alarm)
        keys = runner.run(opened.enter_async_context(ring))
        try:
            runner.run(keys.check())
            yield RecordOpener(runner, keys, keys.records(requestor))
        finally:
            runner.run(opened.aclose())
