"""Who tries what, and what must come of it.

`SCENARIO` is the table; the functions below it are the attempts. Each makes one request and tells in a few words what
came back; a refusal is told by whoever runs it, as its status and code. The model behind the gateway is the parrot, so
an answer shows what reached the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import openai
from anthropic.types import RawMessageStreamEvent
from openai.types.chat import ChatCompletionToolParam

from partywall.demo.callers import KEYS, MODELS, Callers

__all__ = ["SCENARIO", "Row"]

Attempt = Callable[[Callers], str]

_WORDS: Final = "the tenants of a house share its party walls"
_SALT: Final = re.compile(r"^cache_salt: (.*)$", re.MULTILINE)
_SERVER_MADE: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt. `recorded_for` is whose decisions it must end up in; None: the platform's own."""

    theme: str
    who: str
    what: str
    expected: str
    attempt: Attempt
    recorded_for: str | None


def _rows(theme: str, *rows: tuple[str, str, str, Attempt]) -> tuple[Row, ...]:
    """Rows of one theme: who, what, what is expected, and how it is tried."""
    return tuple(
        Row(theme, who, what, expected, attempt, who if who in MODELS else None) for who, what, expected, attempt in rows
    )


# -- Attempts: chats -----------------------------------------------------------------------------------------------


def _heard(said: str) -> str:
    """Whether the parrot repeats what was sent."""
    return "answered" if _WORDS in said else "answered something else"


def _chat(tenant: str, callers: Callers, *, words: str = _WORDS, **headers: str | openai.Omit) -> str:
    answer = callers.openai(tenant).chat.completions.create(
        model=MODELS[tenant],
        messages=[{"role": "user", "content": words}],
        extra_headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    return _heard(answer.choices[0].message.content or "")


def _chat_streamed(tenant: str, callers: Callers, *, words: str = _WORDS) -> str:
    stream = callers.openai(tenant).chat.completions.create(
        model=MODELS[tenant], messages=[{"role": "user", "content": words}], stream=True
    )
    return _heard("".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices))


def _message(tenant: str, callers: Callers, **headers: str) -> str:
    answer = callers.anthropic(tenant).messages.create(
        model=MODELS[tenant],
        max_tokens=100,
        messages=[{"role": "user", "content": _WORDS}],
        extra_headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    return _heard("".join(block.text for block in answer.content if block.type == "text"))


def _message_streamed(tenant: str, callers: Callers, *, words: str = _WORDS) -> str:
    stream = callers.anthropic(tenant).messages.create(
        model=MODELS[tenant], max_tokens=100, messages=[{"role": "user", "content": words}], stream=True
    )
    return _heard("".join(_text_of(event) for event in stream))


def _text_of(event: RawMessageStreamEvent) -> str:
    is_text = event.type == "content_block_delta" and event.delta.type == "text_delta"
    return event.delta.text if is_text else ""


def _response(tenant: str, callers: Callers) -> str:
    return _heard(callers.openai(tenant).responses.create(model=MODELS[tenant], input=_WORDS).output_text)


def _response_streamed(tenant: str, callers: Callers) -> str:
    stream = callers.openai(tenant).responses.create(model=MODELS[tenant], input=_WORDS, stream=True)
    return _heard("".join(event.delta for event in stream if event.type == "response.output_text.delta"))


def _embedding(tenant: str, callers: Callers) -> str:
    answer = callers.openai(tenant).embeddings.create(model=MODELS[tenant], input=_WORDS)
    return "answered" if answer.data[0].embedding else "answered nothing"


# -- Attempts: as somebody else, as nobody -------------------------------------------------------------------------


def _body_names_beta(callers: Callers) -> str:
    callers.openai("alpha").chat.completions.create(
        model=MODELS["alpha"], messages=[{"role": "user", "content": _WORDS}], extra_body={"tenant_id": "beta"}
    )
    return "answered"


def _with_key(tenant: str, key: str | openai.Omit, callers: Callers) -> str:
    """A chat with another credential than the client's own, or with none."""
    authorization = key if isinstance(key, openai.Omit) else f"Bearer {key}"
    return _chat(tenant, callers, Authorization=authorization)
