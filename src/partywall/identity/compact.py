"""A compact JWS (RFC 7515) taken apart before anything about it is verified.

Promises: a header that RFC 8725 warns of is refused here: no signature, an extension that must be understood, a key or
a place of keys that the token brings itself, the wrong `typ`.

Doesn't promise: anything about truth. What `unverified` is good for is choosing the issuer, and with it the keys.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from partywall.errors import InvalidCredential
from partywall.identity.settings import IssuerSettings
from partywall.identity.strict_json import parse_object

__all__ = ["UnverifiedToken", "check_header", "looks_like_jwt", "parse_unverified"]

_SEGMENTS: Final = 3
_BASE64URL: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TO_BASE64: Final = bytes.maketrans(b"-_", b"+/")
_KEYS_IN_TOKEN: Final = ("jwk", "jku", "x5u", "x5c")


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """The parts of a token that nobody has vouched for yet."""

    header: Mapping[str, object]
    unverified_issuer: str


def looks_like_jwt(credential: bytes) -> bool:
    """Whether `credential` has the three non-empty base64url parts of a signed compact token."""
    parts = credential.split(b".")
    return len(parts) == _SEGMENTS and all(part and not part.translate(None, _BASE64URL) for part in parts)


def parse_unverified(token: bytes) -> UnverifiedToken:
    """Read header and issuer.

    Raises:
        InvalidCredential: a part is no base64url, or no JSON object that can be read in one way only.
    """
    header_part, claims_part, _signature = token.split(b".")
    try:
        header = parse_object(_decode(header_part))
        issuer = parse_object(_decode(claims_part)).get("iss")
    except ValueError as error:
        raise InvalidCredential(f"the token can't be read: {error}") from None
    if not isinstance(issuer, str):
        raise InvalidCredential("the token has no `iss`")
    return UnverifiedToken(header, issuer)


def _decode(part: bytes) -> bytes:
    padding = b"=" * (-len(part) % 4)
    return binascii.a2b_base64(part.translate(_TO_BASE64) + padding, strict_mode=True)


def check_header(header: Mapping[str, object], issuer: IssuerSettings) -> tuple[str, str]:
    """The `kid` and `alg` of a header that this issuer's tokens may have.

    Raises:
        InvalidCredential: the header is one that RFC 8725 has us refuse.
    """
    where = f"issuer `{issuer.issuer}`"
    if "crit" in header:
        raise InvalidCredential(f"{where}: the token needs extensions (`crit`), and none is supported")
    brought = [name for name in _KEYS_IN_TOKEN if name in header]
    if brought:
        # CVE-2018-0114 and its kin: a token that brings its own key is verified by whoever made it.
        raise InvalidCredential(f"{where}: the token brings its own key (`{brought[0]}`)")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in issuer.algorithms:
        raise InvalidCredential(f"{where}: algorithm {str(algorithm)[:20]!a} is not allowed")
    if not isinstance(kid, str) or not kid:
        raise InvalidCredential(f"{where}: the token names no key (`kid`)")
    _check_typ(where, header.get("typ"), issuer)
    return kid, algorithm


def _check_typ(where: str, typ: object, issuer: IssuerSettings) -> None:
    """RFC 8725 §3.11: a token made for another purpose (logout, DPoP, e-mail link) is no access token."""
    if typ is None and not issuer.require_typ:
        return
    if not isinstance(typ, str) or _media_type(typ) not in {_media_type(allowed) for allowed in issuer.typ}:
        raise InvalidCredential(f"{where}: `typ` {str(typ)[:40]!a} is not among {', '.join(issuer.typ)}")


def _media_type(typ: str) -> str:
    """`typ` in the short form of RFC 7515 §4.1.9, for comparison: media types know no case."""
    return typ.lower().removeprefix("application/")
