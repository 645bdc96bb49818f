"""The knowledge graph: nodes, edges between them, and walks along them.

Promises: a node is one tenant's, whatever its id: equal ids in two tenants are two nodes, and no edge leads from one to
the other (C32). Each step of a walk is authorised and verified like the first. A node goes with all of its edges, in
one change (R6). A property is found by its whole value, byte for byte, through a keyed hash, if it was declared
searchable when it was put there; the backend sees neither names nor values (R5, R7).

Doesn't promise: to keep anything from a tenant's own users. The graph is the organisation's, not a person's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from partywall.errors import BadRequest, Conflict, Missing, PayloadTooLarge, QuotaExceeded
from partywall.stores.collection import Collection, Drop, Group, Put, StoreChange
from partywall.stores.fields import ATTEMPTS, Clock, Page, check_json, check_word, members, new_id, number, pause
from partywall.stores.graph_records import (
    EDGES,
    NODES,
    Direction,
    Edge,
    Node,
    edge_groups,
    edge_id,
    edges_at,
    found_by,
    node_groups,
    of_kind,
    read_edge,
    read_node,
)
from partywall.stores.records import Record
from partywall.tenancy import TenantScope

__all__ = ["Direction", "Edge", "Graph", "Neighbour", "Node", "Reached"]

_KIND: Final = "node"
_LARGEST_PROPERTIES_BYTES: Final = 64 * 2**10
_MOST_SEARCHABLE: Final = 16
_MOST_EDGES: Final = 1000
"""That begin or end at one node: they go with it, in one change."""
_DEEPEST: Final = 4
_MOST_RELATIONS: Final = 16
_MOST_REACHED: Final = 1000
_MOST_LOOKED_AT: Final = 10_000
"""Edges that one walk looks at."""
_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A node, and the edge that leads there."""

    node: Node
    edge: Edge


class Reached(NamedTuple):
    """A node that a walk has come to."""

    node: Node
    depth: int
    """Steps from the start, which isn't in the list itself."""
    edge: Edge
    """The one by which it was first reached."""


class Graph:
    """The graph of every tenant."""

    def __init__(self, collection: Collection, clock: Clock) -> None:
        self._records = collection
        self._clock = clock

    # -- Nodes ---

    async def put_node(
        self,
        scope: TenantScope,
        kind: str,
        properties: Mapping[str, object],
        *,
        node_id: str | None = None,
        searchable: Sequence[str] = (),
    ) -> Node:
        """Keep a node, in place of the one of that id; its edges stay. Without an id, a new one with an id made here.

        Raises:
            BadRequest, PayloadTooLarge: an empty or overlong id or kind; properties that are no JSON or more than 64
                KiB; a searchable property that isn't there, or has another value than a text, a number, true or false.
            Missing: the id looks like one of ours, and there is no such node.
            Conflict: too many others write at the same time.
        """
        own = new_id(_KIND) if node_id is None else check_word(node_id, "a node's id")
        node = Node(own, kind, _checked(properties), _searchable(properties, searchable), self._clock())
        groups = node_groups(node)
        for _ in range(ATTEMPTS):
            record = await self._records.find(scope, NODES, own)
            old: set[Group] = set()
            if record is not None:
                node = replace(node, created=read_node(record).created)
                old = node_groups(read_node(record))
            elif node_id is not None and own.startswith(f"{_KIND}_"):
                raise self._records.missing(scope)
            changes: list[StoreChange] = [_node_put(node, record)]
            changes += [Drop(group, own) for group in sorted(old - groups)]
            changes += [Put(group, own, {}) for group in sorted(groups - old)]
            if await self._records.commit(scope, changes):
                return node
            await pause()
        raise self._busy(scope)

    async def get_node(self, scope: TenantScope, node_id: str) -> Node:
        """The node.

        Raises:
            Missing: the tenant has none of that id.
        """
        return read_node(await self._records.get(scope, NODES, node_id))

    async def delete_node(self, scope: TenantScope, node_id: str) -> None:
        """Delete a node with all edges that begin or end there, at once.

        Raises:
            Missing: see `get_node`.
            Conflict: too many others write at the same time.
        """
        for _ in range(ATTEMPTS):
            record = await self._records.get(scope, NODES, node_id)
            changes = await self._goes_with(scope, node_id)
            if changes is not None:
                # The revision is checked: an edge that is made meanwhile changes it, and would be left behind (R6).
                changes += [Drop(group, node_id) for group in sorted(node_groups(read_node(record)))]
                if await self._records.commit(scope, [Drop(NODES, node_id, record.revision), *changes]):
                    return
            await pause()
        raise self._busy(scope)

    async def list_nodes(
        self,
        scope: TenantScope,
        kind: str | None = None,
        *,
        after: str | None = None,
        limit: int = 50,
        backwards: bool = False,
    ) -> Page[Node]:
        """The tenant's nodes, or those of a kind, as they were made, or the other way round, behind the one `after`.

        Raises:
            BadRequest: an empty kind. It would not mean every kind.
            Missing: there is no node `after` among them.
        """
        if kind is not None:
            return await self._referred(scope, of_kind(kind), after=after, limit=limit, backwards=backwards)
        page = await self._records.page(scope, NODES, after=after, limit=limit, backwards=backwards)
        return Page(tuple(read_node(record) for record in page.items), page.has_more)

    async def search(
        self,
        scope: TenantScope,
        kind: str,
        name: str,
        value: object,
        *,
        after: str | None = None,
        limit: int = 50,
        backwards: bool = False,
    ) -> Page[Node]:
        """The nodes of a kind whose searchable property `name` is exactly `value`, behind the one with the id `after`.

        Raises:
            BadRequest: an empty kind, name or value.
            Missing: there is no node `after` among them.
        """
        group = found_by(kind, name, value)
        return await self._referred(scope, group, after=after, limit=limit, backwards=backwards)

    # -- Edges ---

    async def put_edge(
        self,
        scope: TenantScope,
        source: str,
        relation: str,
        target: str,
        properties: Mapping[str, object] | None = None,
    ) -> Edge:
        """Keep the edge from one node to another, in place of an earlier one of this relation.

        Raises:
            BadRequest, PayloadTooLarge: an empty or overlong id or relation, or properties as in `put_node`.
            Missing: the tenant has no such node at one of the ends.
            QuotaExceeded: a thousand edges begin or end at one of them.
            Conflict: too many others write at the same time.
        """
        own = edge_id(source, relation, target)
        edge = Edge(own, source, relation, target, _checked(properties or {}), self._clock())
        for _ in range(ATTEMPTS):
            old = await self._records.find(scope, EDGES, own)
            if old is not None:
                edge = replace(edge, created=read_edge(old).created)
            # Both ends change with every edge, so that neither goes while one is made.
            ends = await self._recounted(scope, {source, target}, 1 if old is None else 0)
            if ends is None:
                raise self._records.missing(scope)
            changes: list[StoreChange] = [_edge_put(edge, old), *ends]
            if old is None:
                changes += [Put(group, own, {}) for group in edge_groups(edge)]
            if await self._records.commit(scope, changes):
                return edge
            await pause()
        raise self._busy(scope)

    async def delete_edge(self, scope: TenantScope, source: str, relation: str, target: str) -> None:
        """Delete the edge.

        Raises:
            Missing: the tenant has no such edge.
            Conflict: too many others write at the same time.
        """
        own = edge_id(source, relation, target)
        for _ in range(ATTEMPTS):
            edge = read_edge(await self._records.get(scope, EDGES, own))
            ends = await self._recounted(scope, {source, target}, -1)
            if ends is not None and await self._records.commit(scope, [*_edge_dropped(edge), *ends]):
                return
            await pause()
        raise self._busy(scope)

    async def neighbours(
        self,
        scope: TenantScope,
        node_id: str,
        relation: str | None = None,
        *,
        direction: Direction = Direction.OUT,
        after: str | None = None,
        limit: int = 50,
        backwards: bool = False,
    ) -> Page[Neighbour]:
        """Where the edges of a node lead, or those with a relation, as they were made, behind the edge `after`.

        Raises:
            BadRequest: an empty relation. It would not mean every relation.
            Missing: the tenant has no such node, or the node no edge `after` among these.
        """
        group = edges_at(direction, node_id, relation)
        await self._records.get(scope, NODES, node_id)
        page = await self._records.page(scope, group, after=after, limit=limit, backwards=backwards)
        found = [await self._neighbour(scope, record.id, direction) for record in page.items]
        return Page(tuple(each for each in found if each is not None), page.has_more)

    # -- Walks ---

    async def walk(
        self, scope: TenantScope, start: str, relations: Sequence[str], *, depth: int = 2, limit: int = 100
    ) -> Page[Reached]:
        """The nodes that edges with these relations lead to, the nearest first, each once, in at most `depth` steps.

        `has_more` says that there are more than `limit`, or too many edges to look at.

        Raises:
            BadRequest: no relation, or an empty one; a depth that isn't 1 to 4, or a limit that isn't 1 to 1,000.
            Missing: the tenant has no node `start`.
        """
        _check_walk(relations, depth, limit)
        await self._records.get(scope, NODES, start)
        reached: dict[str, Reached] = {}
        frontier, looked_at = [start], 0
        for step in range(1, depth + 1):
            ahead: list[str] = []
            for group in [edges_at(Direction.OUT, here, relation) for here in frontier for relation in relations]:
                for found in await self._all_neighbours(scope, group):
                    looked_at += 1
                    if found.node.id in reached or found.node.id == start:
                        continue
                    if len(reached) == limit or looked_at > _MOST_LOOKED_AT:
                        return Page(tuple(reached.values()), has_more=True)
                    reached[found.node.id] = Reached(found.node, step, found.edge)
                    ahead.append(found.node.id)
            frontier = ahead
        return Page(tuple(reached.values()), has_more=False)

    # -- Steps ---

    async def _referred(
        self, scope: TenantScope, group: Group, *, after: str | None, limit: int, backwards: bool
    ) -> Page[Node]:
        page = await self._records.page(scope, group, after=after, limit=limit, backwards=backwards)
        found = [await self._records.find(scope, NODES, reference.id) for reference in page.items]
        return Page(tuple(read_node(record) for record in found if record is not None), page.has_more)

    async def _neighbour(self, scope: TenantScope, own: str, direction: Direction) -> Neighbour | None:
        """None when the edge, and perhaps the node, was deleted meanwhile."""
        record = await self._records.find(scope, EDGES, own)
        if record is None:
            return None
        edge = read_edge(record)
        node = await self._records.find(scope, NODES, edge.target if direction is Direction.OUT else edge.source)
        return None if node is None else Neighbour(read_node(node), edge)

    async def _all_neighbours(self, scope: TenantScope, group: Group) -> list[Neighbour]:
        references = await self._all(scope, group) or []
        found = [await self._neighbour(scope, each, Direction.OUT) for each in references]
        return [each for each in found if each is not None]

    async def _all(self, scope: TenantScope, group: Group) -> list[str] | None:
        """The ids of a group's records; None when it changed while it was read."""
        ids: list[str] = []
        while True:
            try:
                page = await self._records.page(
                    scope, group, after=ids[-1] if ids else None, limit=_PAGE, backwards=False
                )
            except Missing:
                return None
            ids += [record.id for record in page.items]
            if not page.has_more:
                return ids

    async def _goes_with(self, scope: TenantScope, node_id: str) -> list[StoreChange] | None:
        """What takes a node's edges away, at the other ends as well; None when they changed while they were read."""
        edges: dict[str, Edge] = {}
        for direction in Direction:
            for own in await self._all(scope, edges_at(direction, node_id)) or ():
                record = await self._records.find(scope, EDGES, own)
                if record is None:
                    return None
                edges[own] = read_edge(record)
        changes = [change for edge in edges.values() for change in _edge_dropped(edge)]
        ends = Counter(end for edge in edges.values() for end in {edge.source, edge.target} - {node_id})
        for end, lost in sorted(ends.items()):
            recounted = await self._recounted(scope, {end}, -lost)
            if recounted is None:
                return None
            changes += recounted
        return changes

    async def _recounted(self, scope: TenantScope, ends: set[str], by: int) -> list[StoreChange] | None:
        """Nodes with another count of edges; None when there is no such node.

        Raises:
            QuotaExceeded: one has too many.
        """
        changes: list[StoreChange] = []
        for end in sorted(ends):
            record = await self._records.find(scope, NODES, end)
            if record is None:
                return None
            if _edges(record) + by > _MOST_EDGES:
                raise QuotaExceeded(f"a node of `{scope.tenant}` has {_MOST_EDGES} edges")
            changes.append(_node_put(read_node(record), record, by))
        return changes

    def _busy(self, scope: TenantScope) -> Conflict:
        return Conflict(f"the graph of `{scope.tenant}` changes too fast")


def _node_put(node: Node, record: Record | None, more_edges: int = 0) -> Put:
    body = {
        "kind": node.kind,
        "properties": node.properties,
        "searchable": list(node.searchable),
        "created": node.created,
        "edges": more_edges if record is None else _edges(record) + more_edges,
    }
    return Put(NODES, node.id, body, 0 if record is None else record.revision)


def _edges(record: Record) -> int:
    return int(number(members(record.body), "edges"))


def _edge_put(edge: Edge, record: Record | None) -> Put:
    body = {
        "source": edge.source,
        "relation": edge.relation,
        "target": edge.target,
        "properties": edge.properties,
        "created": edge.created,
    }
    return Put(EDGES, edge.id, body, 0 if record is None else record.revision)


def _edge_dropped(edge: Edge) -> list[StoreChange]:
    return [Drop(EDGES, edge.id), *(Drop(group, edge.id) for group in edge_groups(edge))]


def _checked(properties: Mapping[str, object]) -> Mapping[str, object]:
    if type(properties) is not dict:
        raise BadRequest("properties are a dict of names and JSON")
    size = len(check_json(properties, "properties"))
    if size > _LARGEST_PROPERTIES_BYTES:
        raise PayloadTooLarge(f"properties have {size} bytes; at most {_LARGEST_PROPERTIES_BYTES} are kept")
    return properties


def _searchable(properties: Mapping[str, object], names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str) or len(names) > _MOST_SEARCHABLE:
        raise BadRequest(f"searchable properties are a list of at most {_MOST_SEARCHABLE} names")
    for name in names:
        if check_word(name, "a property's name") not in properties:
            raise BadRequest("a searchable property is one of the node's")
    return tuple(dict.fromkeys(names))


def _check_walk(relations: Sequence[str], depth: int, limit: int) -> None:
    if isinstance(relations, str) or not 1 <= len(relations) <= _MOST_RELATIONS:
        raise BadRequest(f"a walk follows a list of 1 to {_MOST_RELATIONS} relations; none would not mean every one")
    if type(depth) is not int or not 1 <= depth <= _DEEPEST:
        raise BadRequest(f"a walk takes 1 to {_DEEPEST} steps")
    if type(limit) is not int or not 1 <= limit <= _MOST_REACHED:
        raise BadRequest(f"a walk comes to 1 to {_MOST_REACHED} nodes")
    for relation in relations:
        check_word(relation, "a relation")
