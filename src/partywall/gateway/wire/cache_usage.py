"""What an answer says about caches: taken out, or made coarse, before the client reads it.

Counts of cached tokens, and times that depend on them, tell whoever asks whether somebody sent the same prefix before
(LESSONS C8). Where that somebody may be another tenant, they are an oracle that needs no clock.

Promises: with `strip` an answer reads the same whether its prefix was cached or not; with `bucket` it tells full
thousands (1,024) of cached tokens and nothing else. Sums stay true: what Messages counts apart is counted in again.

Doesn't promise: to hide the time that an answer takes. The salts and slots below do that, by there being nothing to
see. `system_fingerprint` stays: it names a configuration that is everybody's.
"""

from __future__ import annotations

from typing import Final

from partywall.config.providers import CacheUsage
from partywall.gateway.wire.shapes import JsonObject, token_count
from partywall.upstream.api import Api

__all__ = ["SIGNS", "hide_cache_usage"]

SIGNS: Final = (b'"timings"', b'"prompt_progress"', b"cache")
"""What stands in each event of a stream that may tell something; `"usage"` apart, which is read anyway."""

_BUCKET_TOKENS: Final = 1024
_TELLTALES: Final = frozenset(
    {
        "__verbose",  # llama.cpp
        "id_slot",  # llama.cpp
        "meta_info",  # SGLang
        "metrics",  # vLLM
        "prompt_progress",  # llama.cpp
        "sglext",  # SGLang
        "timings",  # llama.cpp: `cache_n`, `prompt_n`, `prompt_ms`
        "tokens_cached",  # llama.cpp
        "x_groq",  # Groq: `usage` once more
    }
)
"""Members of an answer, an event or a choice that tell of the cache and of nothing that a client needs."""
_COUNTED_APART: Final = ("cache_read_input_tokens", "cache_creation_input_tokens")
_KEPT_COARSE: Final = frozenset({"cached_tokens", "cache_read_input_tokens"})
_PRICE: Final = "cost"
"""Some vendors bill cached tokens less, and say what they billed."""
_TIMES: Final = ("_time", "_duration", "_ms")


def hide_cache_usage(api: Api, message: JsonObject, shown: CacheUsage) -> bool:
    """Take out of an answer or event, in place, what it says about caches. Returns whether anything was."""
    if shown is CacheUsage.PASS:
        return False
    changed = _hide(api, message, shown)
    for member in ("message", "response"):
        inner = message.get(member)
        if isinstance(inner, dict):
            changed = _hide(api, inner, shown) or changed
    return changed


def _hide(api: Api, holder: JsonObject, shown: CacheUsage) -> bool:
    changed = _drop_telltales(holder)
    choices = holder.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        changed = (isinstance(choice, dict) and _drop_telltales(choice)) or changed
    usage = holder.get("usage")
    if not isinstance(usage, dict):
        return changed
    told = _told(usage, shown)
    if api is Api.RESPONSES and "input_tokens" in told:
        # The official client's type demands it.
        details = told.get("input_tokens_details")
        told["input_tokens_details"] = {"cached_tokens": 0, **(details if isinstance(details, dict) else {})}
    if told == usage:
        return changed
    holder["usage"] = told
    return True


def _drop_telltales(holder: JsonObject) -> bool:
    if _TELLTALES.isdisjoint(holder):
        return False
    for name in _TELLTALES.intersection(holder):
        del holder[name]
    return True


def _told(usage: JsonObject, shown: CacheUsage) -> JsonObject:
    """`usage`, or a part of it, without what tells of caches."""
    told: JsonObject = {}
    coarse = 0
    for name, value in usage.items():
        if "cache" in name.lower():
            count = token_count(value) // _BUCKET_TOKENS * _BUCKET_TOKENS
            # None is told like 0: some servers leave the field out when nothing was cached.
            if shown is CacheUsage.BUCKET and name in _KEPT_COARSE and count:
                told[name] = coarse = count
        elif isinstance(value, dict):
            if name.startswith(_PRICE):
                continue
            inner = _told(value, shown)
            if inner or not value:
                told[name] = inner
        elif isinstance(value, list):
            told[name] = [_told(entry, shown) if isinstance(entry, dict) else entry for entry in value]
        elif not name.endswith(_TIMES) and not name.startswith(_PRICE):
            told[name] = value
    if "input_tokens" in told and not usage.keys().isdisjoint(_COUNTED_APART):
        apart = sum(token_count(usage.get(name)) for name in _COUNTED_APART)
        told["input_tokens"] = token_count(usage["input_tokens"]) + apart - coarse
    return told
