"""What answers tell about caches: the same whether or not anything was cached (LESSONS C8)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.config.providers import CacheUsage
from partywall.gateway.wire.cache_usage import hide_cache_usage
from partywall.upstream.api import Api


def openai_usage(cached: int) -> dict[str, Any]:
    return {
        "prompt_tokens": 3000,
        "completion_tokens": 5,
        "total_tokens": 3005,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 3000 - cached},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


def chat(cached: int) -> dict[str, Any]:
    """As llama.cpp and SGLang tell it, with Groq's copy and OpenRouter's prices."""
    return {
        "id": "chatcmpl-1",
        "choices": [{"index": 0, "message": {"content": "x"}, "meta_info": {"cached_tokens": cached}}],
        "usage": openai_usage(cached)
        | {"prompt_cache_hit_tokens": cached, "prompt_time": 0.5 - cached / 1e5}
        | {"cost": 3.0 - cached / 1e4, "cost_details": {"upstream_inference_cost": 1.0 - cached / 1e4}},
        "timings": {"cache_n": cached, "prompt_n": 3000 - cached, "prompt_ms": 3000.0 - cached},
        "x_groq": {"usage": openai_usage(cached)},
        "system_fingerprint": "b1",
    }


def response(cached: int) -> dict[str, Any]:
    usage = {
        "input_tokens": 3000,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 3005,
    }
    return {"id": "resp_1", "output": [], "usage": usage}


def message(cached: int) -> dict[str, Any]:
    """As Anthropic tells it: what is cached isn't counted as input."""
    usage = {
        "input_tokens": 3000 - cached,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0},
        "output_tokens": 5,
        "iterations": [{"input_tokens": 3000 - cached, "cache_read_input_tokens": cached, "output_tokens": 5}],
    }
    return {"id": "msg_1", "type": "message", "content": [], "usage": usage}


SHAPES: list[Any] = [
    pytest.param(Api.CHAT, chat, id="chat"),
    pytest.param(Api.COMPLETIONS, chat, id="completions"),
    pytest.param(Api.EMBEDDINGS, chat, id="embeddings"),
    pytest.param(Api.RESPONSES, response, id="responses"),
    pytest.param(
        Api.RESPONSES, lambda n: {"type": "response.completed", "response": response(n)}, id="responses-event"
    ),
    pytest.param(Api.MESSAGES, message, id="messages"),
    pytest.param(Api.MESSAGES, lambda n: {"type": "message_start", "message": message(n)}, id="messages-start"),
    pytest.param(Api.MESSAGES, lambda n: {"type": "message_delta", "usage": message(n)["usage"]}, id="messages-delta"),
]


@pytest.mark.parametrize(("api", "make"), SHAPES)
@settings(max_examples=20)
@given(first=st.integers(0, 3000), second=st.integers(0, 3000))
def test_a_stripped_answer_reads_the_same_whatever_was_cached(api: Api, make: Any, first: int, second: int) -> None:
    one, other = make(first), make(second)
    hide_cache_usage(api, one, CacheUsage.STRIP)
    hide_cache_usage(api, other, CacheUsage.STRIP)
    assert one == other


@pytest.mark.parametrize(("api", "make"), SHAPES)
def test_a_bucket_tells_full_thousands_and_sums_stay_true(api: Api, make: Any) -> None:
    def told(cached: int) -> Any:
        answer = make(cached)
        hide_cache_usage(api, answer, CacheUsage.BUCKET)
        return answer

    assert told(1024) == told(2047)
    assert told(0) == told(1023) != told(1024)
    assert "2048" in repr(told(2500))
    assert not any(str(cached) in repr(told(cached)) for cached in (1025, 2047, 2500))
    usage = told(2500).get("usage", {})
    if "cache_read_input_tokens" in usage:
        assert usage["input_tokens"] + usage["cache_read_input_tokens"] == 3000


@pytest.mark.parametrize(("api", "make"), SHAPES)
def test_pass_leaves_an_answer_as_it_is(api: Api, make: Any) -> None:
    answer = make(2500)
    assert not hide_cache_usage(api, answer, CacheUsage.PASS)
    assert answer == make(2500)


def test_what_tells_of_no_cache_is_left_alone() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8, "completion_tokens_details": {"a": 1}}
    answer: dict[str, Any] = {"choices": [{"index": 0}], "usage": dict(usage), "system_fingerprint": "b1"}
    assert not hide_cache_usage(Api.CHAT, answer, CacheUsage.STRIP)
    assert answer["usage"] == usage


def test_a_field_that_is_only_there_when_something_was_cached_tells_nothing_either() -> None:
    """vLLM leaves `prompt_tokens_details` out when nothing was."""
    hit: dict[str, Any] = {"usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 8}}}
    miss: dict[str, Any] = {"usage": {"prompt_tokens": 9}}
    for shown in (CacheUsage.STRIP, CacheUsage.BUCKET):
        told = [dict(hit), dict(miss)]
        for answer in told:
            hide_cache_usage(Api.CHAT, answer, shown)
        assert told[0] == told[1]


def test_responses_keep_the_field_that_the_official_type_demands() -> None:
    for usage in ({"input_tokens": 9, "input_tokens_details": {"cached_tokens": 8}}, {"input_tokens": 9}):
        answer: dict[str, Any] = {"usage": usage}
        hide_cache_usage(Api.RESPONSES, answer, CacheUsage.STRIP)
        assert answer["usage"] == {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 0}}


@settings(max_examples=30)
@given(st.recursive(st.none() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)))
def test_odd_usage_is_read_without_falling_over(odd: Any) -> None:
    for member in ("usage", "message", "response", "choices"):
        hide_cache_usage(Api.RESPONSES, {member: odd}, CacheUsage.STRIP)
