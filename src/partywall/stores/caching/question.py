"""What decides whether one answer may serve two requests.

Promises: one function makes the names under which answers are kept (LESSONS B 3). The tenant is an argument of it and
in the key; every field of `Circumstances` is in it, framed by its length, so that no two lists of fields read alike;
the whole hash is used. What isn't said and what is empty are two things.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from partywall.stores.walls import Cryptography
from partywall.tenancy import TenantId, TenantScope

__all__ = ["Circumstances", "Groups", "Names", "Question", "names_of"]

_MOST_GROUPS: Final = 1024


class Circumstances(NamedTuple):
    """What an answer depends on besides the request's body. The tenant isn't here: it is the scope's."""

    api: str
    path: str
    targets: str
    """The targets that it could be sent to, in order, and the model that each is asked for."""
    document: str
    """The digest of the document: which models, policies, roles and permitted tools there are (the ACL's version)."""
    group: str | None
    role: str | None
    route: str | None
    query: str
    """The parameters that are sent on."""
    headers: str
    """The client's headers that are sent on."""
    user: str | None
    """None where the users of a tenant share its answers."""


class Question(NamedTuple):
    """One request as it would be sent."""

    circumstances: Circumstances
    body: str
    """The whole body, in one spelling: model, parameters, tools, instructions, history, passages, question."""
    rest: str | None
    """The body without the last words of its user; None when these can't be told from it, and only equals match."""
    words: str
    """The last words of its user."""


class Names(NamedTuple):
    """Keyed hashes of one question."""

    group: bytes
    """The partition: the same for questions that differ in the last words alone, or in the whole body when `rest` isn't
    told apart."""
    answer: bytes
    hint: bytes
    """Where it is noted what was asked, for questions that are alike."""


class Groups:
    """Partitions whose names were worked out before, as long as only equals match in them. It opens nothing."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[TenantId, Circumstances], bytes] = {}

    async def of(self, keys: Cryptography, scope: TenantScope, circumstances: Circumstances) -> bytes:
        """The name of the scope's tenant's partition. Raises as `names_of`."""
        key = scope.tenant, circumstances
        known = self._known.get(key)
        if known is None:
            known = await keys.name(scope, "answers", *_parts(circumstances), "absent", "")
            if len(self._known) >= _MOST_GROUPS:
                self._known.clear()
            self._known[key] = known
        return known


async def names_of(
    keys: Cryptography, scope: TenantScope, question: Question, model: str | None, groups: Groups | None = None
) -> Names:
    """The names of a question of the scope's tenant; `model` is the one that compares words, if any does.

    `groups` remembers between questions to one ring of keys.

    Raises:
        KeyUnavailable: the tenant's key can't be had.
    """
    rest = None if model is None else question.rest
    if rest is None or model is None:
        group = await (groups or Groups()).of(keys, scope, question.circumstances)
    else:
        group = await keys.name(scope, "answers", *_parts(question.circumstances), "=" + model, rest)
    within = group.hex()
    answer = await keys.name(scope, "answer", within, question.body)
    if rest is None:
        return Names(group, answer, answer)
    return Names(group, answer, await keys.name(scope, "hint", within, question.body))


def _parts(circumstances: Circumstances) -> list[str]:
    parts: list[str] = []
    for name, value in zip(Circumstances._fields, circumstances, strict=True):
        parts += (name, "absent" if value is None else "=" + value)
    return parts
