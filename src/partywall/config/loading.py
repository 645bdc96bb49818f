"""A file becomes a validated document, or one error that lists everything wrong with it.

Promises: the whole document is read and validated or nothing of it is; every problem is reported at once, each with
line, column and caret; no value that could be a secret is in an error, nor reachable from it.

Doesn't promise: that the parts of a document fit together, or that they isolate well. That is asked of the model.
"""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from partywall.config.explain import explain
from partywall.config.places import Place, PlaceIndex
from partywall.config.problems import DocumentInvalid, Problem
from partywall.config.yaml import MAX_BYTES, Plain, parse

__all__ = ["DocumentInvalid", "Loaded", "Problem", "decode", "load", "load_bytes", "read"]

M = TypeVar("M", bound=BaseModel)

_OTHER_ENCODINGS: Final = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


@dataclass(frozen=True, slots=True)
class Loaded(Generic[M]):
    """A valid document, where it came from, and the SHA-256 of its bytes in hex."""

    document: M
    source: Path
    digest: str


def load(model: type[M], path: Path) -> Loaded[M]:
    """Read, parse and validate the document at `path`. Raises `DocumentInvalid`."""
    return load_bytes(model, read(path), path)


def load_bytes(model: type[M], data: bytes, source: Path) -> Loaded[M]:
    """Parse and validate `data`, which messages call `source`. Raises `DocumentInvalid`."""
    text = decode(data, source)
    plain = parse(text, str(source))
    if not isinstance(plain, dict):
        raise DocumentInvalid(str(source), [_no_mapping(plain)])
    document = _validated(model, plain, text, str(source))
    return Loaded(document, source, hashlib.sha256(data).hexdigest())


def read(path: Path) -> bytes:
    """The bytes of the file at `path`, at most 64 MiB. Raises `DocumentInvalid`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _unreadable(
            path, "no such file", "give the path of the document, or write one with `partywall init`"
        ) from None
    except IsADirectoryError:
        raise _unreadable(path, "is a directory", "give the path of the document in it") from None
    except PermissionError:
        raise _unreadable(path, "may not be read by this user", "see its owner and mode with `ls -l`") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _unreadable(path, f"can't be read: {error}", "") from None
    if len(data) > MAX_BYTES:
        raise _unreadable(path, f"is longer than {MAX_BYTES // 2**20} MiB", "no one document is that long")
    return data


def decode(data: bytes, source: Path) -> str:
    """`data` as text, without a byte-order mark. Raises `DocumentInvalid` where it isn't UTF-8."""
    for mark, name in _OTHER_ENCODINGS.items():
        if data.startswith(mark):
            raise _unreadable(source, f"is {name}", "save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        bad, before = error.object[error.start], error.object[: error.start].decode("utf-8-sig")
    lines = before.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    place = Place(len(lines), len(lines[-1]) + 1)
    raise DocumentInvalid(str(source), [Problem(place, (), f"the byte 0x{bad:02x} is not UTF-8", "save it as UTF-8")])


def _unreadable(path: Path, message: str, hint: str) -> DocumentInvalid:
    sentence = f"{message}; {hint}" if hint else message
    return DocumentInvalid(str(path), [Problem(None, (), sentence)])


def _no_mapping(plain: Plain) -> Problem:
    if plain is None:
        return Problem(Place(1, 1), (), "the document is empty; write one with `partywall init`")
    what = "a list" if isinstance(plain, list) else "a single value"
    return Problem(Place(1, 1), (), f"the document must be a mapping of sections, not {what}")


def _validated(model: type[M], plain: Plain, text: str, source: str) -> M:
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    # Outside the `except`: pydantic's error holds the document's values, and as `__context__` of ours it would take
    # them into every traceback and error report.
    raise DocumentInvalid(source, explain(model, plain, errors, PlaceIndex(text)))
