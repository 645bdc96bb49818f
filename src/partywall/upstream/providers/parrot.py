"""`parrot`: the built-in model that answers with everything it was given. The worst leaker imaginable.

What the walls stop with the parrot behind them, they stop with any model: it repeats its whole context (model, system
prompts, messages, tools, salts, every field of the body), calls a forbidden tool when told to, and never stops early.

Promises: an answer depends on the body, the answer id and the clock of `created`, on nothing else; no state is kept.
Answers have the shapes that the official `openai` and `anthropic` clients parse, streamed or whole, with the right
stop reason and the right last event.

Doesn't promise: sense. `call:<name>` in the user's last message makes it call that tool, offered or not; up to eight.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import orjson

from partywall.tenancy import Secret
from partywall.upstream.api import Api
from partywall.upstream.providers import _parrot_messages as messages
from partywall.upstream.providers import _parrot_openai as openai
from partywall.upstream.providers import _parrot_responses as responses
from partywall.upstream.providers._parrot_context import Reply, make_reply
from partywall.upstream.providers.base import Body, Header, Provider, Salts, TargetLike, suffix

__all__ = ["PARROT", "Parrot", "ParrotAnswer", "answer"]

_JSON: Final = ((b"content-type", b"application/json"),)
_STREAM: Final = ((b"content-type", b"text/event-stream; charset=utf-8"),)


@dataclass(frozen=True, slots=True)
class ParrotAnswer:
    """An HTTP answer: `body` when whole, `events` (server-sent, one each, to be read once) when streamed."""

    status: int
    headers: tuple[Header, ...]
    body: bytes = b""
    events: Iterator[bytes] | None = None


@dataclass(frozen=True, slots=True)
class _Speech:
    needs: str
    """The field without which there is nothing to answer."""
    whole: Callable[[Reply, Body], bytes]
    stream: Callable[[Reply, Body], Iterator[bytes]] | None


_SPEECHES: Final = {
    Api.CHAT: _Speech("messages", openai.chat, openai.chat_events),
    Api.COMPLETIONS: _Speech("prompt", openai.completion, openai.completion_events),
    Api.EMBEDDINGS: _Speech("input", openai.embeddings, None),
    Api.RESPONSES: _Speech("input", responses.response, responses.response_events),
    Api.MESSAGES: _Speech("messages", messages.message, messages.message_events),
}


def answer(api: Api, body: Body, *, answer_id: str, created: int | None = None) -> ParrotAnswer:
    """What the parrot says to `body`.

    `answer_id` becomes part of every id in the answer; `created` is in seconds since 1970, now when left out.

    Raises:
        ValueError: `api` has no answers (`Api.MODELS`).
    """
    speech = _SPEECHES.get(api)
    if speech is None:
        raise ValueError(f"the parrot doesn't speak `{api}`")
    if body.get(speech.needs) in (None, [], ""):
        return ParrotAnswer(400, _JSON, _missing(api, speech.needs))
    reply = make_reply(body, answer_id=answer_id, created=int(time.time()) if created is None else created)
    if body.get("stream") is True and speech.stream is not None:
        return ParrotAnswer(200, _STREAM, events=speech.stream(reply, body))
    return ParrotAnswer(200, _JSON, speech.whole(reply, body))


def _missing(api: Api, field: str) -> bytes:
    error: dict[str, object] = {"type": "invalid_request_error", "message": f"`{field}` is required."}
    if api is Api.MESSAGES:
        return orjson.dumps({"type": "error", "error": error})
    return orjson.dumps({"error": error | {"param": field, "code": "missing_required_parameter"}})


class Parrot(Provider):
    """The parrot among the providers: no address, no credential, and it shows the salts that it was given."""

    __slots__ = ()

    def __init__(self) -> None:
        # It caches nothing, so nothing of it is shared.
        super().__init__("parrot", _show_salts, apis=frozenset(_SPEECHES), partitioned=frozenset(_SPEECHES))

    def path(self, api: Api, _target: TargetLike) -> bytes:
        return suffix(api, None, under_v1=True)

    def credential_headers(
        self, secret: Secret | None, *, header: str | None = None, prefix: str | None = None
    ) -> list[Header]:
        del secret, header, prefix  # it runs in this process and needs none
        return []


def _show_salts(_api: Api, body: Body, salts: Salts) -> None:
    body["cache_salt"] = salts.cache
    body["safety_identifier"] = salts.user


PARROT: Final = Parrot()
