"""Taking tools out of a request.

Promises: after `filter_tools` no tool is offered, in any place where the API offers tools, unless each of its names is
allowed; what was allowed stays as it was, in its order; a request of which nothing was taken isn't changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from partywall.errors import ToolDenied
from partywall.gateway.wire.shapes import JsonObject, malformed
from partywall.gateway.wire.tool_choice import narrow_choice
from partywall.gateway.wire.tool_names import entry_names, is_namespace, nested_tools

__all__ = ["Shelf", "filter_shelves", "offered_names", "shelf_at"]


MAX_TOOLS: Final = 1024
"""Tools that one request may offer, in all places together. OpenAI takes 128."""


@dataclass(slots=True)
class Shelf:
    """One list in a request that offers tools."""

    entries: list[object]
    where: str
    """The field, for messages."""
    names: Callable[[object, str], tuple[str, ...]] = entry_names
    """How an entry of it is called."""
    fixed: bool = False
    """Entries can't be taken out without changing what the conversation says; a denied one refuses the request."""


def shelf_at(holder: JsonObject, member: str, where: str | None = None) -> list[Shelf]:
    """The shelf in `holder[member]`; none when it isn't there.

    Raises:
        BadRequest: it is there and no list.
    """
    entries = holder.get(member)
    if isinstance(entries, list):
        return [Shelf(entries, where or member)]
    if member in holder:
        raise malformed(f"`{where or member}` must be a list of objects")
    return []


def offered_names(shelves: Iterable[Shelf]) -> list[str]:
    """The names of all tools on `shelves`, each once, in their order.

    Raises:
        BadRequest: an entry can't be named.
    """
    names: dict[str, None] = {}
    for shelf in shelves:
        for entry in shelf.entries:
            if isinstance(entry, dict) and entry.get("type") == "namespace":
                found = _names_inside(shelf, entry)
            else:
                found = shelf.names(entry, shelf.where)
            for name in found:
                names[name] = None
            if len(names) > MAX_TOOLS:
                raise malformed(f"a request must not offer more than {MAX_TOOLS} tools")
    return list(names)


def filter_shelves(body: JsonObject, shelves: list[Shelf], allowed: Callable[[str], bool]) -> list[str]:
    """Take what isn't allowed off `shelves`, in place, and out of `tool_choice`; return the names taken.

    Raises:
        BadRequest: an entry can't be named.
        ToolDenied: a denied tool can't be taken out, or one must be called and none is left.
    """
    denied: list[str] = []
    for shelf in shelves:
        _filter_one(shelf, allowed, denied)
    return denied + narrow_choice(body, allowed)


def _names_inside(shelf: Shelf, namespace: JsonObject) -> tuple[str, ...]:
    nested = Shelf(nested_tools(namespace, shelf.where), shelf.where)
    return (*offered_names([nested]), *_outer_names(shelf, namespace))


def _outer_names(shelf: Shelf, namespace: JsonObject) -> tuple[str, ...]:
    """What a server that knows no namespaces would read; nothing, unless somebody tries it on."""
    return () if namespace.keys().isdisjoint(("function", "custom")) else shelf.names(namespace, shelf.where)


def _filter_one(shelf: Shelf, allowed: Callable[[str], bool], denied: list[str]) -> None:
    kept = [entry for entry in shelf.entries if _keep(shelf, entry, allowed, denied)]
    if len(kept) == len(shelf.entries):
        return
    if shelf.fixed:
        raise ToolDenied(f"`{shelf.where}` adds `{denied[-1]}` in the middle of the conversation")
    shelf.entries[:] = kept


def _keep(shelf: Shelf, entry: object, allowed: Callable[[str], bool], denied: list[str]) -> bool:
    if isinstance(entry, dict) and is_namespace(entry):
        nested = nested_tools(entry, shelf.where)
        held_any = bool(nested)
        _filter_one(Shelf(nested, shelf.where), allowed, denied)
        if held_any and not nested:
            return False
        names = _outer_names(shelf, entry)
    else:
        names = shelf.names(entry, shelf.where)
    refused = [name for name in names if not allowed(name)]
    denied += refused
    return not refused
