"""What a refusal of OpenBao or Vault means, in our own words.

Promises: each says which it is (sealed, not ready, refuses, no such key …) and what to do. A server's own text is
matched, never repeated: a tenant's own server could write anything into our logs, the key that it was sent included.

Doesn't promise: to know every phrase. An unknown one counts as `KeyUnavailable`, never as a broken seal.

Phrases: OpenBao 2.7, `sdk/helper/keysutil/policy.go` and `builtin/logical/transit`; Vault has the same.
"""

from __future__ import annotations

from typing import Final

from partywall.errors import KeyUnavailable
from partywall.keys.roots.key_path import TransitKey
from partywall.keys.roots.vault_wire import Answer

__all__ = ["BROKEN", "FORBIDDEN", "NO_KEY", "is_broken", "is_keyless", "of_the_server", "refusal"]

FORBIDDEN: Final = 403
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404
_UNAVAILABLE: Final = 503

BROKEN: Final = ("message authentication failed", "invalid ciphertext", "version is too new")
NO_KEY: Final = ("key not found", "no existing key", "could not delete key; not found", "unknown key type")

_OF_A_KEY: Final = (
    (_BAD_REQUEST, "too old", "refuses (400): the wrapped key is below the `min_decryption_version` of `{key}`"),
    (_BAD_REQUEST, "soft-deleted", "refuses (400): `{key}` is deleted, and can be had back with soft-delete-restore"),
    (_BAD_REQUEST, "deletion is not allowed", "refuses (400): `{key}` may not be deleted"),
    (_BAD_REQUEST, "missing 'context'", "refuses (400): `{key}` is a derived key; use a plain `aes256-gcm96` key"),
    (_BAD_REQUEST, "non-AEAD", "refuses (400): `{key}` can't bind a context; use an `aes256-gcm96` key"),
    (_NOT_FOUND, "no handler for route", "has no engine at `{mount}`; run: bao secrets enable -path={mount} transit"),
    (_NOT_FOUND, "unsupported path", "has an engine at `{mount}` that is no transit engine"),
)
_OF_THE_SERVER: Final = (
    (_NOT_FOUND, "namespace not found", "has no such namespace"),
    (_UNAVAILABLE, "sealed", "is sealed; unseal it, with: bao operator unseal"),
    (429, "", "is overloaded (429)"),
    (472, "", "is a standby that does not serve (472); give the address of the active node"),
    (473, "", "is a standby that does not serve (473); give the address of the active node"),
    (501, "", "is not initialised (501); run: bao operator init"),
    (_UNAVAILABLE, "", "is not ready (503)"),
)
_DENIED: Final = "refuses (403): no policy allows `{action}` with `{key}`, or the key is gone, or the token was revoked"


def is_broken(answer: Answer) -> bool:
    """Whether the server says that the ciphertext isn't one of this key and associated data."""
    return answer.status == _BAD_REQUEST and any(answer.says(phrase) for phrase in BROKEN)


def is_keyless(answer: Answer) -> bool:
    """Whether the server says that there is no such key."""
    return answer.status == _BAD_REQUEST and any(answer.says(phrase) for phrase in NO_KEY)


def refusal(service: str, answer: Answer, key: TransitKey, action: str) -> KeyUnavailable:
    """The error for an answer that is no success."""
    if is_keyless(answer):
        sentence = "has no key `{key}`: it was destroyed, or never prepared"
    elif answer.status == FORBIDDEN:
        sentence = _DENIED
    else:
        sentence = _match(answer, _OF_A_KEY) or of_the_server(answer) or "failed to `{action}` (status {status})"
    filled = sentence.format(key=key, mount=key.mount, action=action, status=answer.status)
    return KeyUnavailable(f"{service} {filled}")


def of_the_server(answer: Answer) -> str | None:
    """What is wrong with the server as a whole, whatever it was asked; None when that isn't it."""
    if 300 <= answer.status < 400:
        return f"redirects elsewhere ({answer.status}), which is not followed; give the address of the active node"
    return _match(answer, _OF_THE_SERVER)


def _match(answer: Answer, table: tuple[tuple[int, str, str], ...]) -> str | None:
    for status, phrase, sentence in table:
        if answer.status == status and answer.says(phrase):
            return sentence
    return None
