"""What the graph keeps: nodes and edges, where each lies, and how it is read back.

A node lies in one place, an edge in one; everything else is a reference, by which one of them is listed: the nodes of a
kind, those with a property, the edges from a node or to it, with or without a relation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from partywall.errors import BadRequest
from partywall.stores.collection import Group
from partywall.stores.fields import check_json, check_word, members, number, text
from partywall.stores.records import Record

__all__ = [
    "EDGES",
    "NODES",
    "Direction",
    "Edge",
    "Node",
    "edge_groups",
    "edge_id",
    "edges_at",
    "found_by",
    "node_groups",
    "of_kind",
    "read_edge",
    "read_node",
]

NODES: Final = Group("node", ("all",))
EDGES: Final = Group("edge", ("all",))


class Direction(StrEnum):
    """Which edges of a node: those that begin there, or those that end there."""

    OUT = "out"
    IN = "in"


@dataclass(frozen=True, slots=True)
class Node:
    """Something, and what is known of it."""

    id: str
    kind: str
    properties: Mapping[str, object]
    searchable: tuple[str, ...]
    """The properties by which it is found."""
    created: float
    """In seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Edge:
    """How one node stands to another. There is one for each source, relation and target."""

    id: str
    """Made here, of these three."""
    source: str
    relation: str
    target: str
    properties: Mapping[str, object]
    created: float


def of_kind(kind: str) -> Group:
    """The nodes of a kind."""
    return Group("kind", (check_word(kind, "a kind"),))


def found_by(kind: str, name: str, value: object) -> Group:
    """The nodes of a kind that have a property of exactly this value.

    Raises:
        BadRequest: a value that is none, or could mean every node (R4).
    """
    check_word(name, "a property's name")
    if value == "" or not isinstance(value, str | int | float):
        raise BadRequest("a searchable value is a text that isn't empty, a number, true or false")
    # Written as JSON: the text "1", the number 1 and true are three values.
    return Group("property", (check_word(kind, "a kind"), name, check_json(value, "a searchable value").decode()))


def node_groups(node: Node) -> set[Group]:
    """Where a node is referred to."""
    return {of_kind(node.kind), *(found_by(node.kind, name, node.properties[name]) for name in node.searchable)}


def edges_at(direction: Direction, node_id: str, relation: str | None = None) -> Group:
    """The edges that begin or end at a node, or those of them with a relation."""
    if relation is None:
        return Group(direction.value, (node_id,))
    return Group(f"{direction.value} by relation", (node_id, check_word(relation, "a relation")))


def edge_groups(edge: Edge) -> Iterator[Group]:
    """Where an edge is referred to: at both of its ends, with its relation and without."""
    for direction, end in ((Direction.OUT, edge.source), (Direction.IN, edge.target)):
        yield edges_at(direction, end)
        yield edges_at(direction, end, edge.relation)


def edge_id(source: str, relation: str, target: str) -> str:
    """The one id of the edge between these."""
    digest = hashlib.sha256()
    for part, what in ((source, "a node's id"), (relation, "a relation"), (target, "a node's id")):
        word = check_word(part, what).encode()
        digest.update(len(word).to_bytes(4, "big") + word)
    return f"edge_{digest.hexdigest()[:32]}"


def read_node(record: Record) -> Node:
    """A node, as it was put there."""
    body = members(record.body)
    searchable = _texts(body.get("searchable"))
    return Node(record.id, text(body, "kind"), members(body.get("properties")), searchable, number(body, "created"))


def read_edge(record: Record) -> Edge:
    """An edge, as it was put there."""
    body = members(record.body)
    ends = (text(body, "source"), text(body, "relation"), text(body, "target"))
    return Edge(record.id, *ends, members(body.get("properties")), number(body, "created"))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
