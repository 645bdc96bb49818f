"""The document that `partywall init` writes.

Promises: it lints clean and serves as it is; `tests/cli/test_init.py` does both.
"""

from __future__ import annotations

from string import Template
from typing import Final

__all__ = ["ROOT_KEY_FILE", "STARTER_TENANTS", "starter_document"]

ROOT_KEY_FILE: Final = "partywall-root.key"
"""Beside the document, which names it."""

STARTER_TENANTS: Final = ("alpha", "beta")

_DOCUMENT: Final = Template("""\
# partywall: two organisations on one gateway. Rename `alpha` and `beta` to yours.
#
# Check this file with `partywall lint`, serve it with `partywall serve`. Every key that may stand here is described in
# docs/reference.md; one that may not is refused, with its line and column.

pack:
  name: my-platform
  version: 0.1.0

# Where answers come from. Each organisation has a target of its own, with a credential of its own: whoever shares one
# with a neighbour shares what the vendor keeps under it, from caches to files.
providers:
  targets:
    - id: alpha-assistant
      # The built-in parrot answers with everything it was given, so you see what a model would see. For a real one:
      #   provider: openai            # or anthropic, azure, vllm, ollama, llama.cpp, sglang …
      #   model: gpt-5-mini
      #   secret_key_ref: {env: ALPHA_OPENAI_KEY}
      provider: parrot
      model: assistant
    - id: beta-assistant
      provider: parrot
      model: assistant

# Who may call. A key decides whose request it is; headers can only agree. Only digests of keys stand here:
# `partywall tenants mint-key --tenant alpha` makes another one.
consumer_groups:
  groups:
    - name: alpha-app
      tenant: alpha
      api_keys: [$alpha]
      upstream: alpha-assistant
    - name: beta-app
      tenant: beta
      api_keys: [$beta]
      upstream: beta-assistant

# What is particular to one organisation: the models it may use, the regions its data may reach.
tenants:
  alpha:
    name: Alpha Ltd
  beta:
    name: Beta Inc

# What runs on every request, in this order.
policies:
  chain:
    - rbac
    - audit-logger

policy:
  rbac:
    # Each request says for which of the organisation's users it is made, or is refused.
    deny_if_missing: [X-User-ID]
    # Which tools each role may use. A role that isn't here may use none; `X-User-Role` names the caller's.
    roles:
      analyst:
        allowed_tools: [search, summarize, get_*]
        denied_tools: [get_secret]
      viewer:
        allowed_tools: [search]
  audit-logger:
    retention_days: 365

multi_tenant:
  isolation_model: strict

# What is sealed under a random key of each organisation's own. Those keys lie wrapped under the root key in this file:
# whoever has it and the data reads everything, and without it nobody reads anything. Keep a copy of it, and not beside
# copies of the data. In production, `vault_config` or `aws_kms_config` stands in its place.
encryption:
  root_key_file: $root_key_file
  encrypted_per_tenant: [audit_logs]

# Who may see the active document, at /admin/v1/config.
server:
  admin:
    api_keys: [$operator]
""")


def starter_document(digests: dict[str, str]) -> str:
    """The document, with the digest of a key for each of `STARTER_TENANTS` and for the `operator`."""
    return _DOCUMENT.substitute(digests, root_key_file=ROOT_KEY_FILE)
