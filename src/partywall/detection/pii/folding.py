"""A text as it is searched for personal data: other spellings of the same characters are made one.

Promises: each character becomes one character or none, whatever stands beside it: full-width and other compatibility
forms of ASCII, spaces and dashes of every kind become ASCII; characters that nobody sees are left out. Places in the
folded bytes lead back to places in the text, each in the same time however long it is.

Doesn't promise: to undo letters of other alphabets that look like Latin ones.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Folded"]


class _Folding(dict[int, str]):
    """Filled as characters are met; `str.translate` asks it."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        compatible = unicodedata.normalize("NFKC", character)
        if category in ("Cf", "Mn") and code not in range(0x300, 0x370):
            folded = ""
        elif category == "Cs":
            folded = "\N{REPLACEMENT CHARACTER}"
        elif category == "Zs":
            folded = " "
        elif category == "Pd" or character == "\N{MINUS SIGN}":
            folded = "-"
        elif unicodedata.decimal(character, None) is not None:
            folded = str(unicodedata.decimal(character))
        else:
            folded = compatible if compatible.isascii() and len(compatible) == 1 else character
        self[code] = folded
        return folded


_FOLDING: Final = _Folding({code: chr(code) for code in range(128)})


class Folded:
    """The folded text in UTF-8, behind some bytes that came before it."""

    __slots__ = ("_before", "_begun", "_folded", "_origins", "_text", "data")

    def __init__(self, text: str, before: bytes = b"") -> None:
        self._text = text
        self._before = len(before)
        self._folded = text if text.isascii() else text.translate(_FOLDING)
        self._origins: list[int] | None = None
        self._begun: npt.NDArray[np.int32] | None = None
        self.data = before + self._folded.encode()

    def start(self, offset: int) -> int:
        """The place in the text of what is at `offset` of `data`. What was left out before it belongs to it not."""
        place = self._character(offset)
        if len(self._folded) == len(self._text):
            return place
        origins = self._places()
        return origins[place] if place < len(origins) else len(self._text)

    def end(self, offset: int) -> int:
        """The place in the text behind what ends at `offset` of `data`."""
        place = self._character(offset)
        if len(self._folded) == len(self._text) or place == 0:
            return place
        return self._places()[place - 1] + 1

    def _character(self, offset: int) -> int:
        behind = max(0, offset - self._before)
        if len(self._folded) == len(self.data) - self._before:
            return behind
        if self._begun is None:
            # INVARIANT: counted once for a text; to count anew for each finding would be quadratic in their number.
            text = np.frombuffer(self.data, np.uint8)[self._before :]
            self._begun = np.concatenate(([0], np.cumsum((text & 0xC0) != 0x80, dtype=np.int32)))
        behind = min(behind, len(self._begun) - 1)
        is_inside = behind + 1 < len(self._begun) and self._begun[behind + 1] == self._begun[behind]
        return int(self._begun[behind]) - is_inside

    def _places(self) -> list[int]:
        if self._origins is None:
            self._origins = [place for place, character in enumerate(self._text) if _FOLDING[ord(character)]]
        return self._origins
