"""Whether a llama.cpp server keeps its slots apart, found out by asking it.

Two settings of the server's undo a pinned slot without a word. Its cache in host memory (`--cache-ram`, on by default)
restores a prompt into whatever slot is asked for it, whoever sent it first. And a slot beyond its last (`--parallel`)
is another one counted from the beginning. So the server is tried with texts that nobody else can have sent.

Promises: nothing is wrong (None) only when a text that one slot had worked on was found there again, was found in no
other, and wasn't found anywhere once another text had taken its place; and when all slots of the document exist.

Doesn't promise: that the server stays as it was found. Who restarts it with other settings restarts the gateway too.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import orjson

__all__ = ["Ask", "why_not_apart"]

Ask = Callable[[bytes, bytes, bytes], Awaitable[tuple[int, bytes]]]
"""Sends a method, a path below the server's root, and a body; gives the status and the body of the answer."""

_TEXT_BYTES: Final = 16
_FEW_TOKENS: Final = 8
"""What random texts may have in common by chance, and a quarter of what one of them has."""


async def why_not_apart(ask: Ask, slot_ids: Sequence[int], model: str) -> str | None:
    """None when it does; otherwise what is wrong, for operators."""
    status, body = await ask(b"GET", b"/props", b"")
    total = _member(body, "total_slots") if status == 200 else None
    if not isinstance(total, int):
        return "its `/props` don't tell how many slots it has"
    if max(slot_ids) >= total:
        return f"it has {total} slots, and the document names slot {max(slot_ids)}"
    first, last = slot_ids[0], slot_ids[-1]
    text, other = secrets.token_hex(_TEXT_BYTES), secrets.token_hex(_TEXT_BYTES)
    for slot_id, said, reused, otherwise in (
        (first, text, False, "it reuses what was never sent"),
        (first, text, True, "it doesn't reuse a slot's own prompt, or doesn't tell"),
        (last, text, False, "a prompt of one slot is reused in another"),
        (last, other, False, "it reuses what was never sent"),
        (first, other, False, "a prompt of one slot is reused in another"),
        (first, text, False, "a prompt that was overwritten comes back: start it with `--cache-ram 0`"),
    ):
        cached = await _cached(ask, slot_id, said, model)
        if cached is None or (cached >= _FEW_TOKENS) is not reused:
            return otherwise
    return None


async def _cached(ask: Ask, slot_id: int, text: str, model: str) -> int | None:
    """How many tokens of `text` the slot had already; None when it isn't told."""
    body = {"model": model, "prompt": text, "max_tokens": 1, "id_slot": slot_id, "cache_prompt": True}
    status, answer = await ask(b"POST", b"/v1/completions", orjson.dumps(body))
    timings = _member(answer, "timings") if status == 200 else None
    cached = timings.get("cache_n") if isinstance(timings, dict) else None
    return cached if isinstance(cached, int) else None


def _member(body: bytes, name: str) -> object:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return parsed.get(name) if isinstance(parsed, dict) else None
