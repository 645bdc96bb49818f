"""Where the texts of a request or of a whole answer stand: everywhere, but for what is named here.

Promises: every string of the JSON is scanned, wherever it stands and whatever the API, so that a field which nobody
thought of is no way around; keys are too. In the arguments of calls, and in a request's texts that are JSON
themselves, the strings are scanned decoded, long numbers as well, and the JSON stays JSON. Nothing is altered in place.

Left out: words of the API's own (`type`, `role`) in their own shape; base64; an upstream's ids in its answer. In names,
ids and keys nothing can be replaced: what is found there refuses.
"""

from __future__ import annotations

import json
import re
from typing import Final

from partywall.errors import BadRequest
from partywall.gateway.scanning.texts import Texts
from partywall.gateway.wire.shapes import JsonObject, malformed

__all__ = ["Walk", "refuse_tokens"]

_WORDS: Final = frozenset(
    {"detail", "encoding_format", "finish_reason", "format", "media_type", "mode", "object", "role"}
    | {"service_tier", "status", "stop_reason", "tool_choice", "type"}
)
_WORD: Final = re.compile(r"[a-z_./-]{1,64}")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_]{1,64}")
_OPAQUE: Final = frozenset({"encrypted_content", "signature"})
_BLOBS: Final = frozenset({"b64_json", "data", "partial_image_b64", "result"})
_BASE64: Final = re.compile(r"[A-Za-z0-9+/=_-]*")
_BLOB_CHARS: Final = 256
_DATA_URL: Final = re.compile(r"data:[^,]{0,120};base64,[A-Za-z0-9+/=_-]*")
_NUMBER_DIGITS: Final = 8
_TOKENS: Final = frozenset({"input_embeds", "input_ids", "prompt_embeds", "prompt_token_ids", "token_ids"})


class Walk:
    """A walk through one side's JSON."""

    __slots__ = ("_is_answer", "_texts")

    def __init__(self, texts: Texts, *, is_answer: bool) -> None:
        self._texts = texts
        self._is_answer = is_answer

    def value(self, key: str, value: object, *, is_data: bool = False) -> object:
        """`value`, which stands under `key`, as it may go on; itself when nothing was found. `is_data`: what a tool
        is given, where no key means anything to us."""
        if isinstance(value, str):
            return self._text(key, value, is_data=is_data)
        if isinstance(value, dict):
            return self._object(value, is_data=is_data or key in ("arguments", "input"))
        if isinstance(value, list):
            if key == "logprobs" and self._is_answer:
                return []
            made = [self.value("" if isinstance(each, dict) else key, each, is_data=is_data) for each in value]
            return value if all(new is old for new, old in zip(made, value, strict=True)) else made
        if is_data and type(value) in (int, float):
            return self._number(value)
        return value

    def json_text(self, text: str) -> str:
        """A text that is JSON (the arguments of a call): its strings scanned as what they say."""
        parsed, is_exact = _decoded(text)
        if not isinstance(parsed, dict | list):
            return self._texts.whole(text)
        made = self.value("", parsed, is_data=True)
        if made is parsed and is_exact:
            return text
        return json.dumps(made, ensure_ascii=not _is_encodable(text))

    def _text(self, key: str, text: str, *, is_data: bool) -> str:
        if is_data:
            return self._texts.whole(text)
        if key in _WORDS and _WORD.fullmatch(text):
            return text
        if key == "model" or (self._is_answer and _is_id(key)):
            return text
        if (key in _OPAQUE and _BASE64.fullmatch(text)) or self._is_blob(key, text):
            return text
        if key == "name" or _is_id(key):
            self._texts.look_at(text)
            return text
        if key in ("arguments", "input") or (not self._is_answer and text.lstrip()[:1] in ("{", "[")):
            return self.json_text(text)
        return self._texts.whole(text)

    def _is_blob(self, key: str, text: str) -> bool:
        """Whether it is base64: by its look in a request, and in an answer only where that belongs."""
        if len(text) < _BLOB_CHARS or (self._is_answer and key not in _BLOBS):
            return False
        return (_BASE64.fullmatch(text) or _DATA_URL.fullmatch(text)) is not None

    def _object(self, value: JsonObject, *, is_data: bool) -> JsonObject:
        made: JsonObject = {}
        is_changed = False
        for key, inner in value.items():
            if not _PLAIN_KEY.fullmatch(key):
                self._texts.look_at(key)
            if key == "logprobs" and self._is_answer and isinstance(inner, dict):
                made[key], is_changed = None, True  # the text again, token by token
                continue
            made[key] = new = self.value(key, inner, is_data=is_data)
            is_changed |= new is not inner
        return made if is_changed else value

    def _number(self, value: object) -> object:
        text = str(value)
        if sum(map(str.isdigit, text)) < _NUMBER_DIGITS:
            return value
        scanned = self._texts.whole(text)
        return value if scanned == text else scanned


def refuse_tokens(body: JsonObject) -> None:
    """Raises BadRequest for a prompt of tokens or vectors: only the model's own tokenizer could read it."""
    for key, value in body.items():
        is_listed = key in ("prompt", "input") and isinstance(value, list) and not _has_texts(value)
        if is_listed or (value is not None and key.casefold() in _TOKENS):
            raise malformed(f"`{key if is_listed else key.casefold()}` must be text: it is scanned for personal data")


def _has_texts(value: list[object]) -> bool:
    return not value or all(isinstance(each, str | dict) for each in value)


def _is_id(key: str) -> bool:
    return key == "id" or key.endswith("_id")


def _decoded(text: str) -> tuple[object, bool]:
    """What `text` says as JSON, and whether that is all that it says: of two equal keys only the last counts."""
    repeated: list[str] = []

    def paired(pairs: list[tuple[str, object]]) -> JsonObject:
        made = dict(pairs)
        if len(made) < len(pairs):
            repeated.append("")
        return made

    try:
        return json.loads(text, object_pairs_hook=paired), not repeated
    except ValueError:
        return None, True
    except RecursionError:
        raise BadRequest("JSON in a text is nested too deeply") from None


def _is_encodable(text: str) -> bool:
    return "\\ud" not in text.casefold()
