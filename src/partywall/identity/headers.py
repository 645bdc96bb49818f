"""Header pairs of any shape to what they claim, in one pass.

Promises: each header that identity reads is found whatever the case of its name and however often it is sent; nothing
is chosen here between two values, both are kept or refused.

Doesn't promise: that any of it is true. Nothing here is verified.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from partywall.errors import BadRequest, InvalidCredential
from partywall.identity.settings import IdentitySettings

__all__ = ["Claimed", "Header", "HeaderReader", "Headers", "bearer_or_bare", "vouched_text"]

Header: TypeAlias = tuple[bytes, bytes]
RawPairs: TypeAlias = Iterable[Header]
TextPairs: TypeAlias = Iterable[tuple[str, str]]
Headers: TypeAlias = RawPairs | TextPairs | Mapping[str, str] | Mapping[bytes, bytes]
"""Raw ASGI pairs (fastest), text pairs, or a mapping; a Starlette `Headers` yields its duplicates from `.items()`."""

MAX_CREDENTIAL_BYTES: Final = 8192
MAX_NAME_BYTES: Final = 256
_VISIBLE_ASCII: Final = bytes(range(0x21, 0x7F))

_TENANT: Final = b"tenant"
_USER: Final = b"user"
_ROLE: Final = b"role"


class Claimed:
    """What the headers of one request say, unverified."""

    __slots__ = ("credentials", "role", "tenants", "user")

    def __init__(self) -> None:
        self.credentials: dict[bytes, bytes] = {}
        """Header name to value, not parsed."""
        self.tenants: list[bytes] = []
        """Every value of every tenant header, duplicates too."""
        self.user: bytes | None = None
        self.role: bytes | None = None


class HeaderReader:
    """Finds the headers of `settings` in a request."""

    __slots__ = ("_meanings", "names")

    def __init__(self, settings: IdentitySettings) -> None:
        # A credential header means itself, so that the value can be kept under its name.
        self._meanings = {name: name for name in settings.credential_headers}
        self._meanings |= dict.fromkeys(settings.tenant_headers, _TENANT)
        self._meanings |= dict.fromkeys(settings.user_headers, _USER)
        self._meanings |= dict.fromkeys(settings.role_headers, _ROLE)
        self.names = tuple(self._meanings)
        """Of every header that identity looks at, in lower case."""

    def relevant(self, headers: Headers) -> list[Header]:
        """The pairs that identity looks at, in their order; names in lower case.

        Raises:
            BadRequest: text that no HTTP library would give.
            TypeError: a name or value is neither bytes nor str.
        """
        meanings, lower = self._meanings, bytes.lower
        # `bytes.lower` unbound: a name in another spelling can't slip past, and a str among bytes raises.
        return [(name, value) for raw, value in _raw_pairs(headers) if (name := lower(raw)) in meanings]

    def claims(self, pairs: Iterable[Header]) -> Claimed:
        """Collect what the `relevant` pairs claim.

        Raises:
            InvalidCredential: one credential header holds two values.
            BadRequest: user or role headers disagree.
        """
        claimed = Claimed()
        for name, value in pairs:
            _note(claimed, self._meanings[name], value)
        return claimed


def _note(claimed: Claimed, meaning: bytes, value: bytes) -> None:
    if meaning is _TENANT:
        claimed.tenants.append(value)
    elif meaning is _USER:
        claimed.user = _only_one("user", claimed.user, value)
    elif meaning is _ROLE:
        claimed.role = _only_one("role", claimed.role, value)
    elif claimed.credentials.setdefault(meaning, value) != value:
        # Proxies and frameworks differ in which of two they believe; whoever sends two wants that difference.
        raise InvalidCredential(f"header `{meaning.decode()}` came twice with different values")


def _only_one(what: str, before: bytes | None, value: bytes) -> bytes:
    if before is not None and before != value:
        raise BadRequest(f"two {what} headers disagree; send one")
    return value


def _raw_pairs(headers: Headers) -> Sequence[tuple[bytes, bytes]]:
    """The headers as bytes. A list whose first name is bytes goes through untouched."""
    if type(headers) is not list:
        headers = list(headers.items() if isinstance(headers, Mapping) else headers)
    if not headers or type(headers[0][0]) is bytes:
        return headers
    return [(_to_bytes(name), _to_bytes(value)) for name, value in headers]


def _to_bytes(text: object) -> bytes:
    """Undo what HTTP libraries do: they decode header bytes as Latin-1 (PEP 3333, Starlette)."""
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise TypeError(f"header names and values are bytes or str, not {type(text).__name__}")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise BadRequest("a header holds characters beyond Latin-1; pass raw bytes for UTF-8 text") from None


def bearer_or_bare(value: bytes) -> bytes:
    """The credential inside a header value: after `Bearer`, or the whole of it. Empty when there is nothing.

    Raises:
        InvalidCredential: longer than 8 KiB, or anything but visible ASCII (so also any other scheme, as in
            `Basic dXNlcg==`, and two values joined by a proxy).
    """
    if len(value) > MAX_CREDENTIAL_BYTES:
        raise InvalidCredential(f"a credential of {len(value)} bytes; the limit is {MAX_CREDENTIAL_BYTES}")
    scheme, _, rest = value.partition(b" ")
    if scheme.lower() == b"bearer":
        value = rest.strip(b" ")
    if value.translate(None, _VISIBLE_ASCII):
        raise InvalidCredential("a credential holds a space or a character outside visible ASCII")
    return value


def vouched_text(what: str, value: bytes) -> str:
    """A user id or role from a header, as text.

    Raises:
        BadRequest: empty, longer than 256 bytes, not UTF-8, or with characters that don't print (control, bidirectional
            and zero-width ones make two names look alike in a log).
    """
    if not 0 < len(value) <= MAX_NAME_BYTES:
        raise BadRequest(f"the {what} header must hold 1 to {MAX_NAME_BYTES} bytes, not {len(value)}")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"the {what} header is not UTF-8") from None
    if not text.isprintable():
        raise BadRequest(f"the {what} header holds characters that don't print")
    return text
