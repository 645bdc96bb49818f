"""What callers say about a document or collection: names and plain values.

Promises: names that could say whose something is are refused, however they are spelled (R3, R7), so no metadata is ever
mistaken for a tenant by whatever reads it next. Values are what JSON gives back unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, TypeAlias

from partywall.errors import BadRequest
from partywall.stores.fields import check_text
from partywall.tenancy.names import TENANT_FIELDS, squash

__all__ = ["Value", "check_metadata", "check_name", "check_value", "metadata_of", "refuse_reserved"]

Value: TypeAlias = str | int | float | bool

_MOST: Final = 16
_LONGEST_NAME_BYTES: Final = 64
_LONGEST_VALUE_BYTES: Final = 2048
_LARGEST_NUMBER: Final = 2**53
_RESERVED: Final = TENANT_FIELDS | {"namespace"}


def check_metadata(metadata: Mapping[str, object], namespace_key: str) -> dict[str, Value]:
    """The same names and values, each of them checked. `namespace_key` is what the document calls the namespace.

    Raises:
        BadRequest: too many, a reserved or overlong name, or a value that is no text, number or truth value.
    """
    if not isinstance(metadata, Mapping) or len(metadata) > _MOST:  # type: ignore[redundant-expr]  # callers are not all typed
        raise BadRequest(f"metadata is a mapping of at most {_MOST} names")
    return {refuse_reserved(check_name(name), namespace_key): check_value(value) for name, value in metadata.items()}


def check_name(name: object) -> str:
    """A name of metadata.

    Raises:
        BadRequest: it is none, or reserved.
    """
    if type(name) is not str:
        raise BadRequest("a name of metadata is a text")
    check_text(name, "a name of metadata", largest_bytes=_LONGEST_NAME_BYTES, too_large=BadRequest)
    if not name.isprintable():
        raise BadRequest("a name of metadata is printable")
    return refuse_reserved(name, "namespace")


def refuse_reserved(name: str, namespace_key: str) -> str:
    """The name, unless it could say whose something is, or is the document's own name for that.

    Raises:
        BadRequest: it could.
    """
    if (squashed := squash(name.strip())) in _RESERVED or squashed == squash(namespace_key):
        raise BadRequest(
            "metadata uses a reserved name", public_message="Metadata may not name a tenant, organization or namespace."
        )
    return name


def check_value(value: object) -> Value:
    """A value of metadata.

    Raises:
        BadRequest: it is none.
    """
    match value:
        case bool():
            return value
        case int() | float():
            if not math.isfinite(value) or abs(value) > _LARGEST_NUMBER:
                raise BadRequest("a number in metadata is finite and within 2^53")
            return value
        case str():
            if value:
                check_text(value, "a value of metadata", largest_bytes=_LONGEST_VALUE_BYTES, too_large=BadRequest)
            return value
        case _:
            raise BadRequest("a value of metadata is a text, a number or a truth value")


def metadata_of(body: Mapping[str, object]) -> dict[str, Value]:
    """What a record of ours holds. It was checked before it was sealed."""
    found = body.get("metadata")
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str | int | float | bool)}
