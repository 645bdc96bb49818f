from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partywall.config.masking import MASK, could_be_secret, mask, masked_path, names_secret
from partywall.config.problems import DocumentInvalid
from partywall.config.yaml import parse


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "api_keys",
        "apiKey",
        "x-api-key",
        "OPENAI_API_KEY",
        "APIKey",
        "apikey",
        "secret",
        "client_secret",
        "secret_key_ref",
        "token",
        "auth_token",
        "access-tokens",
        "password",
        "db.password",
        "Authorization",
        "private_key",
        "credentials",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "name",
        "key_header",
        "api_key_header",
        "max_tokens",
        "tokens_per_minute",
        "namespace_key",
        "key_path_template",
        "session_token_binding",
        "keyboard",
        "tenant_id_claim",
        "upstream",
        "tokenizer",
        "",
    ],
)
def test_names_of_settings(name: str) -> None:
    assert not names_secret(name)


@pytest.mark.parametrize(
    "text",
    [
        "sk-live-0123456789abcdef",
        "sk-ant-api03-abcdefgh",
        "ghp_0123456789abcdef",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x",
        "Bearer abcdefgh12345678",
        "-----BEGIN PRIVATE KEY-----",
        "postgres://user:hunter2@db/alpha",
        "0123456789abcdef0123456789abcdef",
        "dGhpcyBpcyBhIHNlY3JldCB2YWx1ZSBvZiAzMg==".replace("=", "A"),
        "my key is sk-live-0123456789abcdef, keep it",
    ],
)
def test_shapes_of_credentials(text: str) -> None:
    assert could_be_secret(text)


@pytest.mark.parametrize(
    "text",
    [
        "alpha",
        "openai:chat:gpt-4o-mini-2024-07-18",
        "https://eu.api.example.com:8443/v1/deployments",
        "a-rather-long-name-of-a-deployment-in-europe-west-1",
        "/var/lib/partywall/tenants/alpha/decisions.db",
        "sha256:" + "0123456789abcdef" * 4,
        "basic authentication",
        "^[A-Za-z0-9][A-Za-z0-9._:/-]*$",
        "task-force-of-people",
    ],
)
def test_shapes_of_settings(text: str) -> None:
    assert not could_be_secret(text)


def test_a_mask_tells_neither_value_nor_length() -> None:
    assert mask("a") == mask("a" * 100) == MASK
    assert mask("sha256:" + "ab" * 32) == "sha256:abababab…"
    assert mask("sha256:" + "ab" * 31) == MASK
    assert mask("sha256:hunter2") == MASK


def test_paths_hide_secrets_written_as_keys() -> None:
    assert masked_path(("api_keys", "sk-live-0123456789", "alpha")) == ("api_keys", MASK, "alpha")
    assert masked_path(("api_keys", 0, "hunter2")) == ("api_keys", 0, MASK)
    assert masked_path(("tenants", "alpha2", 0)) == ("tenants", "alpha2", 0)


_DOCUMENT = """\
pack: {{name: alpha}}
consumer_groups:
  - name: alpha
    api_keys:
      - {0}
      - '{0}'
    upstream: one
  - name: beta
    api_key: "{0}"
    limits: {{a: 1, token: {0}, b: 2}}
providers:
  credentials:
    alpha: |
      {0}
      {0}
    beta: {{inner: [{0}, "{0}"]}}
  password: {0}
tenants: {{}}
"""
_SECRET = "wyvern"
"""A word, so that no shape betrays it: only its place does."""


@given(
    at=st.integers(0, len(_DOCUMENT.format(_SECRET)) - 1),
    put=st.sampled_from(
        ["", "'", '"', ":", ": ", "\n", "\t", "[", "]", "{", "}", ",", "- ", "&a ", "*", "!", "#", "\x1b"]
    ),
    cut=st.integers(0, 3),
)
def test_no_slip_of_the_hand_shows_a_secret(at: int, put: str, cut: int) -> None:
    """One edit anywhere but in a name: whatever the error is, it is shown without the secret."""
    text = _DOCUMENT.format(_SECRET)
    line_start = text.rfind("\n", 0, at) + 1
    is_in_name = ":" in text[at:].split("\n", 1)[0] and ":" not in text[line_start:at]
    edited = text if is_in_name else text[:at] + put + text[at + cut :]
    try:
        parse(edited, "alpha.yaml")
    except DocumentInvalid as error:
        assert _SECRET not in str(error)  # noqa: PT017  # the other outcome is no error at all
