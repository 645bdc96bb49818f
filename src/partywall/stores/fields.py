"""What the stores' records have in common: ids, owners, sizes, and reading a body back.

Promises: a caller's own text is taken byte for byte, neither folded nor normalised, so no two spellings meet; what is
empty, too long or no Unicode is refused before anything is asked (R4).
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import orjson

from partywall.errors import BadRequest, PayloadTooLarge, StoreUnavailable
from partywall.stores.walls import authorise
from partywall.tenancy import TenantScope

__all__ = [
    "ATTEMPTS",
    "Clock",
    "Page",
    "check_json",
    "check_metadata",
    "check_page_size",
    "check_text",
    "check_word",
    "members",
    "new_id",
    "number",
    "owner_of",
    "pause",
    "text",
]

Clock = Callable[[], float]
"""Seconds since 1970."""

_LONGEST_WORD_BYTES: Final = 256
_LARGEST_PAGE: Final = 100
_MOST_METADATA: Final = 16
_LONGEST_METADATA_NAME: Final = 64
_LONGEST_METADATA_VALUE: Final = 512
_LONGEST_PAUSE_SECONDS: Final = 0.01
ATTEMPTS: Final = 30
"""How often a change is tried when others get in front of it."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Page(Generic[_T]):
    """Some of a list, and whether there is more behind the last one."""

    items: tuple[_T, ...]
    has_more: bool


def owner_of(scope: TenantScope) -> str:
    """Which of the tenant's users a record belongs to; callers without a user have a place of their own."""
    user = authorise(scope).user
    return "none" if user is None else f"user:{user}"


def new_id(kind: str) -> str:
    """An id that nobody can guess and that tells nothing, not even how many there are (R11)."""
    return f"{kind}_{secrets.token_hex(16)}"


def check_word(value: str, what: str) -> str:
    """A name or id of the caller's: 1 to 256 bytes of UTF-8, exactly as they are.

    Raises:
        BadRequest: it is none.
    """
    return check_text(value, what, largest_bytes=_LONGEST_WORD_BYTES, too_large=BadRequest)


def check_text(
    value: str, what: str, *, largest_bytes: int, too_large: type[BadRequest | PayloadTooLarge] = PayloadTooLarge
) -> str:
    """Text of the caller's, of a bounded size.

    Raises:
        BadRequest: it is no Unicode text, or empty.
        PayloadTooLarge: it is larger.
    """
    if type(value) is not str or not value:
        raise BadRequest(f"{what} is a text that isn't empty")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise BadRequest(f"{what} holds half a character") from None
    if size > largest_bytes:
        raise too_large(f"{what} has {size} bytes; at most {largest_bytes} are kept")
    return value


def check_json(value: object, what: str) -> bytes:
    """JSON of the caller's that is the same when it is read back; returns it as it is written.

    Raises:
        BadRequest: it is none, or JSON would change it.
    """
    try:
        written = orjson.dumps(value)
        same = orjson.loads(written) == value
    except (TypeError, ValueError) as error:
        raise BadRequest(f"{what} must be JSON: {error}") from error
    if not same:
        raise BadRequest(f"{what} would be changed by JSON, and can't be kept as given")
    return written


def check_metadata(metadata: object) -> dict[str, str]:
    """A caller's own notes about an object, bounded as OpenAI's are: 16, names of 64 and values of 512 characters.

    Raises:
        BadRequest: they are none.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping) or len(metadata) > _MOST_METADATA:
        raise BadRequest(f"metadata are at most {_MOST_METADATA} names with their values")
    for name, value in metadata.items():
        if type(name) is not str or not 1 <= len(name) <= _LONGEST_METADATA_NAME or not _is_unicode(name):
            raise BadRequest(f"a name in metadata has 1 to {_LONGEST_METADATA_NAME} characters")
        if type(value) is not str or len(value) > _LONGEST_METADATA_VALUE or not _is_unicode(value):
            raise BadRequest(f"a value in metadata is a text of at most {_LONGEST_METADATA_VALUE} characters")
    return dict(metadata)


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_page_size(limit: int) -> int:
    """How many items a page may have.

    Raises:
        BadRequest: none, or too many.
    """
    if type(limit) is not int or not 1 <= limit <= _LARGEST_PAGE:
        raise BadRequest(f"a page has 1 to {_LARGEST_PAGE} items")
    return limit


async def pause() -> None:
    """Before another attempt at a change that somebody else got in front of."""
    await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # noqa: S311 - spreads attempts, guards nothing


# -- Bodies ---


def members(body: object) -> Mapping[str, object]:
    """The members of a record's body.

    Raises:
        StoreUnavailable: it was sealed by us, and isn't what this version writes.
    """
    if type(body) is not dict:
        raise StoreUnavailable("a record holds something else than this version writes")
    return body


def text(body: Mapping[str, object], name: str) -> str:
    """A text among the members. Raises as `members` does."""
    value = body.get(name)
    if type(value) is not str:
        raise StoreUnavailable(f"a record's `{name}` is something else than this version writes")
    return value


def number(body: Mapping[str, object], name: str) -> float:
    """A number among the members. Raises as `members` does."""
    value = body.get(name)
    if type(value) is not int and type(value) is not float:
        raise StoreUnavailable(f"a record's `{name}` is something else than this version writes")
    return value
