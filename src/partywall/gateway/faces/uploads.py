"""Uploads: a form (`multipart/form-data`) with fields and one file.

Promises: nothing is read beyond what the pipeline let in; a form that two readers could understand in two ways (a field
twice, no end, a length of its own) is refused; a file's name is one printable line without folders.

Doesn't promise: that a file is what its name says. Whoever reads it finds out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from partywall.gateway.wire.shapes import malformed

__all__ = ["Upload", "read_upload"]

_MOST_PARTS: Final = 16
_LONGEST_FIELD_BYTES: Final = 4096
_LONGEST_NAME_CHARS: Final = 200
_FILE: Final = "file"


@dataclass(frozen=True, slots=True)
class Upload:
    """A form that was sent."""

    fields: Mapping[str, str]
    name: str
    """Of the file."""
    data: bytes


@dataclass(slots=True)
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)


class _Form:
    """What the parser calls."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.complete = False
        self._name = bytearray()
        self._value = bytearray()

    def begin(self) -> None:
        if len(self.parts) >= _MOST_PARTS:
            raise malformed(f"a form has at most {_MOST_PARTS} parts")
        self.parts.append(_Part())

    def name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header(self) -> None:
        name = bytes(self._name).lower()
        if name in self.parts[-1].headers:
            raise malformed("a part of the form repeats a header")
        self.parts[-1].headers[name] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].data += memoryview(data)[start:end]

    def end(self) -> None:
        self.complete = True


def read_upload(raw: bytes, content_type: bytes) -> Upload:
    """The form in a body.

    Raises:
        BadRequest: it is none, or none with exactly one file.
    """
    fields: dict[str, str] = {}
    file: tuple[str, bytes] | None = None
    for part in _parts(raw, content_type):
        name, file_name = _named(part)
        if name in fields or (name == _FILE and file is not None):
            raise malformed("a field of the form is repeated")
        if name == _FILE:
            file = (_plain_name(file_name), bytes(part.data))
        elif file_name is not None:
            raise malformed("the form brings a file under another name than `file`")
        else:
            fields[name] = _text(part)
    if file is None:
        raise malformed("`file` is required")
    return Upload(fields, *file)


def _parts(raw: bytes, content_type: bytes) -> list[_Part]:
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise malformed("an upload is sent as multipart/form-data")
    form = _Form()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.begin,
                "on_header_field": form.name,
                "on_header_value": form.value,
                "on_header_end": form.header,
                "on_part_data": form.data,
                "on_end": form.end,
            },
        )
        parser.write(raw)
        parser.finalize()
    except FormParserError:
        raise malformed("the form can't be read") from None
    if not form.complete:
        raise malformed("the form has no end")
    return form.parts


def _named(part: _Part) -> tuple[str, str | None]:
    """What a part is called, and what its file is called if it has one."""
    kind, options = parse_options_header(part.headers.get(b"content-disposition", b""))
    if kind != b"form-data" or b"name" not in options:
        raise malformed("a part of the form has no name")
    if part.headers.get(b"content-transfer-encoding", b"binary").lower() not in (b"7bit", b"8bit", b"binary"):
        raise malformed("a part of the form is encoded")
    file_name = options.get(b"filename")
    return _decoded(options[b"name"]), None if file_name is None else _decoded(file_name)


def _text(part: _Part) -> str:
    if len(part.data) > _LONGEST_FIELD_BYTES:
        raise malformed(f"a field of the form has more than {_LONGEST_FIELD_BYTES} bytes")
    return _decoded(bytes(part.data))


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise malformed("the form isn't UTF-8") from None


def _plain_name(sent: str | None) -> str:
    """A name without folders and without anything that a line of text can't show."""
    last = (sent or "").replace("\\", "/").rpartition("/")[2]
    plain = "".join(character if character.isprintable() else "_" for character in last).strip()
    return plain[:_LONGEST_NAME_CHARS] if plain.strip(".") else "unnamed"
