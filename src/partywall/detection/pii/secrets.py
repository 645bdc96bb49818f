"""Keys and credentials, by the marks that their makers gave them.

Promises: a form that its maker documents (or prints in examples) is found wherever it stands. Sources: AWS IAM
"identifiers", Google Cloud "API keys" and OAuth 2.0, Azure Storage and Entra ID, GitHub "token formats", Slack "token
types", Stripe "keys", OpenAI and Anthropic consoles, RFC 7468 for keys in PEM, RFC 7519 for tokens.

Doesn't promise: to find a secret without a mark, such as a password; nor that one still works.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Final

__all__ = ["SECRETS"]

_SP: Final = r"(?:[ \t]{0,4}(?:\r?\n|\\r|\\n)[ \t]{0,4}){0,4}"
_PRIVATE_KEY: Final = (
    r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    + _SP
    + r"(?:[A-Za-z-]{1,20}: [^\n\\]{1,80}(?:\r?\n|\\n){1,2}){0,4}"
    + rf"(?:[A-Za-z0-9+/=]{{1,80}}{_SP})*"
    + r"(?:-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----)?"
)
_SLACK: Final = (
    r"\bxox[abeoprs]-[A-Za-z0-9-]{10,250}|\bxapp-\d-[A-Z0-9]{8,20}-\d{8,20}-[a-f0-9]{32,80}"
    r"|\bhooks\.slack\.com/services/T[A-Z0-9]{6,14}/B[A-Z0-9]{6,14}/[A-Za-z0-9]{20,28}"
)
_ENDS: Final = r"(?:[^A-Za-z0-9/+=_-]|$)"


def _is_jwt(text: str) -> bool:
    """RFC 7515: the first part is JSON with an `alg`."""
    header = text.partition(".")[0]
    try:
        document = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (binascii.Error, ValueError):
        return False
    return isinstance(document, dict) and "alg" in document


def _is_any(_text: str) -> bool:
    return True


SECRETS: Final[tuple[tuple[str, str, Callable[[str], bool]], ...]] = (
    ("aws_access_key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b", _is_any),
    (
        "aws_secret_key",
        r"(?i:aws_?secret_?(?:access_?)?key|secretaccesskey)[\"' ]{0,3}[:=]{1,2}[\"' ]{0,3}(?P<value>[A-Za-z0-9/+]{40})"
        + _ENDS,
        _is_any,
    ),
    ("gcp_api_key", rf"\b(?P<value>AIza[0-9A-Za-z_-]{{35}}){_ENDS}", _is_any),
    ("gcp_oauth", r"\bya29\.[0-9A-Za-z_-]{20,500}|\bGOCSPX-[0-9A-Za-z_-]{28}", _is_any),
    (
        "azure_storage_key",
        rf"(?i:AccountKey|SharedAccessKey)=(?P<value>[A-Za-z0-9+/]{{43,86}}={{1,2}}){_ENDS}",
        _is_any,
    ),
    ("azure_client_secret", r"\b[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}", _is_any),
    ("github_token", r"\bgh[pousr]_[A-Za-z0-9]{36,251}\b|\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b", _is_any),
    (
        "slack_token",
        _SLACK,
        _is_any,
    ),
    ("stripe_key", r"\b(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{10,250}|\bwhsec_[A-Za-z0-9+/=]{32,80}", _is_any),
    ("anthropic_key", r"\bsk-ant-[A-Za-z0-9_-]{20,250}", _is_any),
    (
        "openai_key",
        r"\bsk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,250}|\bsk-[A-Za-z0-9]{32,64}\b",
        _is_any,
    ),
    ("private_key", _PRIVATE_KEY, _is_any),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*", _is_jwt),
)
