"""From where a data directory was last served: files below it, or a database.

Promises: a document that names another place is refused before anything is stored there, so that what tenants have
stored never seems gone by an edit of `storage`. Whoever means it deletes the note.

Doesn't promise: to move anything from one place to the other.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal, TypeAlias

import orjson

from partywall.errors import ConfigError
from partywall.keys import Store

__all__ = ["Kind", "Served"]

Kind: TypeAlias = Literal["sqlite", "postgres"]

_FILE: Final = "storage.json"
_TOLD: Final = {"sqlite": "SQLite files in this data directory", "postgres": "a PostgreSQL database"}


class Served:
    """The note in one data directory."""

    def __init__(self, data_dir: Path) -> None:
        """Read it.

        Raises:
            ConfigError: it can't be read.
        """
        self._data_dir = data_dir
        self._path = data_dir / _FILE
        self._noted = self._read()

    @property
    def database(self) -> str | None:
        """The name of the database that was served from last; None for files, and at the first start."""
        return self._noted.get("database")

    def refuse_other(self, kind: Kind) -> None:
        """See that the document keeps rows as they were kept.

        Raises:
            ConfigError: it doesn't, and tenants may have rows where they were.
        """
        before = self._noted.get("backend")
        if before is None or before == kind or (before == "sqlite" and not self._has_files()):
            return
        raise ConfigError(
            f"storage: what tenants stored lies in {_TOLD[before]}, and the document says {_TOLD[kind]}, where none of "
            f"it is; nothing is moved by itself. {self._mend()}"
        )

    def refuse_other_database(self) -> ConfigError:
        """What to raise for a database that isn't `database`."""
        return ConfigError(
            f"storage: this is another database than the one that this data directory was served from, and nothing is "
            f"moved by itself. {self._mend()}"
        )

    def note(self, kind: Kind, database: str | None = None) -> None:
        """Write down from where it is served now.

        Raises:
            ConfigError: the directory can't be written.
        """
        noted: dict[str, str] = {"backend": kind} if database is None else {"backend": kind, "database": database}
        if noted == self._noted:
            return
        temporary = self._path.with_name(f"{_FILE}.{os.getpid()}")
        try:
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123  # a descriptor
                file.write(orjson.dumps(noted))
            temporary.replace(self._path)
        except OSError as error:
            raise ConfigError(f"data directory `{self._data_dir}`: {error.strerror}") from error
        self._noted = noted

    def _mend(self) -> str:
        return f"Set `storage` back; or, to leave that behind and begin with nothing, delete `{self._path}` and start"

    def _has_files(self) -> bool:
        tenants = self._data_dir / "tenants"
        return any(next(tenants.glob(f"*/{store.value}.db"), None) for store in Store)

    def _read(self) -> dict[str, str]:
        try:
            noted = orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, orjson.JSONDecodeError):
            noted = None
        if not isinstance(noted, dict) or noted.get("backend") not in _TOLD:
            raise ConfigError(
                f"`{self._path}` can't be read, so nobody can tell from where this directory was served; put it back, "
                "or delete it if `storage` is as it was"
            )
        return noted
