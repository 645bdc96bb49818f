"""A JWK set (RFC 7517) as the keys that may verify one issuer's tokens.

Promises: a key verifies only with the algorithms that its type, curve, `alg`, `use` and `key_ops` admit *and* that the
issuer is allowed; a `kid` that names two keys names none; symmetric and private keys are never used.

Doesn't promise: that an unusable key is reported as an error. RFC 7517 §5 has them skipped, and `describe` says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from typing import Final

from jwt import PyJWK
from jwt.exceptions import PyJWTError

from partywall.identity.strict_json import parse_object

__all__ = ["KeySet", "parse_key_set"]

_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_FITTING: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""RFC 7518 §3.4 and RFC 8037 §3.1: the curve decides the algorithm."""


class KeySet:
    """One issuer's keys at one moment. Identity matters: a cached token is good only under the set that verified it."""

    __slots__ = ("_by_kid", "_refused")

    def __init__(self, by_kid: Mapping[str, Mapping[str, PyJWK]], refused: Mapping[str, str]) -> None:
        self._by_kid = by_kid
        self._refused = refused

    def __contains__(self, kid: str) -> bool:
        return kid in self._by_kid or kid in self._refused

    def find(self, kid: str, algorithm: str) -> PyJWK | None:
        """The key `kid`, bound to `algorithm`, or None when it doesn't exist or doesn't fit."""
        return self._by_kid.get(kid, {}).get(algorithm)

    def describe(self, kid: str, algorithm: str) -> str:
        """Why `find` found nothing, for operators."""
        if kid in self._refused:
            return self._refused[kid]
        if kid in self._by_kid:
            return f"the key fits {', '.join(self._by_kid[kid])}, not {algorithm}"
        return "the issuer publishes no such key"


def parse_key_set(document: bytes, allowed: Iterable[str]) -> KeySet:
    """Read a JWK set. An empty `keys` is obeyed: the issuer has withdrawn them all.

    Raises:
        ValueError: it is no JWK set.
    """
    entries = parse_object(document).get("keys")
    if not isinstance(entries, list):
        raise ValueError("a JWK set has a list `keys`")  # noqa: TRY004  # one exception for every malformed document
    named = [(entry["kid"], entry) for entry in entries if isinstance(entry, dict) and _is_name(entry.get("kid"))]
    uses = Counter(kid for kid, _ in named)
    by_kid: dict[str, Mapping[str, PyJWK]] = {}
    refused: dict[str, str] = {}
    for kid, entry in named:
        try:
            if uses[kid] > 1:
                raise ValueError("two keys of the set have this `kid`")  # noqa: TRY301  # joins the other refusals
            by_kid[kid] = _bind(entry, frozenset(allowed))
        except (ValueError, PyJWTError) as error:
            refused[kid] = f"the key is not usable: {error}"
    return KeySet(by_kid, refused)


def _is_name(kid: object) -> bool:
    return isinstance(kid, str) and kid != ""


def _bind(entry: dict[str, object], allowed: Container[str]) -> Mapping[str, PyJWK]:
    """The key once for each algorithm that it may verify with; each copy can do no other."""
    _check_purpose(entry)
    algorithms = [name for name in _fitting(entry) if name in allowed and entry.get("alg", name) == name]
    if not algorithms:
        raise ValueError("its type, curve or `alg` fits no algorithm that the issuer is allowed")
    bound = {name: PyJWK(entry, name) for name in algorithms}
    for name, key in bound.items():
        too_short = key.Algorithm.check_key_length(key.key)
        if too_short:
            raise ValueError(f"{name}: {too_short}")
    return bound


def _check_purpose(entry: Mapping[str, object]) -> None:
    if "d" in entry or "k" in entry:
        # Whoever reads the set could sign with it. A published private key is nobody's signature any more.
        raise ValueError("the set publishes its secret part")
    if entry.get("use", "sig") != "sig":
        raise ValueError("its `use` is not `sig`")
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("its `key_ops` don't include `verify`")


def _fitting(entry: Mapping[str, object]) -> tuple[str, ...]:
    kind, curve = entry.get("kty"), entry.get("crv")
    if kind == "RSA":
        return _RSA
    if isinstance(kind, str) and isinstance(curve, str):
        return _FITTING.get((kind, curve), ())
    return ()
