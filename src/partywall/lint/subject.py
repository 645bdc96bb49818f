"""What rules look at: one document, what policy makes of it, and the few things that several rules ask.

Promises: each answer is worked out once, and only when a rule asks; nothing here is quadratic in groups, routes or
targets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from partywall.config.document import Document
from partywall.config.integrity import Fault, faults
from partywall.config.kinds import PolicyKind
from partywall.config.routing import ChainEntry, Group, Route
from partywall.lint.findings import Path
from partywall.lint.reach import Reach
from partywall.policy.rules import Rules

__all__ = ["Chain", "Subject", "group_path", "kinds_of", "listed", "target_path"]

Chain = tuple[Path, tuple[ChainEntry, ...]]
"""Where a chain is, and its entries."""


class Subject:
    """One document under examination."""

    def __init__(self, document: Document, text: str) -> None:
        self.document = document
        self.text = text

    @cached_property
    def rules(self) -> Rules:
        """What decides about requests."""
        return Rules(self.document)

    @cached_property
    def reach(self) -> Reach:
        """Which group comes to which target on which route."""
        return Reach(self.groups, self.rules)

    @cached_property
    def faults(self) -> tuple[Fault, ...]:
        """What doesn't fit together."""
        return tuple(faults(self.document))

    @property
    def groups(self) -> tuple[Group, ...]:
        """Every consumer group."""
        return self.document.consumer_groups.groups

    @cached_property
    def tenants(self) -> frozenset[str]:
        """Every tenant that is declared or has a group."""
        return frozenset(self.document.tenant_ids())

    @cached_property
    def acting_tenants(self) -> frozenset[str]:
        """Every tenant that has a group, and so can call."""
        return frozenset(group.tenant_id for group in self.groups)

    @cached_property
    def chains(self) -> tuple[Chain, ...]:
        """Every chain of the document, the global one first; empty ones too."""
        groups = ((group_path(i, "chain"), group.chain) for i, group in enumerate(self.groups))
        routes = ((("routes", i, "chain"), route.chain) for i, route in enumerate(self.document.routes))
        return ((("policies", "chain"), self.document.policies.chain), *groups, *routes)

    @cached_property
    def global_kinds(self) -> frozenset[PolicyKind]:
        """The kinds in the global chain."""
        return kinds_of(self.document.policies.chain)

    @cached_property
    def mentioned_kinds(self) -> frozenset[PolicyKind]:
        """The kinds in any chain."""
        return frozenset(entry.kind for _, chain in self.chains for entry in chain)

    def entries(self) -> Iterator[tuple[Path, ChainEntry, tuple[ChainEntry, ...]]]:
        """Every entry of every chain, with its path, and what surely runs beside it: its own chain and the global."""
        everywhere = self.document.policies.chain
        for path, chain in self.chains:
            beside = chain if chain is everywhere else (*everywhere, *chain) if chain else ()
            for index, entry in enumerate(chain):
                yield (*path, index), entry, beside

    def tenant_path(self, tenant: str) -> Path:
        """Where the document first names `tenant`: its settings, or the group that acts for it."""
        if tenant in self.document.tenants:
            return ("tenants", tenant)
        return self._paths_by_group[tenant]

    @cached_property
    def _paths_by_group(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for index, group in enumerate(self.groups):
            found.setdefault(group.tenant_id, group_path(index, "name" if group.tenant is None else "tenant"))
        return found


def group_path(index: int, *steps: str | int) -> Path:
    """The path into the group `index`."""
    return ("consumer_groups", "groups", index, *steps)


def target_path(index: int, *steps: str | int) -> Path:
    """The path into the target `index`."""
    return ("providers", "targets", index, *steps)


def kinds_of(holder: Group | Route | tuple[ChainEntry, ...]) -> frozenset[PolicyKind]:
    """The kinds that a chain names."""
    chain = holder if isinstance(holder, tuple) else holder.chain
    return frozenset(entry.kind for entry in chain)


def listed(names: Iterable[str], most: int = 3) -> str:
    """`a`, `b` and 7 more: names for a message, sorted, the first few of them."""
    ordered = sorted(set(names))
    shown = [f"`{name}`" for name in ordered[:most]]
    if len(ordered) > most:
        return f"{', '.join(shown)} and {len(ordered) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
