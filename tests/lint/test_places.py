"""Findings stand where a reader would look, in every way in which the document may be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from partywall.config.loading import DocumentInvalid
from partywall.errors import ConfigError
from partywall.lint import lint, lint_bytes

from .documents import digest

SHORT_FORMS = f"""\
pack: {{name: short}}
providers:
  targets:
    - {{id: alpha-llm, provider: parrot}}
    - {{id: beta-llm, provider: parrot}}
consumer_groups:
  - name: alpha
    api_keys:
      - {digest("test")}
    upstream: alpha-llm
  - name: beta
    api_keys: [{digest("another random key of beta's")}]
    upstream: beta-llm
policies:
  chain:
    - rbac:
        when: {{header: {{X-Agent: "1"}}}}
    - kind: data-routing-policy
      stage: post-response
"""


def places(text: str) -> dict[str, tuple[int, int]]:
    report = lint_bytes(text.encode(), Path("short.yaml"))
    return {finding.rule: (finding.place.line, finding.place.column) for finding in report.findings if finding.place}


def test_short_and_long_forms_of_groups_and_chains() -> None:
    found = places(SHORT_FORMS)
    assert found["weak-key"] == (9, 9)
    assert found["dodgeable-policy"] == (17, 9)
    assert found["policy-at-idle-stage"] == (19, 14)


def test_a_setting_that_is_left_out_is_shown_at_what_holds_it() -> None:
    assert places(SHORT_FORMS)["chain-without-audit-logger"] == (15, 3)
    assert places(SHORT_FORMS)["rbac-without-roles"] == (1, 1)


def test_comments_have_places_too() -> None:
    text = SHORT_FORMS + "# the old key was sk-live-abcdef1234567890abcdef\n"
    report = lint_bytes(text.encode(), Path("short.yaml"))
    last = report.findings[-1]
    assert last.place is not None
    assert (last.rule, last.place.line, last.place.column) == ("secret-in-clear", 20, 19)
    assert last.path == ()


def test_findings_come_in_the_order_of_the_document() -> None:
    report = lint_bytes(SHORT_FORMS.encode(), Path("short.yaml"))
    lines = [finding.place.line for finding in report.findings if finding.place]
    assert lines == sorted(lines)
    assert len(lines) > 3


def test_a_document_that_cannot_be_read_raises(tmp_path: Path) -> None:
    with pytest.raises(DocumentInvalid, match="no such file"):
        lint(tmp_path / "absent.yaml")
    bad = tmp_path / "bad.yaml"
    bad.write_text("pack: {name: x}\nunheard_of: 1\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml:2:1"):
        lint(bad)


def test_a_report_says_which_bytes_it_is_about(tmp_path: Path) -> None:
    path = tmp_path / "partywall.yaml"
    path.write_text(SHORT_FORMS)
    report = lint(path)
    assert report.source == str(path)
    assert digest(SHORT_FORMS) == f'"sha256:{report.digest}"'
