"""`Secret`: a string that can't be printed, compared or pickled by accident.

Promises: the value shows in no repr, str, format, log or traceback of the object, and comparing takes the same time
wherever two values differ.

Doesn't promise: that the value leaves memory when the object does. CPython keeps copies we can't reach.
"""

from __future__ import annotations

import hmac
from typing import Final, NoReturn, final

__all__ = ["Secret"]

_MASK: Final = "**********"


@final
class Secret:
    """Holds one secret string; `.reveal()` is the only way to it, so that a search for it finds every use."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        if not value:
            raise ValueError("an empty secret matches nobody; leave it out instead")
        self.__value = value

    def reveal(self) -> str:
        """The value itself. Call it at the last moment, and never into a name that is logged."""
        return self.__value

    def matches(self, candidate: str) -> bool:
        """Whether `candidate` is this secret, in time that doesn't depend on where they differ."""
        # `surrogatepass`: a candidate out of JSON may hold a lone surrogate, and must be wrong instead of an error.
        return hmac.compare_digest(
            self.__value.encode("utf-8", "surrogatepass"), candidate.encode("utf-8", "surrogatepass")
        )

    def __repr__(self) -> str:
        return f"Secret('{_MASK}')"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return _MASK

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("secrets are not compared with ==, which leaks by timing; use .matches()")

    __hash__ = None  # type: ignore[assignment]  # unhashable on purpose: a hash is an equality oracle

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret does not leave the process")

    def __getstate__(self) -> NoReturn:
        # Serialisers other than pickle ask for this one, and object's own would hand over the value.
        raise TypeError("a Secret does not leave the process")
