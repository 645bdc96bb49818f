"""What of a document may be shown in a message: names and settings, never what could be a credential.

Promises: a value under a key that is named like a secret, or that has the shape of a credential wherever it stands, is
masked before it reaches a message, a snippet or a log. Of a document that doesn't parse and may hold secrets in clear
text, no line is shown at all.

Doesn't promise: to know a secret under an innocent name that looks like a word. The document is meant to hold
references (`secret_key_ref`) and digests, and lint refuses the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

__all__ = [
    "MASK",
    "could_be_secret",
    "credential_spans",
    "mask",
    "masked_path",
    "masks_key",
    "may_hold_secrets",
    "names_secret",
    "under_secret",
]

MASK: Final = "**********"

_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_SECRET_WORDS: Final = frozenset(
    {"secret", "secrets", "password", "passwords", "passwd", "passphrase", "credential", "credentials", "bearer"}
    | {"authorization", "apikey", "apikeys"}
)
_TOKEN_WORDS: Final = frozenset({"token", "tokens"})
_COUNTING_WORDS: Final = frozenset({"max", "min", "limit", "limits", "per", "count", "budget", "usage", "total"})
_KEY_WORDS: Final = frozenset({"key", "keys"})
_BEFORE_KEY: Final = frozenset(
    {"api", "private", "access", "secret", "signing", "encryption", "master", "root", "shared", "hmac", "account"}
)
_ABOUT_A_SECRET: Final = frozenset({"binding", "claim", "header", "prefix", "strategy", "template"})
_HARMLESS_KEY: Final = re.compile(r"(?=.{1,24}$)[A-Za-z]+(?:[_-][A-Za-z]+)*")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{8}(?=[0-9a-f]{56}$)")
_CREDENTIAL_SHAPE: Final = re.compile(
    r"""
      \b(?:sk|pk|rk|pw|pwk|ghp|gho|ghs|xox[abprs]|hvs|glpat|hf)[-_][A-Za-z0-9_-]{8,}  # vendors' key prefixes
    | \b(?:AKIA|ASIA)[A-Z0-9]{12,}                                                # AWS access key ids
    | \bAIza[A-Za-z0-9_-]{20,}                                                    # Google
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*                                      # JWT
    | \b(?i:bearer|basic)\s+(?=\S*[0-9=])[A-Za-z0-9._~+/=-]{8,}                   # an Authorization header
    | -----BEGIN.*                                                                # PEM
    | ://[^/\s:@]*:[^/\s@]+@                                                      # user:password@host
    | (?<![\w:])[0-9A-Fa-f]{32,}\b                                                # random hex
    | (?<![\w+=-])(?=[\w+=-]*[0-9])(?=[\w+=-]*[a-z])(?=[\w+=-]*[A-Z])[\w+=-]{32,}  # random base64
    """,
    re.VERBOSE,
)

# How a document that doesn't parse is judged, line by line.
_COMMENT: Final = re.compile(r"(?:^|\s)#.*")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_SECRET_STEM: Final = re.compile(r"secret|passw|passphrase|credential|bearer|authorization|key|token", re.IGNORECASE)
_KEY_FIRST: Final = re.compile(r"""([ -]*)["']?[A-Za-z][A-Za-z0-9_.-]*["']?[ \t]*:""")
_DIGEST_ANYWHERE: Final = re.compile(r"sha256:[0-9a-f]{64}(?![0-9A-Za-z])")
_REFERENCE: Final = re.compile(r"""["']?\s*:\s*(?:\{.*)?""")
_PUNCTUATION: Final = " \t:-'\"[]{},|>?"


@lru_cache(maxsize=1024)
def names_secret(name: str) -> bool:
    """Whether a key of this name holds a secret: `api_keys` does, `max_tokens` and `api_key_header` don't."""
    words = [word.lower() for word in _WORD.findall(name[:200])]
    if words and words[-1] in _ABOUT_A_SECRET:
        return False
    if not _SECRET_WORDS.isdisjoint(words):
        return True
    if not _TOKEN_WORDS.isdisjoint(words) and _COUNTING_WORDS.isdisjoint(words):
        return True
    return any(word in _KEY_WORDS and before in _BEFORE_KEY for before, word in pairwise(words))


def under_secret(path: Sequence[str | int]) -> bool:
    """Whether the value at `path` is a secret's, because of its own key or of one above it."""
    return any(isinstance(step, str) and names_secret(step) for step in path)


def credential_spans(text: str) -> list[tuple[int, int]]:
    """Where in `text` something has the shape of a credential, whatever it is called: (start, end), 0-based."""
    return [found.span() for found in _CREDENTIAL_SHAPE.finditer(text)]


def could_be_secret(text: str) -> bool:
    """Whether anything in `text` has the shape of a credential."""
    return _CREDENTIAL_SHAPE.search(text) is not None


def mask(text: str) -> str:
    """What may be shown of a secret: nothing, or the beginning of a digest, by which people tell keys apart."""
    digest = _DIGEST.match(text.strip("\"'"))
    return f"{digest[0]}…" if digest else MASK


def masked_path(path: Sequence[str | int]) -> tuple[str | int, ...]:
    """`path` without secrets that were written as keys (`api_keys: {sk-…: alpha}`)."""
    shown: list[str | int] = []
    below_secret = False
    for step in path:
        hidden = isinstance(step, str) and masks_key(step, below_secret=below_secret)
        shown.append(MASK if hidden else step)
        below_secret = below_secret or (isinstance(step, str) and names_secret(step))
    return tuple(shown)


def masks_key(key: str, *, below_secret: bool) -> bool:
    """Whether a key must not be shown: it looks like a credential, or stands where secrets do and isn't a word."""
    return could_be_secret(key) or (below_secret and not _HARMLESS_KEY.fullmatch(key))


def may_hold_secrets(lines: Iterable[str]) -> bool:
    """Whether a document that doesn't parse could hold a secret in clear text, judged by its words alone.

    In a broken document nobody knows which value belongs to which key, so the answer is for the whole of it: a name of
    a secret with anything behind or below it that is neither a digest nor a reference.
    """
    column: int | None = None  # of the secret's key that the line is below
    for line in lines:
        code = _COMMENT.sub("", line)
        key_column = _key_column(code)
        if column is not None and key_column is not None and key_column <= column:
            column = None
        found = _secret_name(code)
        value = code[found.end() :] if found is not None else code if column is not None else ""
        if found is not None:
            is_reference = found[0].endswith("_ref") and _REFERENCE.fullmatch(value) is not None
            column, value = (None, "") if is_reference else (key_column or 0, value)
        if _DIGEST_ANYWHERE.sub("", value).strip(_PUNCTUATION):
            return True
    return False


def _secret_name(code: str) -> re.Match[str] | None:
    if _SECRET_STEM.search(code) is None:
        return None
    return next((found for found in _NAME.finditer(code) if names_secret(found[0])), None)


def _key_column(code: str) -> int | None:
    found = _KEY_FIRST.match(code)
    return found.end(1) if found else None
