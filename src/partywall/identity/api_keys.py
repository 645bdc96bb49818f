"""API keys: made once, kept only as hashes, found in constant time.

Promises: the gateway never stores a key that would open it; a look-up costs the same with one tenant or a million, and
says nothing by its duration about how near a guess came.

Doesn't promise: to slow down guessing of weak keys. SHA-256 is right for keys of 192 random bits or more, such as
`new_api_key` makes; a password hashed this way could be guessed from a stolen document.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Final

from partywall.identity.settings import KeyEntry
from partywall.tenancy import CredentialId, GroupName, Secret, TenantId

__all__ = ["ApiKey", "ApiKeys", "new_api_key", "parse_key_hash"]

KEY_PREFIX: Final = "pw_"
"""Lets secret scanners recognise a leaked key."""
_KEY_BYTES: Final = 32
_NAMED_HEX_DIGITS: Final = 12
_HASH: Final = re.compile(r"sha256:([0-9a-fA-F]{64})", re.ASCII)


class ApiKey:
    """A key that is known: whose it is, and the name it has in records. Not the key itself."""

    __slots__ = ("credential_id", "digest", "group", "tenant")

    def __init__(self, digest: bytes, owner: KeyEntry) -> None:
        self.digest = digest
        self.tenant: TenantId = owner.tenant
        self.group: GroupName = owner.group
        self.credential_id = CredentialId(f"key:{digest.hex()[:_NAMED_HEX_DIGITS]}")


class ApiKeys:
    """Every known key, by the SHA-256 of its bytes."""

    __slots__ = ("_by_digest",)

    def __init__(self, keys: Mapping[bytes, KeyEntry]) -> None:
        self._by_digest = {digest: ApiKey(digest, owner) for digest, owner in keys.items()}

    def find(self, digest: bytes) -> ApiKey | None:
        """The key whose SHA-256 is `digest`, or None.

        The dict compares hashes of secrets, whose bytes nobody can steer; what it found is compared once more in
        constant time, so that no later change of the table can turn a near miss into a hit.
        """
        key = self._by_digest.get(digest)
        if key is None or not hmac.compare_digest(key.digest, digest):
            return None
        return key


def new_api_key() -> tuple[Secret, str]:
    """A fresh key of 256 random bits, and the `sha256:<hex>` that belongs into the document. Show the key once."""
    key = KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    return Secret(key), f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def parse_key_hash(text: str) -> bytes:
    """The 32 bytes of `sha256:<64 hex digits>`.

    Raises:
        ValueError: any other form. The message doesn't repeat the text, which may be a key pasted by mistake.
    """
    match = _HASH.fullmatch(text)
    if match is None:
        raise ValueError("an API key hash is written `sha256:` and 64 hex digits; a key in clear text is refused")
    return bytes.fromhex(match[1])
