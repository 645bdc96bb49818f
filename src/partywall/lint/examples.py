"""The document that every rule's examples have in common.

Promises: `example(text)` is a whole document: the sections of `text`, and `BASE`'s for those that it leaves out. `BASE`
itself has no finding.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["BASE", "BASE_SECTIONS", "example", "sections"]

_KEYS: Final = {
    "ALPHA_KEY": '"sha256:6b1f83b3a0ed4a6b1e0a1d1f2e5b9c6a8b6a8e4c9d3a6f5e7c1b2a3948576f0d"',
    "BETA_KEY": '"sha256:c0d9a8b7e6f5142332415f6e7d8c9bafa1b2c3d4e5f60718293a4b5c6d7e8f90"',
    "OPERATOR_KEY": '"sha256:1f0e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"',
}
"""Digests of no key that anybody has."""

BASE: Final = """\
pack: {name: example}
providers:
  targets:
    - {id: alpha-llm, provider: parrot}
    - {id: beta-llm, provider: parrot}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: alpha-llm}
    - {name: beta, api_keys: [BETA_KEY], upstream: beta-llm}
policies:
  chain: [rbac, audit-logger]
policy:
  rbac:
    roles:
      analyst: {allowed_tools: [search, read_report]}
"""
_SECTION: Final = re.compile(r"^(?=[a-z_]+:)", re.MULTILINE)


def _keyed(text: str) -> str:
    for name, digest in _KEYS.items():
        text = text.replace(name, digest)
    return text


def sections(text: str) -> dict[str, str]:
    """The text of each top-level section, by its key."""
    return {part.partition(":")[0]: part for part in _SECTION.split(text) if part.strip()}


BASE_SECTIONS: Final = sections(_keyed(BASE))
"""Each section of `BASE`, by its key."""


def example(text: str = "") -> str:
    """A whole document of the sections in `text` and, behind them, those of `BASE` that `text` doesn't have."""
    own = sections(_keyed(text))
    return "".join([*own.values(), *(section for key, section in BASE_SECTIONS.items() if key not in own)])
