"""Documents for the tests of lint: the examples' common one, with some of its sections replaced."""

from __future__ import annotations

import hashlib
from pathlib import Path

from partywall.lint import Report, lint_bytes
from partywall.lint.examples import example

TWO_GROUPS = """\
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY]}
    - {name: beta, api_keys: [BETA_KEY]}
"""
"""Both tenants without an upstream of their own: whatever nobody claims is theirs."""


def judged(text: str = "") -> Report:
    """The report on the example document with the sections of `text`."""
    return lint_bytes(example(text).encode(), Path("partywall.yaml"))


def found(text: str = "") -> set[str]:
    """The rules that the document with the sections of `text` breaks, but for what isn't built."""
    return {finding.rule for finding in judged(text).findings} - {"not-built"}


def messages(rule: str, text: str) -> list[str]:
    """What `rule` says about the document with the sections of `text`."""
    return [finding.message for finding in judged(text).findings if finding.rule == rule]


def digest(key: str) -> str:
    """How a document holds `key`, in quotes."""
    return f'"sha256:{hashlib.sha256(key.encode()).hexdigest()}"'
