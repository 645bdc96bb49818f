"""The official clients of OpenAI and Anthropic against a gateway that scans, with the parrot behind it.

The parrot says everything that it was given, so what a client reads is what the model saw, scanned once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from tests.gateway.scanning.support import CARD, EMAIL, TEXT
from tests.support.documents import KEYS, TENANTS, base_document, headers_of, write_document
from tests.support.official import gpt
from tests.support.process import Served, serve

TOOL: Any = {"type": "function", "function": {"name": "mail", "parameters": {"type": "object", "properties": {}}}}
SAID: Any = [{"role": "user", "content": f"call:mail {TEXT}"}]
PLAIN: Any = [{"role": "user", "content": TEXT}]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Values come back to those who sent them."""
    folder = tmp_path_factory.mktemp("scanned")
    document = base_document()
    document["policies"]["chain"] = ["pii-detector", "audit-logger"]
    document["policy"] = {"pii-detector": {"restore": True}}
    with serve(write_document(folder / "partywall.yaml", document), folder / "data") as running:
        yield running


@pytest.fixture(scope="module")
def blocking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("blocking")
    document = base_document()
    document["policies"]["chain"] = ["pii-detector", "audit-logger"]
    document["policy"] = {"pii-detector": {"action": "block"}}
    with serve(write_document(folder / "partywall.yaml", document), folder / "data") as running:
        yield running


@contextmanager
def claude(served: Served, tenant: str) -> Iterator[Anthropic]:
    headers = {name: value for name, value in headers_of(tenant).items() if name != "authorization"}
    http = anthropic.DefaultHttpxClient(trust_env=False)
    with Anthropic(
        base_url=served.url, api_key=KEYS[tenant], default_headers=headers, max_retries=0, http_client=http
    ) as client:
        yield client


@pytest.mark.parametrize("tenant", TENANTS)
def test_openai_s_client_gets_its_values_back(served: Served, tenant: str) -> None:
    model = f"{tenant}-model"
    with gpt(served, tenant) as client:
        whole = client.chat.completions.create(model=model, messages=PLAIN).choices[0].message.content
        assert whole is not None
        assert TEXT in whole
        with client.chat.completions.stream(model=model, messages=PLAIN) as stream:
            streamed = stream.get_final_completion().choices[0].message.content
        assert streamed is not None
        assert TEXT in streamed
        assert TEXT in client.responses.create(model=model, input=TEXT).output_text
        with client.responses.stream(model=model, input=TEXT) as answer:
            assert TEXT in answer.get_final_response().output_text
        completions = client.completions.create(model=model, prompt=TEXT, stream=True)
        assert TEXT in "".join(chunk.choices[0].text for chunk in completions if chunk.choices)


@pytest.mark.parametrize("tenant", TENANTS)
def test_openai_s_client_reads_calls(served: Served, tenant: str) -> None:
    model = f"{tenant}-model"
    with gpt(served, tenant) as client:
        with client.chat.completions.stream(model=model, messages=SAID, tools=[TOOL]) as stream:
            calls = stream.get_final_completion().choices[0].message.tool_calls
        assert calls
        assert calls[0].function.name == "mail"
        assert EMAIL in calls[0].function.arguments
        with client.responses.stream(model=model, input=SAID) as answer:
            (item,) = answer.get_final_response().output
        assert item.type == "function_call"
        assert CARD in item.arguments


@pytest.mark.parametrize("tenant", TENANTS)
def test_anthropic_s_client_gets_its_values_back(served: Served, tenant: str) -> None:
    asked: Any = {"model": f"{tenant}-model", "max_tokens": 9}
    with claude(served, tenant) as client:
        with client.messages.stream(messages=PLAIN, **asked) as stream:
            assert TEXT in stream.get_final_text()
        with client.messages.stream(messages=SAID, **asked) as stream:
            (block,) = stream.get_final_message().content
        assert block.type == "tool_use"
        assert EMAIL in str(block.input)


def test_a_refusal_is_the_client_s_own_exception(blocking: Served) -> None:
    with gpt(blocking, "beta") as client:
        with pytest.raises(openai.PermissionDeniedError) as caught:
            client.chat.completions.create(model="beta-model", messages=PLAIN)
        assert caught.value.code == "pii_blocked"
        # The parrot says the model's name and the salts too; nothing of that is anybody's data.
        clean: Any = [{"role": "user", "content": "hello"}]
        assert client.chat.completions.create(model="beta-model", messages=clean).choices
    with claude(blocking, "beta") as client, pytest.raises(anthropic.PermissionDeniedError):
        client.messages.create(model="beta-model", max_tokens=9, messages=PLAIN)
