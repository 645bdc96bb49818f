"""System prompts: what a tenant has every model told before anybody of its own speaks.

Promises: a tenant has one current prompt or none; there is no other tenant's to fall back to. Each change is a version
with a number, who made it and when; the last hundred are kept, until the tenant's prompt is cleared and all of them go
at once.

Doesn't promise: secrecy towards the tenant's own users. A model may repeat what it was told.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from partywall.errors import BadRequest, Conflict, StoreUnavailable
from partywall.stores.collection import Collection, Drop, DropGroup, Group, Put, StoreChange
from partywall.stores.fields import ATTEMPTS, Clock, Page, check_text, members, number, pause, text
from partywall.stores.records import Record
from partywall.stores.walls import authorise
from partywall.tenancy import TenantScope

__all__ = ["SystemPrompt", "SystemPrompts"]

_CURRENT: Final = Group("current", ("all",))
_VERSIONS: Final = Group("version", ("all",))
_THE_ONE: Final = "prompt"
_LARGEST_BYTES: Final = 64 * 2**10
_KEPT: Final = 100


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    """One version of a tenant's prompt."""

    version: int
    """1 for the first."""
    text: str
    created: float
    """In seconds since 1970."""
    created_by: str
    """The user, or the credential of a caller without one."""


class SystemPrompts:
    """Tenant to prompt."""

    def __init__(self, collection: Collection, clock: Clock) -> None:
        self._records = collection
        self._clock = clock

    async def find(self, scope: TenantScope) -> SystemPrompt | None:
        """The tenant's current prompt, or None when it has none.

        Raises:
            KeyUnavailable, StoreUnavailable: it can't be told now; or what lies in its place was dropped at a wall, for
                then the tenant has one, and nobody may go on as if it hadn't.
        """
        record = await self._records.find(scope, _CURRENT, _THE_ONE)
        if record is None and (await self.list_versions(scope, limit=1)).items:
            record = await self._records.find(scope, _CURRENT, _THE_ONE)  # made meanwhile, with its first version
            if record is None:
                raise StoreUnavailable(f"the system prompt of `{scope.tenant}` can't be read, and it has one")
        return None if record is None else _prompt(record)

    async def get(self, scope: TenantScope) -> SystemPrompt:
        """As `find`.

        Raises:
            Missing: the tenant has none.
        """
        prompt = await self.find(scope)
        if prompt is None:
            raise self._records.missing(scope)
        return prompt

    async def put(self, scope: TenantScope, prompt: str) -> SystemPrompt:
        """Make `prompt` the tenant's current one.

        Raises:
            BadRequest, PayloadTooLarge: it is empty, blank, no Unicode, or larger than 64 KiB.
            Conflict: too many others write at the same time.
        """
        if not check_text(prompt, "a system prompt", largest_bytes=_LARGEST_BYTES).strip():
            raise BadRequest("a system prompt says something")
        for _ in range(ATTEMPTS):
            held = await self._records.find(scope, _CURRENT, _THE_ONE)
            version = 1 if held is None else _prompt(held).version + 1
            made = SystemPrompt(version, prompt, self._clock(), _who(scope))
            changes: list[StoreChange] = [
                Put(_CURRENT, _THE_ONE, asdict(made), 0 if held is None else held.revision),
                Put(_VERSIONS, str(version), asdict(made)),
            ]
            if version > _KEPT:
                changes.append(Drop(_VERSIONS, str(version - _KEPT)))
            if await self._records.commit(scope, changes):
                return made
            await pause()
        raise Conflict(f"the system prompt of `{scope.tenant}` changes too fast")

    async def list_versions(
        self, scope: TenantScope, *, after: int | None = None, limit: int = 50, backwards: bool = False
    ) -> Page[SystemPrompt]:
        """The versions that are kept, from the oldest or the other way round, behind the one numbered `after`.

        Raises:
            Missing: there is no version `after`.
        """
        behind = None if after is None else str(after)
        page = await self._records.page(scope, _VERSIONS, after=behind, limit=limit, backwards=backwards)
        return Page(tuple(_prompt(record) for record in page.items), page.has_more)

    async def clear(self, scope: TenantScope) -> None:
        """Forget the prompt with all of its versions, at once; having none is fine."""
        await self._records.commit(scope, [DropGroup(_CURRENT), DropGroup(_VERSIONS)])


def _who(scope: TenantScope) -> str:
    user = authorise(scope).user
    return str(scope.credential_id) if user is None else f"user:{user}"


def _prompt(record: Record) -> SystemPrompt:
    body = members(record.body)
    return SystemPrompt(
        int(number(body, "version")), text(body, "text"), number(body, "created"), text(body, "created_by")
    )
