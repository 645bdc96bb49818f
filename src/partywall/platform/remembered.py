"""Which document a data directory was last served with, so that commands find its keys without being told.

Promises: paths and nothing else, in a file that only its owner can read. The document is told to the directory that the
note was written for and to no copy of it: from a copy, relative paths in the document lead to the original's keys.

Doesn't promise: that the document is still there, or still the same. After a move, or a restore, the note is nobody's
until the directory is served again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import orjson

from partywall.errors import ConfigError

__all__ = ["has_foreign_note", "remember_document", "remembered_document", "remembered_keys_dir"]

_FILE: Final = "document.json"


def remember_document(data_dir: Path, document: Path, *, keys_dir: Path | None = None) -> None:
    """Note the path of `document`, and where the wrapped keys lie. Without `keys_dir`, what was noted of it stays.

    Raises:
        ConfigError: the directory can't be written.
    """
    path = data_dir / _FILE
    temporary = path.with_name(f"{_FILE}.{os.getpid()}")
    keys = keys_dir or remembered_keys_dir(data_dir)
    try:
        note: dict[str, object] = {"document": str(document.absolute()), **_identity(data_dir)}
        if keys is not None:
            note["keys_dir"] = str(keys.absolute())
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123  # a descriptor
            file.write(orjson.dumps(note))
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"data directory `{data_dir}`: {error.strerror}") from error


def remembered_document(data_dir: Path) -> Path | None:
    """The path that was noted last; None when there is none, it makes no sense, or was noted for another directory."""
    noted = _note(data_dir)
    return _path(noted, "document") if _is_of(noted, data_dir) else None


def has_foreign_note(data_dir: Path) -> bool:
    """Whether a document was noted here, but for another directory: this one is a copy, was moved or was restored."""
    noted = _note(data_dir)
    return "document" in noted and not _is_of(noted, data_dir)


def remembered_keys_dir(data_dir: Path) -> Path | None:
    """Where the wrapped keys lay when the directory, or the one that it is a copy of, was last served with any."""
    return _path(_note(data_dir), "keys_dir")


def _note(data_dir: Path) -> dict[str, object]:
    try:
        noted = orjson.loads((data_dir / _FILE).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _path(noted: dict[str, object], name: str) -> Path | None:
    path = noted.get(name)
    return Path(path) if isinstance(path, str) else None


def _is_of(noted: dict[str, object], data_dir: Path) -> bool:
    try:
        return _identity(data_dir).items() <= noted.items()
    except OSError:
        return False


def _identity(data_dir: Path) -> dict[str, object]:
    """What a copy hasn't in common with its original: the path when both are there, the inode when one is swapped."""
    found = data_dir.stat()
    return {"data_dir": str(data_dir.resolve()), "st_dev": found.st_dev, "st_ino": found.st_ino}
