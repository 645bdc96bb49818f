"""Benign text of other people's making, as it lies on a machine: licences, manuals and packages' documentation.

Promises: nothing of this repository is in it, so whatever a leak scanner finds in it is a false alarm.
"""

from __future__ import annotations

import gzip
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["OUTPUT_CHARACTERS", "outputs"]

OUTPUT_CHARACTERS: Final = 1_024
"""A text is cut into answers of this length."""
_PLACES: Final = (Path("/usr/share/common-licenses"), Path("/usr/share/doc"), Path("/usr/share/perl5"))
_PROSE: Final = {".md", ".rst", ".txt", ".gz", ""}
_LARGEST: Final = 1_000_000


def outputs(megabytes: float) -> Iterator[str]:
    """Answers of benign text, `megabytes` in all or as many as there are: prose first, then code with its comments."""
    left = int(megabytes * 1_000_000)
    for text in _texts():
        for start in range(0, len(text), OUTPUT_CHARACTERS):
            if left <= 0:
                return
            yield (answer := text[start : start + OUTPUT_CHARACTERS])
            left -= len(answer)


def _texts() -> Iterator[str]:
    packages = Path(sysconfig.get_paths()["purelib"])
    seen: set[int] = set()  # licences lie about in many copies; each text counts once
    for place, endings in (
        *((each, _PROSE) for each in _PLACES),
        (packages, {".md", ".rst", ".txt"}),
        (packages, {".py"}),
    ):
        for path in sorted(place.rglob("*")) if place.is_dir() else ():
            if path.suffix in endings and path.is_file() and not path.is_symlink() and path.stat().st_size < _LARGEST:
                text = _read(path)
                if "\0" not in text and hash(text) not in seen:
                    seen.add(hash(text))
                    yield text


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace")
    except (OSError, EOFError):
        return "\0"
