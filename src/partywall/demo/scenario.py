"""Who tries what, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from openai import Omit

from partywall.demo import attempts as try_
from partywall.demo import stored
from partywall.demo.callers import KEYS, MODELS, Callers

__all__ = ["SCENARIO", "Row"]

Attempt = Callable[[Callers], str]

_CALL_IT: Final = "call:execute_code"
"""Makes the parrot call that tool: a model that misbehaves, whatever it was offered."""
_NO_IDENTITY: Final = {"X-User-ID": Omit(), "X-Org-ID": Omit(), "X-User-Role": Omit()}
_NO_KEY: Final = {"Authorization": Omit()}


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt. `who` is whose key it comes with; `nobody` when that doesn't tell one tenant."""

    theme: str
    who: str
    what: str
    expected: str
    attempt: Attempt

    @property
    def recorded_for(self) -> str | None:
        """The tenant among whose decisions it must be found; None: among the platform's own."""
        return self.who if self.who in MODELS else None


def _theme(theme: str, *rows: tuple[str, str, str, Attempt]) -> tuple[Row, ...]:
    return tuple(Row(theme, *row) for row in rows)


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


SCENARIO: Final = (
    *_theme(
        "Each on its own side",
        ("alpha", "a chat", "answered", partial(try_.chat, "alpha")),
        ("alpha", "a chat, streamed", "answered", partial(try_.chat_streamed, "alpha")),
        ("alpha", "a response", "answered", partial(try_.response, "alpha")),
        ("alpha", "a response, streamed", "answered", partial(try_.response_streamed, "alpha")),
        ("alpha", "an embedding", "answered", partial(try_.embedding, "alpha")),
        ("beta", "a message", "answered", partial(try_.message, "beta")),
        ("beta", "a message, streamed", "answered", partial(try_.message_streamed, "beta")),
        ("beta", "a chat", "answered", partial(try_.chat, "beta")),
        ("beta", "an embedding", "answered", partial(try_.embedding, "beta")),
    ),
    *_theme(
        "As the neighbour",
        ("alpha", "own key, X-Org-ID: beta", "403 tenant_mismatch",
         partial(try_.chat, "alpha", headers={"X-Org-ID": "beta"})),
        ("beta", "own key, X-Org-ID: alpha", "403 tenant_mismatch",
         partial(try_.message, "beta", headers={"X-Org-ID": "alpha"})),
        ("alpha", "own key, body says beta", "403 tenant_mismatch",
         partial(try_.chat_with_body, {"tenant_id": "beta"}, "alpha")),
        ("nobody", "alpha's key and beta's", "403 tenant_mismatch",
         partial(try_.chat, "alpha", headers=_bearer(KEYS["beta"]) | {"X-Api-Key": KEYS["alpha"]})),
    ),
    *_theme(
        "As nobody",
        ("alpha", "no identity headers", "401 missing_identity", partial(try_.chat, "alpha", headers=_NO_IDENTITY)),
        ("nobody", "no key", "401 missing_identity", partial(try_.chat, "alpha", headers=_NO_KEY)),
        ("nobody", "a made-up key", "401 invalid_credential", partial(try_.chat, "alpha", headers=_bearer("pw_guess"))),
        ("nobody", "the operator's key", "401 invalid_credential",
         partial(try_.chat, "alpha", headers=_bearer(KEYS["operator"]))),
    ),
    *_theme(
        "Tools",
        ("alpha", "forces search", "calls search", partial(try_.tool_forced, "search", "alpha")),
        ("alpha", "forces execute_code", "403 tool_denied", partial(try_.tool_forced, "execute_code", "alpha")),
        ("alpha", "forces summarize as a viewer", "403 tool_denied",
         partial(try_.tool_forced, "summarize", "alpha", role="viewer")),
        ("alpha", "offers search, execute_code", "search arrived",
         partial(try_.tools_offered, ("search", "execute_code"), "alpha")),
        ("alpha", "model calls execute_code", "403 tool_denied", partial(try_.chat, "alpha", words=_CALL_IT)),
        ("alpha", "the same, streamed", "tool_denied in stream", partial(try_.chat_streamed, "alpha", words=_CALL_IT)),
        ("beta", "the same, streamed", "tool_denied in stream",
         partial(try_.message_streamed, "beta", words=_CALL_IT)),
    ),
    *_theme(
        "Caches",
        ("alpha", "a cache_salt of its choice", "the server's salt", partial(try_.salt_chosen, "alpha")),
        ("beta", "alpha's cache_salt", "the server's salt", partial(try_.salt_chosen, "beta", stolen_from="alpha")),
    ),
    *_theme(
        "Documents",
        ("alpha", "uploads its documents", "3 of 3 indexed", partial(stored.uploaded, "alpha")),
        ("beta", "uploads its own", "3 of 3 indexed", partial(stored.uploaded, "beta")),
        ("alpha", "asks about returning a bicycle", "cites returns.md",
         partial(stored.asked, "How many days do I have to return an unused bicycle?", "alpha")),
        ("beta", "asks about returning bread", "cites returns.md",
         partial(stored.asked, "May I return bread that disappoints?", "beta")),
        ("beta", "asks for its sourdough", "cites recipes.html",
         partial(stored.asked, "How much rye flour goes into the country sourdough?", "beta")),
        ("alpha", "asks for beta's sourdough", "nothing of beta's",
         partial(stored.asked_for, "beta", "How much rye flour goes into the country sourdough?", "alpha")),
        ("alpha", "asks as a viewer, who may not search", "found nothing",
         partial(stored.asked, "How many days do I have to return an unused bicycle?", "alpha", role="viewer")),
        ("alpha", "searches beta's store", "404 not_found",
         partial(try_.refused_first, "search", partial(stored.store_searched, "beta", "alpha"))),
        ("alpha", "searches nobody's store", "404, the same bytes",
         partial(try_.refused_alike, "search", partial(stored.store_searched, stored.NOBODYS, "alpha"))),
        ("alpha", "reads beta's file", "404 not_found",
         partial(try_.refused_first, "file", partial(stored.file_read, "beta", "alpha"))),
        ("alpha", "reads nobody's file", "404, the same bytes",
         partial(try_.refused_alike, "file", partial(stored.file_read, stored.NOBODYS, "alpha"))),
    ),
    *_theme(
        "Conversations",
        ("alpha", "two turns of a conversation", "remembered", partial(stored.conversation_kept, "alpha")),
        ("beta", "goes on with alpha's", "404 not_found",
         partial(try_.refused_first, "talk", partial(stored.conversation_continued, "alpha", "beta"))),
        ("beta", "goes on with nobody's", "404, the same bytes",
         partial(try_.refused_alike, "talk", partial(stored.conversation_continued, stored.NOBODYS, "beta"))),
        ("beta", "goes on from alpha's response", "404 not_found",
         partial(try_.refused_first, "turn", partial(stored.response_continued, "alpha", "beta"))),
        ("beta", "goes on from nobody's response", "404, the same bytes",
         partial(try_.refused_alike, "turn", partial(stored.response_continued, stored.NOBODYS, "beta"))),
        ("alpha", "goes on from its response", "alpha's words", partial(stored.response_continued, "alpha", "alpha")),
    ),
    *_theme(
        "Models",
        ("alpha", "lists the models", MODELS["alpha"], partial(try_.models_listed, "alpha")),
        ("beta", "lists the models", MODELS["beta"], partial(try_.models_listed, "beta", anthropic=True)),
        ("alpha", "looks up beta's model", "404 not_found",
         partial(try_.refused_first, "look-up", partial(try_.model_looked_up, MODELS["beta"], "alpha"))),
        ("alpha", "looks up nobody's model", "404, the same bytes",
         partial(try_.refused_alike, "look-up", partial(try_.model_looked_up, "gamma-assistant", "alpha"))),
        ("alpha", "chats with beta's model", "403 model_denied",
         partial(try_.refused_first, "chat", partial(try_.chat_about, MODELS["beta"], "alpha"))),
        ("alpha", "chats with nobody's model", "403, the same bytes",
         partial(try_.refused_alike, "chat", partial(try_.chat_about, "gamma-assistant", "alpha"))),
    ),
    *_theme(
        "Off the list",
        ("alpha", "an image", "404 not_found", partial(try_.image, "alpha")),
    ),
)  # fmt: skip  # a row is one line where it fits, or two
"""The table, in the order in which it is run: some attempts look back at earlier ones."""
