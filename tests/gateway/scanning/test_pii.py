"""`pii-detector` on every API: nothing of a value goes up, nothing of one comes back, streamed or not."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from tests.gateway.scanning.support import APIS, CARD, EMAIL, TEXT, Scene, ask, events, said, scene
from tests.support.documents import TENANTS, base_document, headers_of, write_document
from tests.support.inprocess import session
from tests.support.transcripts import (
    CHUNK,
    MESSAGE,
    RESPONSE,
    chat_call,
    chat_text,
    completions_text,
    messages_call,
    messages_text,
    responses_call,
    responses_text,
    whole_call,
)
from tests.support.upstream import answers, streams

from partywall.detection.pii import Detector
from partywall.errors import ConfigError
from partywall.trail import DecisionRecord, Verdict

REDACTED = "Write to [EMAIL] now; the card is [CARD], ta."
TEXTS: dict[str, Callable[..., list[bytes]]] = {
    "chat": chat_text,
    "completions": completions_text,
    "responses": responses_text,
    "messages": messages_text,
}
CALLS: dict[str, Callable[..., list[bytes]]] = {
    "chat": chat_call,
    "responses": responses_call,
    "messages": messages_call,
}
every_api = pytest.mark.parametrize("api", APIS)


@pytest.fixture(scope="module")
def redacting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("redact"), action="redact") as opened:
        yield opened


@pytest.fixture(scope="module")
def blocking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("block"), action="block") as opened:
        yield opened


@pytest.fixture(scope="module")
def restoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("restore"), action="redact", restore=True) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _fresh(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    for name in ("redacting", "blocking", "restoring"):
        if name in request.fixturenames:
            server = request.getfixturevalue(name)[1]
            server.behave = None
            server.received.clear()


def whole(api: str, text: str) -> bytes:
    """A whole answer that says `text`."""
    if api == "messages":
        return orjson.dumps({**MESSAGE, "content": [{"type": "text", "text": text}], "stop_reason": "end_turn"})
    if api == "responses":
        part = {"type": "output_text", "text": text, "annotations": []}
        item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        return orjson.dumps({**RESPONSE, "status": "completed", "output": [item]})
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    choice |= {"text": text} if api == "completions" else {"message": {"role": "assistant", "content": text}}
    choice["logprobs"] = {"content": [{"token": text, "logprob": -0.1, "bytes": list(text.encode())}]}
    return orjson.dumps({**CHUNK, "object": "chat.completion", "choices": [choice]})


def record_since(opened: Scene, since: float, tenant: str = "alpha") -> DecisionRecord:
    (record,) = opened[0].recorded(tenant, since=since)
    return record


def noted(record: DecisionRecord) -> list[tuple[str, str, str]]:
    return [(p.stage, p.verdict, p.reason) for p in record.policies if p.kind == "pii-detector"]


# -- Requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tenant", TENANTS)
@every_api
def test_the_model_sees_markers(redacting: Scene, api: str, tenant: str) -> None:
    opened, server = redacting
    server.behave = answers(200, whole(api, "fine"))
    since = time.time()
    assert ask(opened, api, TEXT, tenant=tenant).status == 200
    (received,) = server.received
    assert REDACTED in received.body.decode()
    assert EMAIL not in received.body.decode()
    record = record_since(redacting, since, tenant)
    assert record.verdict is Verdict.REDACT
    assert noted(record) == [
        ("pre-request", "redact", "scanned the request: card 1, email 1"),
        ("pre-response", "allow", "scanned the answer: no findings"),
    ]
    assert EMAIL not in str(record)


@every_api
def test_a_blocked_request_goes_nowhere(blocking: Scene, api: str) -> None:
    opened, server = blocking
    since = time.time()
    reply = ask(opened, api, TEXT)
    assert (reply.status, reply.json["error"]["code"]) == (403, "pii_blocked")
    assert server.received == []
    record = record_since(blocking, since)
    assert (record.verdict, record.code) == (Verdict.BLOCK, "pii_blocked")
    assert noted(record) == [("pre-request", "block", "the request holds card 1, email 1")]
    assert EMAIL not in str(record) + reply.body.decode()


def test_embeddings_are_scanned(redacting: Scene, blocking: Scene) -> None:
    opened, server = redacting
    server.behave = answers(200, orjson.dumps({"object": "list", "data": [{"index": 0, "embedding": [0.5]}]}))
    asked = {"model": "alpha-model", "input": [TEXT, "no more"]}
    assert opened.post("/v1/embeddings", headers_of("alpha"), asked).status == 200
    assert server.received[0].json["input"] == [REDACTED, "no more"]
    assert blocking[0].post("/v1/embeddings", headers_of("alpha"), asked).code == "pii_blocked"


@pytest.mark.parametrize("tokens", [[1, 2], [[1, 2]], [None]])
@pytest.mark.parametrize(("path", "field"), [("completions", "prompt"), ("embeddings", "input")])
def test_tokens_cannot_be_scanned_and_are_refused(redacting: Scene, path: str, field: str, tokens: object) -> None:
    opened, server = redacting
    asked = {"model": "alpha-model", field: tokens}
    assert opened.post(f"/v1/{path}", headers_of("alpha"), asked).code == "invalid_request"
    assert server.received == []


ARGUMENTS = json.dumps({"to": EMAIL, "card": 4111111111111111, "deep": [{"note": f"call {EMAIL}"}], "n": 7})
ARGUMENTS_REDACTED = {"to": "[EMAIL]", "card": "[CARD]", "deep": [{"note": "call [EMAIL]"}], "n": 7}
ESCAPED = '{"to": "jane.doe\\u0040example.com"}'


def conversation(api: str, arguments: str, result: object) -> Any:
    """What has a tool's call and its result in it."""
    if api == "chat":
        call = {"id": "call_1", "type": "function", "function": {"name": "mail", "arguments": arguments}}
        return [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": result},
        ]
    if api == "responses":
        return [
            {"role": "user", "content": "go"},
            {"type": "function_call", "call_id": "call_1", "name": "mail", "arguments": arguments},
            {"type": "function_call_output", "call_id": "call_1", "output": result},
        ]
    use = {"type": "tool_use", "id": "toolu_1", "name": "mail", "input": json.loads(arguments)}
    return [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": result}]},
    ]


@pytest.mark.parametrize("api", CALLS)
def test_calls_and_their_results_go_up_without_values(redacting: Scene, api: str) -> None:
    opened, server = redacting
    server.behave = answers(200, whole(api, "fine"))
    turns = conversation(api, ARGUMENTS, ESCAPED)
    assert ask(opened, api, **{"input" if api == "responses" else "messages": turns}).status == 200
    sent = server.received[0].json
    turns = sent["input" if api == "responses" else "messages"]
    if api == "messages":
        used, result = turns[1]["content"][0]["input"], turns[2]["content"][0]["content"]
    elif api == "responses":
        used, result = json.loads(turns[1]["arguments"]), turns[2]["output"]
    else:
        used, result = json.loads(turns[1]["tool_calls"][0]["function"]["arguments"]), turns[2]["content"]
    assert used == ARGUMENTS_REDACTED
    assert json.loads(result) == {"to": "[EMAIL]"}


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function", "function": {"name": "f", "description": TEXT, "parameters": {}}}]},
        {"metadata": {"note": TEXT}},
        {"stop": [TEXT]},
        {"messages": [{"role": "system", "content": [{"type": "text", "text": TEXT}]}]},
        {"messages": [{"role": "user", "content": [{"type": "weird", "thing": {"deeper": [TEXT]}}]}]},
        {"made_up_by_nobody": {"x": [TEXT]}},
        {"prediction": {"type": "content", "content": TEXT}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_no_field_is_a_way_around(redacting: Scene, fields: dict[str, Any]) -> None:
    opened, server = redacting
    server.behave = answers(200, whole("chat", "fine"))
    assert ask(opened, "chat", **fields).status == 200
    assert EMAIL not in server.received[0].body.decode()
    assert "[EMAIL]" in server.received[0].body.decode()


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "name": EMAIL, "content": "hi"}]},
        {"messages": [{"role": "tool", "tool_call_id": EMAIL, "content": "hi"}]},
        {"metadata": {EMAIL: "x"}},
        {EMAIL: "x"},
    ],
    ids=["name", "id", "key", "top-level key"],
)
def test_where_nothing_can_be_replaced_it_refuses(redacting: Scene, fields: dict[str, Any]) -> None:
    opened, server = redacting
    assert ask(opened, "chat", **fields).code == "pii_blocked"
    assert server.received == []


def test_a_picture_and_what_is_clean_go_up_as_they_came(redacting: Scene) -> None:
    opened, server = redacting
    server.behave = answers(200, whole("chat", "fine"))
    picture = "data:image/png;base64," + "AAA/4111111111111111+AAA" * 20
    parts = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": ' {"a":  1.50, "a": 2}'}]
    assert ask(opened, "chat", parts).status == 200
    sent = server.received[0].json["messages"][0]["content"]
    assert sent[0]["image_url"]["url"] == picture
    assert json.loads(sent[1]["text"]) == {"a": 2}


# -- Answers ----------------------------------------------------------------------------------------------------------


@every_api
def test_a_whole_answer_comes_back_without_values(redacting: Scene, blocking: Scene, api: str) -> None:
    opened, server = redacting
    server.behave = answers(200, whole(api, TEXT))
    since = time.time()
    reply = ask(opened, api)
    assert reply.status == 200
    assert REDACTED in reply.body.decode()
    assert EMAIL not in reply.body.decode()
    assert str(list(b"jane"))[1:-1].replace(" ", "") not in reply.body.decode()
    assert noted(record_since(redacting, since))[1] == (
        "pre-response",
        "redact",
        "scanned the answer: card 1, email 1",
    )
    blocking[1].behave = server.behave
    blocked = ask(blocking[0], api)
    assert (blocked.status, blocked.json["error"]["code"]) == (403, "pii_blocked")


@every_api
def test_a_stream_is_the_whole_answer_wherever_it_was_cut(redacting: Scene, api: str) -> None:
    opened, server = redacting
    for cut in range(len(TEXT) + 1):
        server.behave = streams(TEXTS[api](TEXT[:cut], TEXT[cut:]))
        reply = ask(opened, api, stream=True)
        assert reply.status == 200
        made = events(reply)
        assert said(api, made) == REDACTED, cut
        for value in (EMAIL, CARD, "jane", "4111"):
            assert value not in reply.body.decode(), cut
    server.behave = streams(TEXTS[api](*TEXT))
    since = time.time()
    assert said(api, events(ask(opened, api, stream=True))) == REDACTED
    assert noted(record_since(redacting, since))[1] == (
        "pre-response",
        "redact",
        "scanned the answer: card 1, email 1",
    )


@every_api
def test_what_a_stream_says_again_is_what_it_said(redacting: Scene, api: str) -> None:
    opened, server = redacting
    server.behave = streams(TEXTS[api](*TEXT))
    made = events(ask(opened, api, stream=True))
    if api != "responses":
        return
    assert [each["sequence_number"] for each in made] == list(range(len(made)))
    assert made[-1]["response"]["output"][0]["content"][0]["text"] == REDACTED
    (done,) = [each for each in made if each["type"] == "response.output_text.done"]
    assert done["text"] == REDACTED


@every_api
def test_a_blocked_stream_ends_with_an_error_and_nothing_of_the_value(blocking: Scene, api: str) -> None:
    opened, server = blocking
    for cut in range(9, len(TEXT), 3):
        server.behave = streams(TEXTS[api](TEXT[:cut], TEXT[cut:]))
        reply = ask(opened, api, stream=True)
        assert b"pii_blocked" in reply.body
        assert "jane" not in reply.body.decode()
        assert said(api, events(reply)) in TEXT[:9]


@pytest.mark.parametrize("api", CALLS)
def test_the_arguments_of_a_call_are_held_and_stay_json(redacting: Scene, api: str) -> None:
    opened, server = redacting
    server.behave = answers(200, whole_call(api, "mail", ARGUMENTS))
    assert called(api, [], ask(opened, api).json) == ARGUMENTS_REDACTED
    for cut in range(len(ARGUMENTS) + 1):
        server.behave = streams(CALLS[api]("mail", ARGUMENTS[:cut], ARGUMENTS[cut:]))
        reply = ask(opened, api, stream=True)
        assert "jane" not in reply.body.decode(), cut
        assert "4111" not in reply.body.decode(), cut
        assert called(api, events(reply), None) == ARGUMENTS_REDACTED, cut


def called(api: str, made: list[dict[str, Any]], answer: Any) -> Any:
    """The arguments of the one call, as a client reads them."""
    if api == "messages":
        if answer is not None:
            return answer["content"][0]["input"]
        return json.loads("".join(e["delta"]["partial_json"] for e in made if e["type"] == "content_block_delta"))
    if api == "responses":
        if answer is not None:
            return json.loads(answer["output"][0]["arguments"])
        pieces = "".join(e["delta"] for e in made if e["type"] == "response.function_call_arguments.delta")
        assert made[-1]["response"]["output"][0]["arguments"] == pieces
        return json.loads(pieces)
    if answer is not None:
        return json.loads(answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])
    calls = [c for e in made for choice in e["choices"] for c in choice["delta"].get("tool_calls", [])]
    assert "".join(c["function"].get("name", "") for c in calls) == "mail"
    return json.loads("".join(c["function"].get("arguments", "") for c in calls))


# -- Values that come back --------------------------------------------------------------------------------------------


@every_api
def test_the_model_sees_a_marker_and_the_caller_its_value(restoring: Scene, api: str) -> None:
    opened, server = restoring
    said_back = "Mail [EMAIL_1], not other@example.org, about [CARD_1] and [EMAIL_9]."
    expected = f"Mail {EMAIL}, not [EMAIL], about {CARD} and [EMAIL_9]."
    server.behave = answers(200, whole(api, said_back))
    reply = ask(opened, api, TEXT)
    assert json.dumps(expected)[1:-1] in reply.body.decode()
    assert "[EMAIL_1] now; the card is [CARD_1]" in server.received[0].body.decode()
    assert EMAIL not in server.received[0].body.decode()
    for cut in range(len(said_back) + 1):
        server.behave = streams(TEXTS[api](said_back[:cut], said_back[cut:]))
        assert said(api, events(ask(opened, api, TEXT, stream=True))) == expected, cut


@pytest.mark.parametrize("api", CALLS)
def test_values_come_back_in_arguments(restoring: Scene, api: str) -> None:
    opened, server = restoring
    arguments = '{"to": "[EMAIL_1]"}'
    server.behave = streams(CALLS[api]("mail", *arguments))
    assert called(api, events(ask(opened, api, TEXT, stream=True)), None) == {"to": EMAIL}


def test_a_value_comes_back_to_nobody_else(restoring: Scene) -> None:
    """The markers of one request are that request's."""
    opened, server = restoring
    server.behave = answers(200, whole("chat", "Mail [EMAIL_1]."))
    assert EMAIL in ask(opened, "chat", TEXT).body.decode()
    assert EMAIL not in ask(opened, "chat", "hello", tenant="beta").body.decode()
    assert EMAIL not in ask(opened, "chat", "hello").body.decode()


def test_values_come_back_without_a_scan_of_the_answer(tmp_path: Path) -> None:
    with scene(tmp_path, restore=True) as (opened, server):
        document = tmp_path / "partywall.yaml"
        document.write_text(document.read_text().replace("- pii-detector", "- pii-detector: {stage: pre-request}"))
        opened.run(opened.client.platform.reload())
        server.behave = answers(200, whole("chat", "Mail [EMAIL_1] or other@example.org."))
        assert f"Mail {EMAIL} or other@example.org." in ask(opened, "chat", TEXT).body.decode()


# -- When it can't --------------------------------------------------------------------------------------------------


@every_api
def test_a_scanner_that_raises_refuses(redacting: Scene, api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, server = redacting
    server.behave = streams(TEXTS[api](*TEXT))
    look, count = Detector.look, 0

    def broken(self: Any, text: str, *args: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count > survives:
            raise RuntimeError(text)
        return look(self, text, *args, **named)

    monkeypatch.setattr(Detector, "look", broken)
    survives = 0
    since = time.time()
    reply = ask(opened, api, TEXT)
    assert (reply.status, reply.json["error"]["code"]) == (503, "scanner_unavailable")
    assert server.received == []
    record = record_since(redacting, since)
    assert noted(record) == [("pre-request", "block", "the scanner failed: RuntimeError")]
    count, survives = 0, 20
    reply = ask(opened, api, stream=True)
    assert b"scanner_unavailable" in reply.body
    assert EMAIL not in reply.body.decode()


def test_a_stage_at_which_it_would_look_at_nothing_is_refused(tmp_path: Path) -> None:
    document = base_document()
    document["policies"]["chain"].append({"pii-detector": {"stage": "post-response"}})
    with (
        pytest.raises(ConfigError, match="too late"),
        session(write_document(tmp_path / "partywall.yaml", document), tmp_path / "data"),
    ):
        pass


def test_without_the_extra_nothing_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("partywall.detection")]:
        monkeypatch.delitem(sys.modules, name)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "re2" else find(name, *rest))
    document = base_document()
    document["policies"]["chain"].append("pii-detector")
    with (
        pytest.raises(ConfigError, match=r'pip install "partywall\[detection\]"'),
        session(write_document(tmp_path / "partywall.yaml", document), tmp_path / "data"),
    ):
        pass


def test_a_chain_for_one_tenant_scans_no_other(tmp_path: Path) -> None:
    with scene(tmp_path) as (opened, server):
        document = tmp_path / "partywall.yaml"
        text = document.read_text().replace("- pii-detector", "- pii-detector: {when: {tenant: [beta]}}")
        document.write_text(text)
        opened.run(opened.client.platform.reload())
        server.behave = answers(200, whole("chat", TEXT))
        assert EMAIL in ask(opened, "chat", TEXT).body.decode()
        assert EMAIL not in ask(opened, "chat", TEXT, tenant="beta").body.decode()
        assert [EMAIL in received.body.decode() for received in server.received] == [True, False]


# -- Answers that are kept --------------------------------------------------------------------------------------------


def test_a_kept_answer_is_scanned_and_gives_each_caller_its_own_value(tmp_path: Path) -> None:
    """What differs in its values alone is one question to the cache, as it is to the model."""
    with scene(tmp_path, restore=True) as (_, server):
        folder = tmp_path / "cached"
        folder.mkdir()
        document = yaml.safe_load((tmp_path / "partywall.yaml").read_text())
        document |= {"encryption": {}, "cache": {"mode": "exact"}}
        server.behave = answers(200, whole("chat", "Mail [EMAIL_1] and other@example.org."))
        with session(write_document(folder / "partywall.yaml", document), folder / "data") as cached:
            texts = [ask(cached, "chat", f"Mail {who}@example.com.").json for who in ("ann", "bob")]
    said_to = [answer["choices"][0]["message"]["content"] for answer in texts]
    assert said_to == ["Mail ann@example.com and [EMAIL].", "Mail bob@example.com and [EMAIL]."]
    assert len(server.received) == 1
