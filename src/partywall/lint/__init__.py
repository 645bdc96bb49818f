"""`partywall lint`: isolation faults in a document, before anybody is served by it.

Promises: `lint` judges what the document says, with the same parser, the same model and the same policy that serve it.
Each finding has a rule with a reason, a mend and two examples; `docs/lint.md` has them all.

Doesn't promise: that a document without findings is safe. It says nothing about the network, the vendors' promises, or
what applications do with their keys.
"""

from partywall.lint.as_json import render_json
from partywall.lint.explaining import Explained, explain, render_explain_json, render_explain_text
from partywall.lint.findings import Finding, Level, Report
from partywall.lint.linter import lint, lint_bytes
from partywall.lint.reference import render_rules_markdown
from partywall.lint.registry import RULES
from partywall.lint.rule import Rule
from partywall.lint.sarif import render_sarif
from partywall.lint.text import render_text

__all__ = [
    "RULES",
    "Explained",
    "Finding",
    "Level",
    "Report",
    "Rule",
    "explain",
    "lint",
    "lint_bytes",
    "render_explain_json",
    "render_explain_text",
    "render_json",
    "render_rules_markdown",
    "render_sarif",
    "render_text",
]
