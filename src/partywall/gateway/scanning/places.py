"""Where the texts of a request or of a whole answer stand: everywhere, but for what is named here.

Promises: every string of the JSON is scanned, wherever it stands and whatever the API, so that a field which nobody
thought of is no way around; keys are too, and the key of a value counts as its label. In the arguments of calls, and in
a request's texts that are JSON themselves, the strings are scanned decoded, and the JSON stays JSON. There, and
everywhere in a request, long numbers are scanned too. Nothing is altered in place.

Left out: words of the API's own (`type`, `role`) in their own shape; base64 where the APIs have it; numbers that are
parameters (`seed`); an upstream's ids and numbers in its answer. In names, ids and keys nothing can be replaced: what
is found there refuses.
"""

from __future__ import annotations

import json
import re
from typing import Final

from partywall.errors import BadRequest
from partywall.gateway.scanning.texts import Texts
from partywall.gateway.wire.shapes import JsonObject, malformed

__all__ = ["Walk", "is_text", "is_word", "refuse_tokens"]

_WORDS: Final = frozenset(
    {"detail", "encoding_format", "finish_reason", "format", "media_type", "mode", "object", "role"}
    | {"service_tier", "status", "stop_reason", "tool_choice", "type"}
)
_WORD: Final = re.compile(r"[a-z_./-]{1,64}")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_]{1,16}")
"""Too short for a credential of letters alone."""
_OPAQUE: Final = frozenset({"encrypted_content", "signature"})
_OPAQUE_CHARS: Final = 64
_TOKEN: Final = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_BLOBS: Final = frozenset({"b64_json", "data", "file_data", "partial_image_b64", "result"})
_URLS: Final = frozenset({"audio_url", "data", "file_data", "file_url", "image_url", "url", "video_url"})
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_BLOB_CHARS: Final = 256
_DATA_URL: Final = re.compile(r"data:[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60};base64,")
_LONG_NUMBER: Final = 10_000
_PARAMETERS: Final = frozenset(
    {"budget_tokens", "logprobs", "max_completion_tokens", "max_output_tokens", "max_tokens", "n", "num_ctx"}
    | {"num_predict", "seed", "temperature", "thinking_budget", "top_k", "top_logprobs", "top_p"}
)
_SAID: Final = frozenset({"", "content", "input", "instructions", "output", "prompt", "system", "text"})
"""Keys that label nothing: what is said stands there."""
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
        if isinstance(value, int | float) and (is_data or not (self._is_answer or key in _PARAMETERS)):
            return self._number(key, value)
        return value

    def key(self, key: str) -> None:
        """Look at a key: it must stay as it is."""
        if not _PLAIN_KEY.fullmatch(key):
            self._texts.look_at(key)

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
            return self._texts.whole(text, label=_label(key))
        if key in _WORDS and is_word(text):
            return text
        if key == "model" or (self._is_answer and _is_id(key)):
            return text
        if _is_opaque(key, text):
            return text
        if key == "name" or _is_id(key):
            self._texts.look_at(text)
            return text
        if key in ("arguments", "input") or (not self._is_answer and text.lstrip()[:1] in ("{", "[")):
            return self.json_text(text)
        return self._texts.whole(text, label="" if self._is_answer else _label(key))

    def _object(self, value: JsonObject, *, is_data: bool) -> JsonObject:
        made: JsonObject = {}
        is_changed = False
        for key, inner in value.items():
            self.key(key)
            if key == "logprobs" and self._is_answer and isinstance(inner, dict):
                made[key], is_changed = None, True  # the text again, token by token
                continue
            made[key] = new = self.value(key, inner, is_data=is_data)
            is_changed |= new is not inner
        return made if is_changed else value

    def _number(self, key: str, value: float) -> object:
        if not _LONG_NUMBER <= abs(value) < float("inf"):
            return value
        text = str(int(value) if value == int(value) else value)
        scanned = self._texts.whole(text, label=_label(key))
        return value if scanned == text else scanned


def is_text(key: str) -> bool:
    """Whether what stands under `key` may be told piece by piece."""
    return not (key in _WORDS | _OPAQUE | _BLOBS | _URLS | {"model", "name"} or _is_id(key))


def is_word(text: str) -> bool:
    """Whether `text` has the shape of the APIs' own words."""
    return _WORD.fullmatch(text) is not None


def refuse_tokens(body: JsonObject) -> None:
    """Raises BadRequest for a prompt of tokens or vectors: only the model's own tokenizer could read it."""
    for key, value in body.items():
        is_listed = key in ("prompt", "input") and isinstance(value, list) and not _has_texts(value)
        if is_listed or (value is not None and key.casefold() in _TOKENS):
            raise malformed(f"`{key if is_listed else key.casefold()}` must be text: it is scanned for personal data")


def _has_texts(value: list[object]) -> bool:
    return not value or all(isinstance(each, str | dict) for each in value)


def _label(key: str) -> str:
    return "" if key in _SAID else f"{key}: "


def _is_opaque(key: str, text: str) -> bool:
    """Whether it is base64 where the APIs have it, from its beginning to its end."""
    if key in _OPAQUE:
        return len(text) >= _OPAQUE_CHARS and _TOKEN.fullmatch(text) is not None
    if len(text) < _BLOB_CHARS or key not in _BLOBS | _URLS:
        return False
    prefix = _DATA_URL.match(text)
    start = prefix.end() if prefix and key in _URLS else 0
    return (start > 0 or key in _BLOBS) and (len(text) - start) % 4 == 0 and bool(_BASE64.fullmatch(text, start))


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
