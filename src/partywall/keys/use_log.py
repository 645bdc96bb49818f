"""Uses on their way into the files: counted in memory, written every second; what matters more is written at once.

Promises: unwrapping and whatever changes a key is written before it takes effect; a refusal is written as soon as the
file is free; counted uses within a second, and at the close. While a tenant's uses can't be written, its keys are not
used (`faults` names it, and `on_fault` tells whoever holds keys); what could not be written is kept and tried again.

Doesn't promise: that counts of the last second survive the sudden death of the process. That its keys were unwrapped
does, and so the file always shows who could have used them.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final

from partywall.errors import KeyUnavailable
from partywall.keys.clocks import Clocks
from partywall.keys.flights import Flights, Helpers
from partywall.keys.settings import KeyRingSettings
from partywall.keys.use_alerts import Alerts, KeyAlarmKind
from partywall.keys.use_files import UseFiles
from partywall.keys.uses import KeyUse, Operation, Tallies
from partywall.tenancy import TenantId

__all__ = ["UseLog"]

_COUNTED: Final = frozenset({Operation.SEAL, Operation.OPEN, Operation.INDEX, Operation.UNWRAP})
"""What `log_uses` turns off."""
_MOST_KINDS: Final = 10_000
"""Kinds of use of one tenant that may wait. More requestors than that become one."""

_Kinds = dict[tuple[object, ...], KeyUse]

_log = logging.getLogger(__name__)


class UseLog:
    """The uses of one process. Belongs to one event loop."""

    def __init__(
        self,
        files: UseFiles,
        alerts: Alerts,
        helpers: Helpers,
        service: str,
        settings: KeyRingSettings,
        clocks: Clocks,
    ) -> None:
        self.faults: dict[TenantId, str] = {}
        """Whose uses can't be written, and why."""
        self.service = service
        self.on_fault: Callable[[TenantId], None] = _nobody
        """Told of a tenant whose uses can't be written, at once."""
        self._files = files
        self._alerts = alerts
        self._helpers = helpers
        self._log_uses = settings.log_uses
        self._clocks = clocks
        self._tallies: list[Tallies] = []
        self._waiting: dict[TenantId, _Kinds] = defaultdict(dict)
        self._flights = Flights()
        self._forgotten = False

    def tallies(self, operation: Operation, store: str) -> Tallies:
        """A counter for the path of every record. Ask once and keep it."""
        tallies = Tallies(operation, store)
        self._tallies.append(tallies)
        return tallies

    def use(
        self,
        operation: Operation,
        tenant: TenantId,
        requestor: str,
        *,
        key_version: int = 0,
        store: str = "",
        detail: str = "",
    ) -> KeyUse:
        """A use that happens now."""
        now = self._clocks.wall()
        return KeyUse(
            operation=operation,
            tenant=tenant,
            service=self.service,
            requestor=requestor,
            first=now,
            last=now,
            key_version=key_version,
            store=store,
            detail=detail,
        )

    async def record(self, use: KeyUse) -> None:
        """Write a use now. Only when this returns may the use take effect.

        Raises:
            KeyUnavailable: it was not written.
        """
        self._alerts.look_at([use])
        if use.operation in _COUNTED and not self._log_uses:
            return
        write = partial(self._files.write, use.tenant, [use], sync=use.operation not in _COUNTED)
        try:
            await self._helpers.run(write)
        except OSError as error:
            self._keep([replace(use, operation=Operation.REFUSED, detail=f"{use.operation} could not be recorded")])
            raise KeyUnavailable(self._fail(use.tenant, str(error))) from error

    def refuse(self, use: KeyUse) -> None:
        """Have a refusal written, as soon as may be. Many at once become a count."""
        if self._forgotten:
            return
        self._alerts.look_at([use])
        self._keep([use])
        self.hurry()

    def hurry(self) -> None:
        """Begin to write what waits, if there is anything."""
        if self._waiting or any(tallies.has_any() for tallies in self._tallies):
            try:
                self._flights.start("write", self._write)
            except KeyUnavailable:
                _log.warning("a use of a key came after the close of the keyring")

    async def aclose(self) -> None:
        """Write what is left. Nobody uses a key any more."""
        try:
            await self._flights.aclose(cancel=False)
        finally:
            await self._write()

    def forget(self) -> None:
        """Drop what waits and write nothing more: in a child after a fork, where it is the parent's to write."""
        self._forgotten = True
        self._waiting.clear()
        for tallies in self._tallies:
            tallies.forget()

    def seal_broken(self, tenant: TenantId, detail: str) -> None:
        """Tell the operator that something stored didn't open."""
        if self._forgotten:
            return
        self._alerts.sound(KeyAlarmKind.SEAL_BROKEN, tenant, detail, at=self._clocks.wall())

    # -- Writing -----------------------------------------------------------------------------------------------------

    async def _write(self) -> None:
        self._collect()
        taken, self._waiting = self._waiting, defaultdict(dict)
        if not taken:
            return
        failures = await self._helpers.run(partial(self._write_all, taken))
        for tenant, kinds in taken.items():
            if tenant in failures:
                self._keep(kinds.values())
                self._fail(tenant, failures[tenant])
            elif self.faults.pop(tenant, None) is not None:
                _log.warning("the key uses of `%s` can be written again", tenant)

    def _write_all(self, taken: dict[TenantId, _Kinds]) -> dict[TenantId, str]:
        """Write each tenant's uses; what went wrong, by tenant. Runs in a helper."""
        failures: dict[TenantId, str] = {}
        for tenant, kinds in taken.items():
            try:
                self._files.write(tenant, kinds.values())
            except OSError as error:
                failures[tenant] = str(error)
        return failures

    def _collect(self) -> None:
        """Put what was counted to what waits."""
        offset = self._clocks.wall() - self._clocks.monotonic()
        for tallies in self._tallies:
            uses = tallies.take(service=self.service, clock_offset=offset)
            self._alerts.look_at(uses)
            if self._log_uses:
                self._keep(uses)

    def _keep(self, uses: Iterable[KeyUse]) -> None:
        for use in uses:
            kinds = self._waiting[use.tenant]
            kind = use.same_kind()
            if kind not in kinds and len(kinds) >= _MOST_KINDS:
                use = replace(use, requestor="(many)", detail="")
                kind = use.same_kind()
            kinds[kind] = kinds[kind].merged(use) if kind in kinds else use

    def _fail(self, tenant: TenantId, why: str) -> str:
        """Stop the use of a tenant's keys until its uses can be written."""
        reason = f"the key uses of `{tenant}` can't be written, so its keys are not used: {why}"
        if tenant not in self.faults:
            _log.error("%s", reason)
            self._alerts.sound(KeyAlarmKind.NOT_RECORDED, tenant, why, at=self._clocks.wall())
        self.faults[tenant] = reason
        self.on_fault(tenant)
        return reason


def _nobody(_: TenantId) -> None:
    """Nobody holds keys yet."""
