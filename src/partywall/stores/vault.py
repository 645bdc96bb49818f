"""The vault: what a tenant's tools log in with, by tenant and tool.

Promises: a value goes in as a `Secret` and comes out as one, for the tenant that put it there; there is no other
tenant's and no platform's to fall back to. Listing opens names and no value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from partywall.errors import BadRequest, Conflict
from partywall.stores.collection import Collection, Drop, Group, Put
from partywall.stores.fields import Clock, Page, check_text, check_word, members, number, text
from partywall.tenancy import Secret, TenantScope

__all__ = ["StoredTool", "Vault"]

_NAMES: Final = Group("tool", ("all",))
_VALUES: Final = Group("credential", ("all",))
_LARGEST_SECRET_BYTES: Final = 64 * 2**10
_ATTEMPTS: Final = 10


@dataclass(frozen=True, slots=True)
class StoredTool:
    """A tool that has a credential."""

    name: str
    stored: float
    """When it was put there, in seconds since 1970."""


class Vault:
    """Tool to credential."""

    def __init__(self, collection: Collection, clock: Clock) -> None:
        self._records = collection
        self._clock = clock

    async def put(self, scope: TenantScope, tool: str, credential: Secret) -> None:
        """Keep the credential, in place of an older one.

        Raises:
            BadRequest: an empty or overlong name of a tool.
            Conflict: too many others write at the same time.
        """
        check_word(tool, "a tool's name")
        if type(credential) is not Secret:
            raise BadRequest("a credential is a Secret, so that nothing prints it on its way")
        value = check_text(credential.reveal(), "a credential", largest_bytes=_LARGEST_SECRET_BYTES)
        for _ in range(_ATTEMPTS):
            name = await self._records.find(scope, _NAMES, tool)
            held = await self._records.find(scope, _VALUES, tool)
            changes = [
                Put(_NAMES, tool, {"tool": tool, "stored": self._clock()}, 0 if name is None else name.revision),
                Put(_VALUES, tool, {"value": value}, 0 if held is None else held.revision),
            ]
            if await self._records.commit(scope, changes):
                return
        raise Conflict(f"a credential of `{scope.tenant}` could not be put in its place; remove it first")

    async def get(self, scope: TenantScope, tool: str) -> Secret:
        """The credential.

        Raises:
            Missing: the tenant has none for that tool.
        """
        check_word(tool, "a tool's name")
        record = await self._records.get(scope, _VALUES, tool)
        return Secret(text(members(record.body), "value"))

    async def remove(self, scope: TenantScope, tool: str) -> None:
        """Forget the credential.

        Raises:
            Missing: the tenant has none for that tool.
        """
        check_word(tool, "a tool's name")
        if not await self._records.commit(scope, [Drop(_NAMES, tool), Drop(_VALUES, tool)]):
            raise self._records.missing(scope)

    async def list_tools(
        self, scope: TenantScope, *, after: str | None = None, limit: int = 50, backwards: bool = False
    ) -> Page[StoredTool]:
        """Which tools have a credential, as they were first put there.

        Raises:
            Missing: there is no tool `after`.
        """
        page = await self._records.page(scope, _NAMES, after=after, limit=limit, backwards=backwards)
        found = [members(record.body) for record in page.items]
        return Page(tuple(StoredTool(text(tool, "tool"), number(tool, "stored")) for tool in found), page.has_more)
