"""The record inside the seal: what it holds, and what it says about where it belongs.

Promises: what is read back was written by `encode`, field for field, or it raises ValueError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import orjson

from partywall.errors import BadRequest
from partywall.tenancy import TenantId

__all__ = ["Home", "Record", "decode", "encode"]

_FORMAT: Final = 1
_FIELDS: Final = 9


class Home(NamedTuple):
    """Where a record belongs. All of it stands in the record, and all but the revision in the seal's AAD as well.

    The purpose is there by way of the group, a keyed hash of it.
    """

    tenant: TenantId
    store: str
    purpose: str
    group: bytes
    key: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the caller's tenant, opened and verified."""

    id: str
    revision: int
    body: object
    """JSON."""
    tenant: TenantId
    """Whose it is, by its own word. The walls have held it against the caller's; whoever uses it may do so again."""


def encode(home: Home, record_id: str, body: object) -> bytes:
    """The bytes that are sealed.

    Raises:
        BadRequest: the body is no JSON.
    """
    tenant, store, purpose, group, key, revision = home
    try:
        return orjson.dumps(
            [_FORMAT, tenant, store, purpose, group.hex(), key.hex(), revision, record_id, body],
            option=orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS,
        )
    except (TypeError, ValueError) as error:
        raise BadRequest(f"a record of `{store}` can't be stored: {error}") from error


def decode(data: bytes) -> tuple[Home, Record]:
    """Where the record says that it belongs, and what it holds.

    Raises:
        ValueError: it isn't what `encode` makes.
    """
    value = orjson.loads(data)
    if type(value) is not list or len(value) != _FIELDS or value[0] != _FORMAT:
        raise ValueError("it is no record, or of another format")
    _, tenant, store, purpose, group, key, revision, record_id, body = value
    if not all(type(text) is str for text in (tenant, store, purpose, group, key, record_id)):
        raise ValueError("its head isn't text")
    if type(revision) is not int:
        raise ValueError("its revision is no number")
    home = Home(TenantId(tenant), store, purpose, bytes.fromhex(group), bytes.fromhex(key), revision)
    return home, Record(record_id, revision, body, home.tenant)
