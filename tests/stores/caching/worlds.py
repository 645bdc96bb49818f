"""Questions and answers for tests of the cache."""

from __future__ import annotations

from typing import Final

from partywall.stores.caching import CacheRule, Circumstances, KeptAnswer, Question

__all__ = ["CIRCUMSTANCES", "QUESTION", "RULE", "kept"]

CIRCUMSTANCES: Final = Circumstances(
    api="chat",
    path="/v1/chat/completions",
    targets='[["shared","model"]]',
    document="0" * 64,
    group="app",
    role="analyst",
    route="route",
    query="{}",
    headers="[]",
    user="ann",
)
QUESTION: Final = Question(CIRCUMSTANCES, '{"messages":"What?"}', '{"messages":null}', "What?")
RULE: Final = CacheRule(
    semantic=False,
    ttl_seconds=3600.0,
    threshold=0.85,
    per_user=False,
    largest_answer_bytes=4096,
    candidates=64,
)


def kept(text: str) -> KeptAnswer:
    return KeptAnswer(False, text)
