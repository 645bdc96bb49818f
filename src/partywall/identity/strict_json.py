"""JSON as two parsers can only read it one way.

Promises: a document that loads here has no repeated name, no NaN, is UTF-8 and one object. A token whose `tenant` comes
twice would mean one tenant to us and another to the next service.
"""

from __future__ import annotations

import json
from typing import NoReturn

__all__ = ["parse_object"]


def parse_object(raw: bytes) -> dict[str, object]:
    """Parse one JSON object.

    Raises:
        ValueError: it isn't one, or it is ambiguous. The message holds no content.
    """
    try:
        # Decoded first: `json.loads` on bytes would guess UTF-16 and UTF-32 too.
        value = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at {error.pos}") from None
    except UnicodeDecodeError:
        raise ValueError("JSON is not UTF-8") from None
    if not isinstance(value, dict):
        raise ValueError("JSON is not an object")  # noqa: TRY004  # one exception for every malformed document
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a JSON object repeats a name")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
