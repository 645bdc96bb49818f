"""One request as the cache sees it: the circumstances, the body in one spelling, and the last words of its user.

Promises: the body is the one that would be sent, after everything was set into it and taken out of it. Nothing that
goes upstream is left out of the question; what is sent in the body's copy alone (credential, salts, the target's own
name of the model) follows from the tenant, the targets and the document, which are in the circumstances.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from partywall.gateway.exchange import Exchange
from partywall.gateway.wire import Api, JsonObject
from partywall.policy import TargetRule
from partywall.stores.caching import Circumstances, Question
from partywall.tenancy import TenantScope
from partywall.upstream.targets import Upstream

__all__ = ["circumstances_of", "question_of"]

_TURNS: Final = {Api.CHAT: "messages", Api.MESSAGES: "messages", Api.RESPONSES: "input"}
_TEXTS: Final = frozenset({"text", "input_text"})
_BLANK: Final = None
"""In the place of the last words. No API takes it for a text."""


def circumstances_of(
    scope: TenantScope,
    exchange: Exchange,
    api: Api,
    model: str,
    targets: Sequence[tuple[TargetRule, Upstream]],
    *,
    per_user: bool,
) -> Circumstances:
    """What the answer depends on besides the body."""
    theirs, forwarded = exchange.request.header_map, targets[0][1].provider
    sent = sorted(name for name in forwarded.forward_headers if name in theirs)
    return Circumstances(
        api=api,
        path=exchange.request.path,
        targets=_text([[upstream.id, rule.model_for(model)] for rule, upstream in targets]),
        document=exchange.serving.snapshot.digest,
        group=scope.group,
        role=scope.role,
        route=exchange.record.route,
        query=_text(dict(exchange.query)) if exchange.query else "",
        headers=_text([[name.decode("latin-1"), theirs[name].decode("latin-1")] for name in sent]) if sent else "",
        user=(scope.user or "") if per_user else None,
    )


def question_of(api: Api, body: JsonObject, circumstances: Circumstances, *, compares: bool) -> Question | None:
    """The whole question; None for a body that can't be written. `compares` says whether its last words are told apart.

    Nested objects are looked at and never changed.
    """
    try:
        words = _last_words(api, body) if compares else None
        if words is None:
            return Question(circumstances, _text(body), None, "")
        text, rest = words
        return Question(circumstances, _text(body), _text(rest), text)
    except TypeError:  # nested too deeply, which the upstream's copy will be refused for
        return None


def _last_words(api: Api, body: JsonObject) -> tuple[str, JsonObject] | None:
    """The text that the last turn is, and the body without it. None when it is no user's, or more than one text."""
    field = _TURNS.get(api)
    turns = None if field is None else body.get(field)
    if field is None or not turns:
        return None
    if isinstance(turns, str):
        return turns, {**body, field: _BLANK}
    if not isinstance(turns, list):
        return None
    last = turns[-1]
    if not isinstance(last, dict) or last.get("role") != "user":
        return None
    content = last.get("content")
    if isinstance(content, str):
        blank: JsonObject = {**last, "content": _BLANK}
        return content, {**body, field: [*turns[:-1], blank]}
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        part = content[0]
        if part.get("type") in _TEXTS and isinstance(text := part.get("text"), str):
            blank = {**last, "content": [{**part, "text": _BLANK}]}
            return text, {**body, field: [*turns[:-1], blank]}
    return None


def _text(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
