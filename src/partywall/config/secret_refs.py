"""Upstream credentials, read from where `secret_key_ref` says, at the moment they are used.

Promises: every call asks the source again, so one tenant's credential is never another's left-over (LESSONS C44) and a
rotated key counts from the next request. The environment is read each time; a file's content is kept only while its
identity (device, inode, size, both time stamps) is unchanged. A reference that can't be honoured raises; nothing falls
back to another credential, an empty one or none. While a source holds what it held, it gives the same `Secret` object,
so that what was made of one can be known again without comparing secrets.

Doesn't promise: to notice a file rewritten in place twice within one tick of the file system's clock. Replace the file
(write aside, then rename), as Kubernetes and every editor do.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from partywall.config.providers import SecretKeyRef
from partywall.errors import CredentialUnavailable
from partywall.tenancy import Secret

__all__ = ["SecretKind", "SecretRef", "SecretResolver"]

_MAX_BYTES: Final = 64 * 1024
_MAX_KEPT: Final = 10_000
_OTHERS: Final = stat.S_IROTH | stat.S_IWOTH


class SecretKind(StrEnum):
    """The forms of `secret_key_ref`."""

    ENV = "env"
    FILE = "file"
    VAULT = "vault"
    STORE = "store"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is kept: a kind, and a variable name, a path or a key within it. Never the secret."""

    kind: SecretKind
    locator: str

    @classmethod
    def of(cls, ref: SecretKeyRef) -> SecretRef:
        """The one form that a document's `secret_key_ref` has."""
        kind, locator = next((SecretKind(name), value) for name, value in ref if value is not None)
        return cls(kind, locator)


_Identity = tuple[int, int, int, int, int]


class _Variable:
    """An environment variable as it was read last. No tuple: it would show the value where it is printed."""

    __slots__ = ("key", "secret", "value")

    def __init__(self, key: bytes, value: bytes, secret: Secret) -> None:
        self.key = key
        self.value = value
        self.secret = secret


class SecretResolver:
    """Turns references into secrets. One per process; it holds no tenant's state but unchanged files and variables."""

    __slots__ = ("_files", "_variables")

    def __init__(self) -> None:
        self._files: dict[str, tuple[_Identity, Secret]] = {}
        self._variables: dict[str, _Variable] = {}

    def resolve(self, ref: SecretRef) -> Secret:
        """The secret that `ref` names, now.

        Raises:
            CredentialUnavailable: it is absent, empty, unreadable, readable by others, or not printable ASCII; or its
                kind needs a room that isn't there yet. The message names the place, never the content.
        """
        match ref.kind:
            case SecretKind.ENV:
                return self._from_environment(ref.locator)
            case SecretKind.FILE:
                return self._from_file(ref.locator)
            case SecretKind.VAULT | SecretKind.STORE:
                raise CredentialUnavailable(
                    f"secret_key_ref `{ref.kind}: {ref.locator}` needs the store of credentials, which isn't there; "
                    "use `env` or `file`"
                )

    def _from_environment(self, name: str) -> Secret:
        kept = self._variables.get(name)
        key = os.fsencode(name) if kept is None else kept.key
        try:
            value = os.environb[key]
        except KeyError:
            self._variables.pop(name, None)
            raise CredentialUnavailable(f"environment variable `{name}` is not set") from None
        if kept is not None and kept.value == value:
            return kept.secret
        self._variables.pop(name, None)
        secret = _checked(value, f"environment variable `{name}`")
        _make_room(self._variables)
        self._variables[name] = _Variable(key, value, secret)
        return secret

    def _from_file(self, path: str) -> Secret:
        try:
            identity = _identity(os.stat(path))  # noqa: PTH116  # on the request path; Path costs more than the call
            kept = self._files.get(path)
            if kept is not None and kept[0] == identity:
                return kept[1]
            self._files.pop(path, None)
            identity, text = _read(path)
        except (OSError, ValueError) as error:
            self._files.pop(path, None)
            reason = error.strerror if isinstance(error, OSError) else "not a path"
            raise CredentialUnavailable(f"secret file `{path}` can't be read: {reason}") from None
        secret = _checked(text.removesuffix(b"\n"), f"secret file `{path}`")
        _make_room(self._files)
        self._files[path] = (identity, secret)
        return secret


def _make_room(kept: dict[str, Any]) -> None:
    # Only documents name places, but they may be reloaded for ever. What is dropped is read again.
    if len(kept) >= _MAX_KEPT:
        kept.clear()


def _read(path: str) -> tuple[_Identity, bytes]:
    """The content of a private regular file, and the identity of exactly that file."""
    # O_NONBLOCK: opening a FIFO that someone left there must not hang the event loop.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        # INVARIANT: checks are made on the open file, so it can't be exchanged between check and read.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise CredentialUnavailable(f"secret file `{path}` is not a regular file")
        if status.st_mode & _OTHERS:
            raise CredentialUnavailable(
                f"secret file `{path}` is open to every user (mode {stat.S_IMODE(status.st_mode):04o}); chmod 0600 it"
            )
        text = os.read(descriptor, _MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(text) > _MAX_BYTES:
        raise CredentialUnavailable(f"secret file `{path}` is longer than {_MAX_BYTES} bytes; it holds no single key")
    return _identity(status), text


def _identity(status: os.stat_result) -> _Identity:
    # chmod changes the ctime, so a file that was opened to others is checked again.
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _checked(value: bytes, place: str) -> Secret:
    if not value:
        raise CredentialUnavailable(f"{place} is empty")
    text = value.decode("latin-1")
    # A line break in a credential would end its header and start one of the secret's author.
    if not (text.isascii() and text.isprintable()) or text != text.strip():
        raise CredentialUnavailable(f"{place} holds more than one line of printable ASCII")
    return Secret(text)
