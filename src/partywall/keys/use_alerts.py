"""What an operator is told of keys at once, and not twice.

Promises: a use from a service that isn't expected, a use outside business hours, a seal that doesn't open and a use
that can't be recorded each reach `on_alarm`, once an hour for each tenant and kind (this process is one service). An
alarm holds ids, never content. What `on_alarm` raises stops nothing and is logged.

Doesn't promise: to come before the use. Counted uses are looked at when they are written, within a second.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from partywall.keys.settings import KeyRingSettings
from partywall.keys.uses import KeyUse
from partywall.tenancy import TenantId

__all__ = ["Alerts", "KeyAlarm", "KeyAlarmKind"]

_AGAIN_SECONDS: Final = 3600.0
_FORGET_ABOVE: Final = 4096
"""Alarms remembered before those of more than an hour ago are dropped."""

_log = logging.getLogger(__name__)


class KeyAlarmKind(StrEnum):
    """What is wrong."""

    UNEXPECTED_SERVICE = "unexpected_service"
    OUTSIDE_HOURS = "outside_business_hours"
    SEAL_BROKEN = "seal_broken"
    NOT_RECORDED = "not_recorded"


@dataclass(frozen=True, slots=True)
class KeyAlarm:
    """One thing that is wrong with one tenant's keys."""

    kind: KeyAlarmKind
    tenant: TenantId
    service: str
    time: float
    """Unix seconds."""
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: tenant `{self.tenant}`, service `{self.service}`: {self.detail}"


class Alerts:
    """The alarms of one process."""

    __slots__ = ("_expected", "_hours", "_last", "_on_alarm", "_service")

    def __init__(self, service: str, on_alarm: Callable[[KeyAlarm], None], settings: KeyRingSettings) -> None:
        self._service = service
        self._on_alarm = on_alarm
        self._expected = settings.expected_services is None or service in settings.expected_services
        self._hours = settings.business_hours
        self._last: dict[tuple[TenantId, KeyAlarmKind], float] = {}

    def look_at(self, uses: Iterable[KeyUse]) -> None:
        """Raise the alarm for uses that nobody expects."""
        if self._expected and self._hours is None:
            return
        for use in uses:
            what = f"{use.operation} on behalf of `{use.requestor}`"
            if not self._expected:
                self.sound(KeyAlarmKind.UNEXPECTED_SERVICE, use.tenant, what, at=use.last)
            if self._hours is not None and not (self._hours.include(use.first) and self._hours.include(use.last)):
                self.sound(KeyAlarmKind.OUTSIDE_HOURS, use.tenant, what, at=use.last)

    def sound(self, kind: KeyAlarmKind, tenant: TenantId, detail: str, *, at: float) -> None:
        """Raise an alarm, unless the same was raised within the hour."""
        last = self._last.get((tenant, kind))
        if last is not None and 0 <= at - last < _AGAIN_SECONDS:
            return
        if len(self._last) > _FORGET_ABOVE:
            self._last = {key: time for key, time in self._last.items() if 0 <= at - time < _AGAIN_SECONDS}
        self._last[tenant, kind] = at
        try:
            self._on_alarm(KeyAlarm(kind, tenant, self._service, at, detail))
        except Exception:  # noqa: BLE001 - somebody else's code, and the use that set it off is no worse for it
            _log.exception("the receiver of key alarms failed on `%s` of tenant `%s`", kind, tenant)
