"""Roles and the tools they may use.

Promises: a denial beats a permission; a tool that no list names, a role that the document doesn't know, and a request
without a role get no tool at all. Names are matched as they stand: no case folding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from partywall.config.policy import RoleTools
from partywall.policy.globs import matcher

__all__ = ["ToolRules", "ToolTest"]

ToolTest = Callable[[str], bool]


class ToolRules:
    """The document's `roles`, compiled."""

    __slots__ = ("_tests",)

    def __init__(self, roles: Mapping[str, RoleTools]) -> None:
        self._tests = {name: _test(role) for name, role in roles.items()}

    def of(self, role: str | None) -> ToolTest:
        """The test for tools of `role`."""
        return self._tests.get(role, _no_tool) if role is not None else _no_tool


def _test(role: RoleTools) -> ToolTest:
    allowed, denied = matcher(role.allowed_tools), matcher(role.denied_tools)
    return lambda tool: allowed(tool) and not denied(tool)


def _no_tool(_tool: str) -> bool:
    return False
