"""Preferences: what each of a tenant's users has set.

Promises: a user reads and writes their own settings, and those alone. A scope without a user has settings of its own.
What can't come back exactly as it was given is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from partywall.errors import BadRequest, Conflict
from partywall.stores.collection import Collection, Drop, Group, Put
from partywall.stores.fields import ATTEMPTS, check_json, check_word, members, owner_of, pause
from partywall.tenancy import TenantScope

__all__ = ["Preferences"]

_SETTINGS: Final = Group("settings", ("users",))
_MOST_SETTINGS: Final = 500


class Preferences:
    """User to settings."""

    def __init__(self, collection: Collection) -> None:
        self._records = collection

    async def read(self, scope: TenantScope) -> Mapping[str, object]:
        """All settings of the scope's user; none is an empty mapping."""
        record = await self._records.find(scope, _SETTINGS, owner_of(scope))
        return {} if record is None else dict(members(record.body))

    async def put(self, scope: TenantScope, name: str, value: object) -> None:
        """Set one setting: JSON that is the same when it is read back.

        Raises:
            BadRequest: an empty or overlong name, a value that JSON would change, or too many settings.
            PayloadTooLarge: the settings together are too large.
            Conflict: too many others write at the same time.
        """
        check_word(name, "a setting's name")
        check_json(value, "a setting")
        await self._change(scope, name, value, removed=False)

    async def remove(self, scope: TenantScope, name: str) -> None:
        """Forget one setting.

        Raises:
            Missing: there is none of that name.
        """
        check_word(name, "a setting's name")
        await self._change(scope, name, None, removed=True)

    async def clear(self, scope: TenantScope) -> None:
        """Forget all settings of the scope's user; having none is fine."""
        await self._records.commit(scope, [Drop(_SETTINGS, owner_of(scope))])

    async def _change(self, scope: TenantScope, name: str, value: object, *, removed: bool) -> None:
        for _ in range(ATTEMPTS):
            record = await self._records.find(scope, _SETTINGS, owner_of(scope))
            settings = {} if record is None else dict(members(record.body))
            if removed:
                if name not in settings:
                    raise self._records.missing(scope)
                del settings[name]
            else:
                settings[name] = value
            if len(settings) > _MOST_SETTINGS:
                raise BadRequest(f"a user has at most {_MOST_SETTINGS} settings")
            revision = 0 if record is None else record.revision
            if await self._records.commit(scope, [Put(_SETTINGS, owner_of(scope), settings, revision)]):
                return
            await pause()
        raise Conflict(f"the preferences of a user of `{scope.tenant}` change too fast")
