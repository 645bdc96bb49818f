"""`docs/lint.md`, written from the rules themselves.

Promises: the same rules give the same text, and `tests/lint/test_reference.py` fails when the file says otherwise.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Final

from partywall.lint.examples import BASE_SECTIONS, sections
from partywall.lint.findings import Level
from partywall.lint.registry import FAMILIES, RULES
from partywall.lint.rule import Rule

__all__ = ["render_rules_markdown"]

_PREAMBLE: Final = """\
# What `partywall lint` finds

`partywall lint CONFIG [--format text|json|sarif] [--explain]` reads a document as `serve` would and judges whether it
keeps tenants apart. It exits with 0 when nothing is an error, with 1 when something is, and with 2 when the document
can't be read. `--explain` shows, for every group on every route, which policies run and where requests may go.

| level | means |
|---|---|
| error | A tenant can reach what isn't its own, a named wall isn't there, or `serve` would refuse the document. |
| warning | A way to weaken a wall, or an accident that waits to happen. |
| note | Worth knowing. |

Written from the rules by `partywall.lint.reference`; changes made by hand are lost.

Each rule has a bad example and a good one, which the tests run. Of each example only the sections that matter are
shown; the others are those of this document, in which lint finds nothing:

"""


def render_rules_markdown() -> str:
    """Every rule with its level, reason, mend and examples, as Markdown."""
    parts = [_PREAMBLE, _code("".join(BASE_SECTIONS.values())), "\n", _contents()]
    for title, rules in FAMILIES:
        parts.append(f"\n## {title}\n")
        parts += map(_rule, rules)
    return "".join(parts)


def _contents() -> str:
    rows = "".join(f"| [`{rule.id}`](#{rule.id}) | {rule.level} | {rule.title} |\n" for rule in RULES)
    errors, warnings, notes = (sum(rule.level is level for rule in RULES) for level in Level)
    counts = f"{errors} errors, {warnings} warnings and {notes} notes"
    return f"{len(RULES)} rules: {counts}.\n\n| rule | level | finds |\n|---|---|---|\n{rows}"


def _rule(rule: Rule) -> str:
    bad = _own_sections(rule.bad)
    good = {*_own_sections(rule.good), *bad}
    also = "".join(f" It is `{other}` too." for other in sorted(rule.also))
    return (
        f"\n### `{rule.id}`\n\n{rule.title}. Level: {rule.level}.{also}\n\n"
        f"{_wrapped(rule.why)}\n\n{_wrapped(f'**Mend.** {rule.mend}')}\n\n"
        f"Bad:\n\n{_shown(rule.bad, bad)}\nGood:\n\n{_shown(rule.good, good)}"
    )


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _own_sections(document: str) -> set[str]:
    """The sections in which `document` differs from what all examples have in common."""
    return {key for key, text in sections(document).items() if BASE_SECTIONS.get(key) != text}


def _shown(document: str, keys: Iterable[str]) -> str:
    kept = [text for key, text in sections(document).items() if key in keys]
    return _code("".join(kept)) if kept else "The same without that section.\n"


def _code(text: str) -> str:
    return f"```yaml\n{text}```\n"
