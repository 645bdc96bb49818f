"""Which document a data directory was last served with, so that commands find its keys without being told.

Promises: a path and nothing else, in a file that only its owner can read.

Doesn't promise: that the document is still there, or still the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import orjson

from partywall.errors import ConfigError

__all__ = ["remember_document", "remembered_document"]

_FILE: Final = "document.json"


def remember_document(data_dir: Path, document: Path) -> None:
    """Note the path of `document`.

    Raises:
        ConfigError: the directory can't be written.
    """
    path = data_dir / _FILE
    temporary = path.with_name(f"{_FILE}.{os.getpid()}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123  # a descriptor
            file.write(orjson.dumps({"document": str(document.absolute())}))
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"data directory `{data_dir}`: {error.strerror}") from error


def remembered_document(data_dir: Path) -> Path | None:
    """The path that was noted last; None when there is none, or the note makes no sense."""
    try:
        noted = orjson.loads((data_dir / _FILE).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    path = noted.get("document") if isinstance(noted, dict) else None
    return Path(path) if isinstance(path, str) else None
