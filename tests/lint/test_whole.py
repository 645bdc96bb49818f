"""Lint as a whole: any document gets a report, and a large one gets it soon."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.config.loading import DocumentInvalid
from partywall.lint import RULES, Level, lint_bytes, render_json, render_sarif, render_text
from partywall.lint.examples import sections

PARTS = sorted({(key, text) for rule in RULES for one in (rule.bad, rule.good) for key, text in sections(one).items()})
KEYS = sorted({key for key, _ in PARTS})


@settings(max_examples=150, deadline=None)
@given(st.fixed_dictionaries({}, optional={k: st.sampled_from([t for key, t in PARTS if key == k]) for k in KEYS}))
def test_any_mixture_of_the_examples_gets_a_report(chosen: dict[str, str]) -> None:
    text = "".join(chosen.values())
    try:
        report = lint_bytes(text.encode(), Path("mixed.yaml"))
    except DocumentInvalid:
        return
    known = {rule.id for rule in RULES}
    assert {finding.rule for finding in report.findings} <= known
    assert len(set(report.findings)) == len(report.findings)
    assert report.has_errors == (report.count(Level.ERROR) > 0)
    render_text(report)
    for rendered in (render_json(report), render_sarif(report)):
        assert json.loads(rendered)


def large(count: int) -> str:
    """Tenants with a key, an upstream and a route each, and a pool for all."""
    digests = [hashlib.sha256(f"random {number}".encode()).hexdigest() for number in range(count)]
    return "\n".join(
        [
            "pack: {name: large}",
            "providers:",
            "  targets:",
            *(
                f"    - {{id: pool-{number}, provider: vllm, base_url: 'https://v{number}.example'}}"
                for number in range(20)
            ),
            *(
                f"    - {{id: u{number}, provider: openai, secret_key_ref: {{env: K{number}}}}}"
                for number in range(count)
            ),
            "consumer_groups:",
            "  groups:",
            *(f"    - {{name: t{n}, api_keys: ['sha256:{digests[n]}'], upstream: u{n}}}" for n in range(count)),
            *(f"    - {{name: pool-{n}, tenant: t{n}, allowed_models: ['a{n}*']}}" for n in range(count)),
            "routes:",
            *(
                f"  - {{name: r{n}, path: /t{n}, match: prefix, upstream: u{n}, headers: {{X-A: b}}}}"
                for n in range(count)
            ),
            "  - {name: rest, path: /, match: prefix}",
            "policies: {chain: [audit-logger, {rbac: {when: {header: {X-A: b}}}}]}",
            "residency: {allowed_regions: [eu]}",
        ]
    )


def test_ten_thousand_groups_take_seconds() -> None:
    text = large(5_000).encode()
    started = time.process_time()
    report = lint_bytes(text, Path("large.yaml"))
    spent_seconds = time.process_time() - started
    assert report.count(Level.ERROR) >= 5_000  # no target lies in a region, for ten thousand groups
    # Reading it alone takes two or three; a quadratic rule would take minutes.
    assert spent_seconds < 40


def test_lint_loads_neither_the_gateway_nor_cryptography() -> None:
    code = (
        "import sys, partywall.lint; "
        "print({'partywall.gateway', 'partywall.identity', 'cryptography', 'jwt', 'uvloop'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
