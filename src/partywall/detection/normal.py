"""A text as passages are compared: letters and digits, in one case, without accents; nothing else.

Promises: each character becomes none, one or several normalised ones, whatever stands beside it, so that the pieces of
a stream normalise to what the whole does. Case, compatibility forms (NFKC and further: accents go), spaces, line ends,
punctuation, symbols and invisible characters make no difference. Places lead back to the text.

Doesn't promise: to see through look-alike letters of other alphabets, or through any encoding.
"""

from __future__ import annotations

import string
import unicodedata
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Codes", "codes_of", "normalised", "places_of"]

Codes = NDArray[np.unsignedinteger[Any]]
"""Normalised characters as code points, one or four bytes each."""

_KEPT: Final = string.ascii_letters + string.digits
_LOWER: Final = bytes(range(256)).lower()
_DROPPED: Final = bytes(code for code in range(128) if chr(code) not in _KEPT)


_IS_KEPT: Final = np.array([chr(code) in _KEPT for code in range(128)])


class _Normal(dict[int, str]):
    """Filled as characters are met; `str.translate` asks it."""

    def __missing__(self, code: int) -> str:
        folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", chr(code)).casefold())
        self[code] = normal = "".join(each for each in folded if unicodedata.category(each)[0] in "LN")
        return normal


_NORMAL: Final = _Normal()


def normalised(text: str) -> str:
    """The normalised text itself."""
    if text.isascii():
        return text.encode().translate(_LOWER, _DROPPED).decode()
    return text.translate(_NORMAL)


def codes_of(text: str) -> Codes:
    """The normalised characters of `text`."""
    if text.isascii():
        return np.frombuffer(text.encode().translate(_LOWER, _DROPPED), np.uint8)
    normal = text.translate(_NORMAL)
    if normal.isascii():
        return np.frombuffer(normal.encode(), np.uint8)
    return np.frombuffer(normal.encode("utf-32-le"), np.uint32)


def places_of(text: str) -> NDArray[np.int64]:
    """For each normalised character, the place in `text` of the character that it comes from."""
    if text.isascii():
        return np.flatnonzero(_IS_KEPT[np.frombuffer(text.encode(), np.uint8)])
    lengths = [len(_NORMAL[ord(character)]) for character in text]
    return np.repeat(np.arange(len(text)), lengths)
