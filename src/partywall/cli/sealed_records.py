"""The keys that open decision records for a command, where the document says that they are sealed.

Promises: a data directory whose document says nothing of encryption is read as ever, and so is one whose document is
gone, or whose keys: only what is sealed then needs to be told where they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from partywall.cli.keyring import SERVICE, document_of, operator
from partywall.errors import ConfigError
from partywall.keys import KeyAlarm, KeyAlarmKind
from partywall.platform.encryption import Encrypted
from partywall.platform.opening import record_opener
from partywall.trail import Opener

__all__ = ["ReadingKeys", "keys_of_records"]


@dataclass(frozen=True)
class ReadingKeys:
    """What opens decision records, if anything does."""

    opener: Opener | None
    why_none: str
    """Why there is no opener, to go on a sentence."""
    pause: Callable[[float], None]
    """Waits, in seconds, as the keys need it."""


@contextmanager
def keys_of_records(config: Path | None, data_dir: Path) -> Iterator[ReadingKeys]:
    """The keys of the document that was named, or that the directory was last served with.

    Raises:
        ConfigError: the document that was named can't be read.
        KeyUnavailable: its root can't be used.
    """
    document = document_of(config, data_dir)
    try:
        encrypted = Encrypted.load(document)
    except ConfigError:
        if config is not None:
            raise
        yield ReadingKeys(None, f"the document {document} can't be read", time.sleep)
        return
    if encrypted is None:
        yield ReadingKeys(None, f"the document {document} has no `encryption`", time.sleep)
        return
    keys_dir = encrypted.keys_dir(base=document.parent, data_dir=data_dir)
    if not keys_dir.is_dir():
        yield ReadingKeys(None, f"{keys_dir} holds no keys", time.sleep)
        return
    with record_opener(
        encrypted,
        base=document.parent,
        data_dir=data_dir,
        service=SERVICE,
        requestor=operator(),
        on_alarm=_alarm,
    ) as opener:
        yield ReadingKeys(opener, "", opener.pause)


def _alarm(alarm: KeyAlarm) -> None:
    if alarm.kind is not KeyAlarmKind.SEAL_BROKEN:  # the reader tells of each, with its row
        click.echo(f"alarm: {alarm}", err=True)
