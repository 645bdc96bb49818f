"""From a file's bytes to its text.

Promises: the media type is one that is listed, and the bytes agree with it. Plain text is decoded here; every format
that has a parser is read by a process of its own (`reader`), started for this one file, with bounded memory and time,
killed at the deadline; nothing of one tenant's file is there when the next is read. A tenant has one such process at a
time, and all tenants together a few. What can't be read raises BadRequest in plain words that hold nothing of the file.

Doesn't promise: to read what is only an image, or text in another encoding than UTF-8. It is no sandbox: the process
could still read what the gateway's user may read, so run the gateway as a user who may read little.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

import orjson

from partywall.errors import BadRequest, PayloadTooLarge
from partywall.stores.documents.extras import require
from partywall.stores.documents.kinds import Limits
from partywall.tenancy import TenantId, TenantScope

__all__ = ["Parser", "Text", "media_type_of"]

_READER: Final = Path(__file__).with_name("reader.py")
_FORMATS: Final[Mapping[str, str]] = {
    "application/json": "text",
    "application/pdf": "pdf",
    "application/xhtml+xml": "html",
    "text/csv": "text",
    "text/html": "html",
    "text/markdown": "markdown",
    "text/plain": "text",
}
_ALSO_CALLED: Final[Mapping[str, str]] = {
    "application/octet-stream": "",
    "application/x-pdf": "application/pdf",
    "text/x-markdown": "text/markdown",
}
_NEEDED: Final[Mapping[str, str]] = {"pdf": "pypdf", "html": "selectolax", "markdown": "markdown_it"}
_ENDINGS: Final[Mapping[str, str]] = {
    ".csv": "text/csv",
    ".htm": "text/html",
    ".html": "text/html",
    ".json": "application/json",
    ".markdown": "text/markdown",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
}
_HEAD_BYTES: Final = 1024
_PROCESSES: Final = 4
_BYTES_PER_CHARACTER: Final = 12  # JSON writes a character outside the BMP as two escapes
_ANSWER_EXTRA_BYTES: Final = 4 * 2**20


class Text(NamedTuple):
    """What stands in a file, and where its headings begin."""

    text: str
    headings: tuple[int, ...]


def media_type_of(name: str, data: bytes, stated: str | None) -> str:
    """The media type, from what was stated, what the content shows, and what the name ends in.

    Raises:
        BadRequest: one that isn't read here, or one that the content contradicts.
    """
    shown = _shown(data)
    if stated is not None:
        stated = stated.partition(";")[0].strip().lower()
        stated = _ALSO_CALLED.get(stated, stated)
    if not stated:
        stated = shown or _ENDINGS.get(Path(name).suffix.lower(), "text/plain")
    if stated not in _FORMATS:
        raise _unreadable("files of this type are not read; send text, Markdown, HTML or PDF")
    if (stated == "application/pdf") is not (shown == "application/pdf"):
        raise _unreadable("the file's content is not of the type that is stated")
    return stated


def _shown(data: bytes) -> str | None:
    head = data[:_HEAD_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"%PDF-"):
        return "application/pdf"
    if head[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "text/html"
    return None


class Parser:
    """Reads files. It belongs to the event loop that uses it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all = asyncio.Semaphore(_PROCESSES)
        self._own: WeakValueDictionary[TenantId, asyncio.Lock] = WeakValueDictionary()

    async def read(self, scope: TenantScope, data: bytes, media_type: str) -> Text:
        """The text of a file of this media type.

        Raises:
            BadRequest: it can't be read; the public message says why, in plain words.
            PayloadTooLarge: there is too much text in it.
            ConfigError: what reads it isn't installed.
        """
        kind = _FORMATS[media_type]
        found = Text(self._decoded(data), ()) if kind == "text" else await self._read_apart(scope, kind, data)
        if not found.text or found.text.isspace():
            raise _unreadable("there is no text in it")
        return found

    async def _read_apart(self, scope: TenantScope, kind: str, data: bytes) -> Text:
        """What a process of its own reads."""
        require(_NEEDED[kind])
        lock = self._own.get(scope.tenant) or self._own.setdefault(scope.tenant, asyncio.Lock())
        async with lock, self._all:
            answer = await self._ask(kind, data)
        return _text(answer)

    def _decoded(self, data: bytes) -> str:
        try:
            text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError:
            raise _unreadable("the text is not UTF-8") from None
        if "\0" in text:
            raise _unreadable("the file is not text")
        if len(text) > self._limits.text_characters:
            raise PayloadTooLarge(f"a file has {len(text)} characters of text")
        return text

    async def _ask(self, kind: str, data: bytes) -> bytes:
        """What the reader says of the file."""
        limits = self._limits
        seconds = max(1, round(limits.parse_seconds))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(_READER),
            kind,
            str(limits.text_characters),
            str(limits.parse_memory_bytes),
            str(seconds),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": os.defpath},  # no secret of ours
            cwd="/",
        )
        most = limits.text_characters * _BYTES_PER_CHARACTER + _ANSWER_EXTRA_BYTES
        try:
            async with asyncio.timeout(limits.parse_seconds):
                return await _exchange(process, data, most)
        except TimeoutError:
            raise _unreadable("reading the file takes too long") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            # Reaped even if the caller is cancelled: a killed process ends at once.
            await asyncio.shield(process.wait())


async def _exchange(process: asyncio.subprocess.Process, data: bytes, most: int) -> bytes:
    assert process.stdin is not None  # noqa: S101 - it was asked for
    assert process.stdout is not None  # noqa: S101 - as above

    async def write(stdin: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):  # it ended; what it said tells why
            stdin.write(data)
            await stdin.drain()
            stdin.close()

    parts: list[bytes] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(write(process.stdin))
        left = most
        while left >= 0 and (part := await process.stdout.read(2**18)):
            left -= len(part)
            parts.append(part)
        if left < 0:
            process.kill()  # and so the write ends too
    if left < 0:
        raise _unreadable("there is too much in the file")
    return b"".join(parts)


def _text(answer: bytes) -> Text:
    """What the reader's answer means. It came from a process that read a hostile file, so it is checked as one."""
    try:
        said = orjson.loads(answer)
        if type(refused := said.get("refused")) is str:
            raise _unreadable(refused)
        text, headings = said["text"], said["headings"]
        if type(text) is str and all(type(place) is int and 0 <= place <= len(text) for place in headings):
            return Text(text, tuple(sorted(headings)))
    except (ValueError, LookupError, TypeError, AttributeError):
        pass
    raise _unreadable("reading the file takes too much memory or time, or it is damaged")


def _unreadable(why: str) -> BadRequest:
    return BadRequest(f"a file was refused: {why}", public_message=f"The file can't be used: {why}.")
