"""Who is asking: a request's headers to a `TenantScope`, or an exception.

Promises: see `authenticator`, and `operators` for those who act on a tenant without being asked by it; they are the
only callers of `tenancy._mint` in what is shipped.

Doesn't promise: to read the document. It takes the plain settings of `settings`.
"""

from partywall.identity.api_keys import new_api_key, parse_key_hash
from partywall.identity.authenticator import Authenticator
from partywall.identity.headers import Headers
from partywall.identity.operators import OPERATOR_METHOD, acting_for
from partywall.identity.settings import (
    CREDENTIAL_HEADERS,
    DEFAULT_ALGORITHMS,
    DEFAULT_TYP,
    ROLE_HEADERS,
    SUPPORTED_ALGORITHMS,
    TENANT_HEADERS,
    USER_HEADERS,
    IdentitySettings,
    IssuerSettings,
    KeyEntry,
)

__all__ = [
    "CREDENTIAL_HEADERS",
    "DEFAULT_ALGORITHMS",
    "DEFAULT_TYP",
    "OPERATOR_METHOD",
    "ROLE_HEADERS",
    "SUPPORTED_ALGORITHMS",
    "TENANT_HEADERS",
    "USER_HEADERS",
    "Authenticator",
    "Headers",
    "IdentitySettings",
    "IssuerSettings",
    "KeyEntry",
    "acting_for",
    "new_api_key",
    "parse_key_hash",
]
