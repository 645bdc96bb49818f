"""What the walk finds, and what it leaves: JSON is read no less than prose, and base64 left only where it belongs."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from tests.gateway.scanning.support import Scene, ask, scene
from tests.support.documents import headers_of
from tests.support.upstream import answers

from partywall.config.policy import PiiDetector
from partywall.detection.pii import compile_pii
from partywall.errors import PiiBlocked
from partywall.gateway.scanning.choices import ChoicesScan
from partywall.gateway.scanning.places import Walk
from partywall.gateway.scanning.texts import Texts

POLICY = compile_pii(PiiDetector(action="redact", healthcare_mode=True))
CARD = 4111111111111111
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def texts_of(side: str = "request") -> Texts:
    return Texts(side, POLICY, POLICY.request(b"k" * 32), None)


def walked(body: object, *, is_answer: bool = False) -> Any:
    texts = texts_of()
    made = Walk(texts, is_answer=is_answer).value("", body)
    texts.settle()
    return made


def content(text: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def asked(text: object) -> Any:
    return walked(content(text))["messages"][0]["content"]


@pytest.fixture(scope="module")
def restoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("restore"), action="redact", restore=True) as opened:
        yield opened


# -- Labels -----------------------------------------------------------------------------------------------------------

LABELLED = [
    ({"SecretAccessKey": SECRET}, {"SecretAccessKey": "[AWS_SECRET_KEY]"}),
    ({"Credentials": [{"SecretAccessKey": SECRET}]}, {"Credentials": [{"SecretAccessKey": "[AWS_SECRET_KEY]"}]}),
    ({"mrn": "12345678"}, {"mrn": "[MEDICAL_RECORD]"}),
    ({"mrn": 12345}, {"mrn": "[MEDICAL_RECORD]"}),
    ({"mrn": ["12345678", "ok"]}, {"mrn": ["[MEDICAL_RECORD]", "ok"]}),
    ({"npi": 1234567893}, {"npi": "[NPI]"}),
    ({"note": "12345678", "n": 12345}, {"note": "12345678", "n": 12345}),
    ({"mrn": "12345678 of jane@example.com"}, {"mrn": "[MEDICAL_RECORD] of [EMAIL]"}),
]


@pytest.mark.parametrize(("said", "expected"), LABELLED)
def test_a_key_is_the_label_of_its_value(said: object, expected: object) -> None:
    text = json.dumps(said)
    assert json.loads(asked(text)) == expected
    call = {"id": "c", "function": {"name": "f", "arguments": text}}
    made = walked({"messages": [{"role": "assistant", "tool_calls": [call]}]})
    assert json.loads(made["messages"][0]["tool_calls"][0]["function"]["arguments"]) == expected
    assert walked({"type": "tool_use", "input": said})["input"] == expected
    assert walked({"metadata": said})["metadata"] == expected
    assert walked({"type": "tool_use", "input": said}, is_answer=True)["input"] == expected


def test_what_is_found_twice_is_one_finding() -> None:
    texts = texts_of()
    Walk(texts, is_answer=False).json_text(json.dumps({"mail": "jane@example.com", "SecretAccessKey": SECRET}))
    assert texts.found == Counter(email=1, aws_secret_key=1)


@pytest.mark.parametrize("key", ["AKIAABCDEFGHIJKLMNOP", "sk_live_abcdefghij"])
def test_a_credential_of_letters_is_no_key(key: str) -> None:
    with pytest.raises(PiiBlocked):
        asked(json.dumps({key: 1}))


# -- Blobs ------------------------------------------------------------------------------------------------------------

BLOB = base64.b64encode(b"4111111111111111" + bytes(range(256))).decode()
NO_SPACES = "x" * 250 + f"-{CARD}"


@pytest.mark.parametrize("key", ["content", "text", "input", "url", "note"])
def test_a_long_word_is_no_blob(key: str) -> None:
    assert str(CARD) not in walked({key: NO_SPACES})[key]
    assert str(CARD) not in walked({key: f"{BLOB}={CARD}"})[key]


@pytest.mark.parametrize(
    "text", [f"{'x' * 250} {CARD}", f"{BLOB}={CARD}", f"_{'x' * 250}+{CARD}", f"{'A' * 256}-{CARD}"]
)
def test_under_a_blob_s_key_only_base64_is_left(text: str) -> None:
    assert str(CARD) not in walked({"data": text})["data"]
    assert str(CARD) not in walked({"url": f"data:text/plain;base64,{text}"})["url"]


@pytest.mark.parametrize("is_answer", [False, True])
def test_a_blob_stays_where_it_belongs(is_answer: bool) -> None:
    picture = "AAA/4111111111111111+AAA" * 20
    url = f"data:image/png;base64,{picture}"
    body: dict[str, Any] = {
        "source": {"type": "base64", "data": picture},
        "b64_json": picture,
        "image_url": {"url": url},
    }
    body |= {"file": {"file_data": url}, "items": [{"image_url": url}]}
    assert walked(body, is_answer=is_answer) is body


def test_a_short_signature_is_looked_at() -> None:
    assert walked({"signature": str(CARD)})["signature"] == "[CARD]"


# -- Numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [CARD, float(CARD)])
def test_a_long_number_is_found_anywhere(number: float) -> None:
    schema = {"type": "object", "properties": {"c": {"type": "integer", "default": number, "enum": [number]}}}
    body = {"tools": [{"function": {"name": "f", "parameters": schema}}], "metadata": {"c": number}, **content(number)}
    made = json.dumps(walked(body))
    assert "4111" not in made
    assert made.count("[CARD]") == 4
    assert json.loads(asked(json.dumps({"c": number}))) == {"c": "[CARD]"}


def test_a_parameter_s_number_stays() -> None:
    body: dict[str, Any] = {
        "seed": CARD,
        "max_tokens": CARD,
        "temperature": 0.7,
        "top_p": 1,
        "thinking": {"budget_tokens": 16000},
    }
    body |= {"weights": [0.4111111111111111, 12345.5, True, -7]}
    assert walked(body) is body


# -- Bodies that are odd ----------------------------------------------------------------------------------------------


def test_a_body_nested_too_deeply_is_the_client_s_fault(restoring: Scene) -> None:
    opened, server = restoring
    server.received.clear()
    deep = b'{"model":"alpha-model","messages":[{"role":"user","content":' + b"[" * 600 + b"]" * 600 + b"}]}"
    reply = opened.post("/v1/chat/completions", headers_of("alpha"), deep)
    assert (reply.status, reply.json["error"]["code"]) == (400, "invalid_request")
    assert server.received == []


@pytest.mark.parametrize("text", ['{"e":"x\\ud800@example.com"}', '{"e":"\\udfffx@example.com, jane@example.com"}'])
def test_half_a_character_does_not_break_the_answer(restoring: Scene, text: str) -> None:
    opened, server = restoring
    message = {"role": "assistant", "content": "[EMAIL_1] [EMAIL_2]"}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    server.behave = answers(200, orjson.dumps({"id": "x", "object": "chat.completion", "choices": [choice]}))
    reply = ask(opened, "chat", text)
    assert reply.status == 200
    assert "[EMAIL_1]" in reply.json["choices"][0]["message"]["content"]


# -- Parts of a stream ------------------------------------------------------------------------------------------------

SHAPES: dict[str, Callable[[str], dict[str, Any]]] = {
    "content": lambda text: {"content": [{"type": "text", "text": text}]},
    "strings": lambda text: {"content": [text]},
    "reasoning": lambda text: {"reasoning_details": [{"type": "reasoning.text", "index": 1, "text": text}]},
    "thinking": lambda text: {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]},
    "audio": lambda text: {"audio": {"id": "a", "transcript": text}},
}
SAID = "mail alice@example.com now"


def chunk(delta: object, finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"id": "x", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def texts_in(value: object) -> str:
    """What a client puts together from all of a stream's texts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(texts_in, value))
    left_out = ("type", "id", "finish_reason")
    return "".join(texts_in(v) for k, v in value.items() if k not in left_out) if isinstance(value, dict) else ""


@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_value_over_parts_of_a_stream_is_found(shape: str, is_last: bool) -> None:
    make = SHAPES[shape]
    for cut in range(1, len(SAID)):
        scan = ChoicesScan(texts_of("answer"))
        events = [chunk(make(SAID[:cut])), chunk(make(SAID[cut:]), "stop" if is_last else None)]
        events += [] if is_last else [chunk({}, "stop")]
        out: list[Any] = [data for event in events for _, data in scan.event(b"", event)] + [
            data for _, data in scan.finish()
        ]
        assert texts_in([each["choices"] for each in out]) == "mail [EMAIL] now", cut
        ends = [choice["finish_reason"] for each in out for choice in each["choices"]]
        assert ends[-1] == "stop"
        assert set(ends[:-1]) == {None}


def test_parts_of_two_choices_are_apart() -> None:
    make = SHAPES["content"]
    scan = ChoicesScan(texts_of("answer"))
    pieces = [(0, "mail alice@exa"), (1, "mple.com bob@exa"), (0, "mple.com now"), (1, "mple.org")]
    out: list[Any] = [data for index, text in pieces for _, data in scan.event(b"", chunk(make(text), None, index))]
    out += [data for _, data in scan.finish()]
    choices = [choice for each in out for choice in each["choices"]]
    said = [texts_in([c["delta"] for c in choices if c["index"] == index]) for index in (0, 1)]
    assert said == ["mail [EMAIL] now", "mple.com [EMAIL]"]


def test_what_comes_whole_stays_in_one_piece() -> None:
    cited = {
        "type": "url_citation",
        "url_citation": {"title": "A title, by jane@example.com", "url": "https://a.example"},
    }
    scan = ChoicesScan(texts_of("answer"))
    ((_, data),) = scan.event(b"", chunk({"annotations": [cited]}))
    choices: Any = data["choices"]
    assert choices[0]["delta"]["annotations"][0]["url_citation"]["title"] == "A title, by [EMAIL]"
    assert scan.finish() == []
