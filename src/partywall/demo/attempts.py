"""The attempts. Each makes one request and says in a few words what came back.

Refusals pass through, for `driver` to tell by status and code; only what compares their bytes catches them. The model
behind the gateway is the parrot, so an answer shows what reached the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from anthropic.types import RawContentBlockDeltaEvent, TextDelta
from openai import APIStatusError, Omit
from openai.types.chat import ChatCompletion, ChatCompletionToolParam

from partywall.demo.callers import MODELS, Callers

__all__ = [
    "chat",
    "chat_about",
    "chat_streamed",
    "chat_with_body",
    "embedding",
    "image",
    "message",
    "message_streamed",
    "model_looked_up",
    "models_listed",
    "refused_alike",
    "refused_first",
    "response",
    "response_streamed",
    "salt_chosen",
    "tool_forced",
    "tools_offered",
]

Attempt = Callable[[Callers], str]
Headers = Mapping[str, str | Omit]

_WORDS: Final = "the tenants of a house share its party walls"
_SALT: Final = re.compile(r"^cache_salt: (.*)$", re.MULTILINE)
_SERVER_MADE: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def _heard(said: str | None) -> str:
    """Whether the parrot repeats what was sent."""
    return "answered" if said and _WORDS in said else "answered something else"


# -- Asking --------------------------------------------------------------------------------------------------------


def chat(tenant: str, callers: Callers, *, words: str = _WORDS, headers: Headers | None = None) -> str:
    """OpenAI's chat completions."""
    return _heard(_chat(tenant, callers, words, headers=headers).choices[0].message.content)


def _chat(
    tenant: str,
    callers: Callers,
    words: str = _WORDS,
    *,
    model: str | None = None,
    headers: Headers | None = None,
    body: Mapping[str, str] | None = None,
) -> ChatCompletion:
    return callers.openai[tenant].chat.completions.create(
        model=model or MODELS[tenant],
        messages=[{"role": "user", "content": words}],
        extra_headers=headers,
        extra_body=body,
    )


def chat_with_body(body: Mapping[str, str], tenant: str, callers: Callers) -> str:
    """The same, with further fields in the body."""
    return _heard(_chat(tenant, callers, body=body).choices[0].message.content)


def chat_about(model: str, tenant: str, callers: Callers) -> str:
    """The same, with a model of the caller's choice."""
    return _heard(_chat(tenant, callers, model=model).choices[0].message.content)


def chat_streamed(tenant: str, callers: Callers, *, words: str = _WORDS) -> str:
    """Chat completions, streamed."""
    stream = callers.openai[tenant].chat.completions.create(
        model=MODELS[tenant], messages=[{"role": "user", "content": words}], stream=True
    )
    return _heard("".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices))


def message(tenant: str, callers: Callers, *, headers: Mapping[str, str] | None = None) -> str:
    """Anthropic's messages."""
    answer = callers.anthropic[tenant].messages.create(
        model=MODELS[tenant], max_tokens=100, messages=[{"role": "user", "content": _WORDS}], extra_headers=headers
    )
    return _heard("".join(block.text for block in answer.content if block.type == "text"))


def message_streamed(tenant: str, callers: Callers, *, words: str = _WORDS) -> str:
    """The same, streamed."""
    stream = callers.anthropic[tenant].messages.create(
        model=MODELS[tenant], max_tokens=100, messages=[{"role": "user", "content": words}], stream=True
    )
    return _heard("".join(_text_deltas(stream)))


def _text_deltas(events: Iterable[object]) -> Iterable[str]:
    for event in events:
        if isinstance(event, RawContentBlockDeltaEvent) and isinstance(event.delta, TextDelta):
            yield event.delta.text


def response(tenant: str, callers: Callers) -> str:
    """OpenAI's responses."""
    return _heard(callers.openai[tenant].responses.create(model=MODELS[tenant], input=_WORDS).output_text)


def response_streamed(tenant: str, callers: Callers) -> str:
    """The same, streamed."""
    stream = callers.openai[tenant].responses.create(model=MODELS[tenant], input=_WORDS, stream=True)
    return _heard("".join(event.delta for event in stream if event.type == "response.output_text.delta"))


def embedding(tenant: str, callers: Callers) -> str:
    """OpenAI's embeddings."""
    answer = callers.openai[tenant].embeddings.create(model=MODELS[tenant], input=_WORDS)
    return "answered" if answer.data[0].embedding else "answered nothing"


def image(tenant: str, callers: Callers) -> str:
    """Something that the gateway doesn't do."""
    callers.openai[tenant].images.generate(model=MODELS[tenant], prompt=_WORDS)
    return "answered"


# -- Tools ---------------------------------------------------------------------------------------------------------


def _tool(name: str) -> ChatCompletionToolParam:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}


def tool_forced(name: str, tenant: str, callers: Callers, *, role: str = "analyst") -> str:
    """A chat that offers one tool and demands that the model calls it."""
    answer = callers.openai[tenant].chat.completions.create(
        model=MODELS[tenant],
        messages=[{"role": "user", "content": _WORDS}],
        tools=[_tool(name)],
        tool_choice={"type": "function", "function": {"name": name}},
        extra_headers={"X-User-Role": role},
    )
    calls = answer.choices[0].message.tool_calls or []
    return f"calls {', '.join(call.function.name for call in calls if call.type == 'function')}"


def tools_offered(offered: tuple[str, ...], tenant: str, callers: Callers) -> str:
    """A chat that offers several tools; which of them reached the model."""
    answer = callers.openai[tenant].chat.completions.create(
        model=MODELS[tenant],
        messages=[{"role": "user", "content": _WORDS}],
        tools=[_tool(name) for name in offered],
    )
    arrived = answer.choices[0].message.content or ""
    return f"{', '.join(name for name in offered if name in arrived)} arrived"


# -- Cache salts ---------------------------------------------------------------------------------------------------


def salt_chosen(tenant: str, callers: Callers, *, stolen_from: str | None = None) -> str:
    """A chat with a cache salt of the client's choice; whose salt reached the model.

    The choice is the salt that `stolen_from` was seen with, or a word.
    """
    chosen = callers.notes[f"salt of {stolen_from}"] if stolen_from else "my-own-salt"
    arrived = _SALT.findall(_chat(tenant, callers, body={"cache_salt": chosen}).choices[0].message.content or "")
    if len(arrived) != 1 or chosen in arrived or not _SERVER_MADE.fullmatch(arrived[0]):
        return "the client's salt" if chosen in arrived else "no salt"
    callers.notes[f"salt of {tenant}"] = arrived[0]
    return "the server's salt"


# -- Models --------------------------------------------------------------------------------------------------------


def models_listed(tenant: str, callers: Callers, *, anthropic: bool = False) -> str:
    """The models that the gateway shows."""
    client = callers.anthropic[tenant] if anthropic else callers.openai[tenant]
    return ", ".join(model.id for model in client.models.list())


def model_looked_up(model: str, tenant: str, callers: Callers) -> str:
    """One model, by its name."""
    return f"found {callers.openai[tenant].models.retrieve(model).id}"


# -- Refusals byte by byte -----------------------------------------------------------------------------------------


def refused_first(name: str, attempt: Attempt, callers: Callers) -> str:
    """`attempt`, whose refusal is kept under `name`."""
    try:
        return attempt(callers)
    except APIStatusError as refusal:
        callers.notes[name] = refusal.response.text
        raise


def refused_alike(name: str, attempt: Attempt, callers: Callers) -> str:
    """`attempt`; whether its refusal has the bytes of the one kept under `name`."""
    try:
        return attempt(callers)
    except APIStatusError as refusal:
        if refusal.response.text != callers.notes.get(name):
            raise
        return f"{refusal.status_code}, the same bytes"
