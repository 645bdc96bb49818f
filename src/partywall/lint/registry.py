"""Every rule there is, family by family."""

from __future__ import annotations

from typing import Final

from partywall.lint import (
    chains,
    conditions,
    data,
    exposure,
    identity,
    isolation,
    keys,
    ownership,
    reachability,
    residency,
    roles,
    secrets,
    structure,
    upstream_credentials,
    watching,
)
from partywall.lint.rule import Rule

__all__ = ["FAMILIES", "RULES", "rule_of"]

FAMILIES: Final[tuple[tuple[str, tuple[Rule, ...]], ...]] = (
    ("Parts that don't fit together", structure.RULES),
    ("Callers' keys", keys.RULES),
    ("Issuers, claims and headers", identity.RULES),
    ("Secrets in clear text", secrets.RULES),
    ("Credentials for upstreams", upstream_credentials.RULES),
    ("Whose a target is", ownership.RULES),
    ("Routes and groups", reachability.RULES),
    ("Chains", chains.RULES),
    ("Conditions and stages", conditions.RULES),
    ("Roles and tools", roles.RULES),
    ("Regions and retention", residency.RULES),
    ("Addresses", exposure.RULES),
    ("Isolation", isolation.RULES),
    ("Stored data", data.RULES),
    ("What keeps watch", watching.RULES),
)
"""The rules by what they are about."""

RULES: Final = tuple(rule for _, rules in FAMILIES for rule in rules)

_BY_ID: Final = {rule.id: rule for rule in RULES}


def rule_of(rule: str) -> Rule:
    """The rule with this id."""
    return _BY_ID[rule]
