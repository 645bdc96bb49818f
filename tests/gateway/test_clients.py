"""The official clients of OpenAI and Anthropic against a gateway of its own process, with the parrot behind it.

Each refusal that a client can run into today raises the exception class of its status, with our code in reach; answers,
whole and streamed, are those of the caller's tenant; what no retry can mend isn't retried, as the records show.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import anthropic
import jwt
import openai
import pytest
from anthropic import Anthropic, AsyncAnthropic
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from openai import AsyncOpenAI, OpenAI
from tests.support.documents import KEYS, TENANTS, base_document, headers_of, write_document
from tests.support.process import Served, serve
from tests.support.records import recorded, until

from partywall import errors

SIGNING_KEY = ec.generate_private_key(ec.SECP256R1())
ISSUER = {
    "issuer": "https://idp.example",
    "audience": "partywall",
    "algorithms": ["ES256"],
    "tenant_claim": "tenant",
    "role_claim": "roles",
}
LOST_ISSUER = ISSUER | {"issuer": "https://lost.example", "jwks_url": "http://127.0.0.1:9/jwks.json"}
NOTHING: Mapping[str, str] = MappingProxyType({})
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "wipe", "parameters": {}}}


def document() -> dict[str, Any]:
    """The parrots of both tenants; for alpha also a target that is down and one outside its region."""
    made = base_document()
    for target in made["providers"]["targets"]:
        target["region"] = "eu"
    made["providers"]["targets"] += [
        {
            "id": "down",
            "provider": "openai",
            "base_url": "http://127.0.0.1:9/v1",
            "model": "down-model",
            "region": "eu",
        },
        {"id": "away", "provider": "parrot", "model": "away-model", "region": "us"},
    ]
    made["consumer_groups"]["groups"][0]["upstream"] = ["alpha-target", "down", "away"]
    made["tenants"] = {"alpha": {"regions": ["eu"]}, "beta": {}}
    made["server"] |= {"max_body_bytes": 65536, "jwt": [ISSUER | {"jwks_file": "jwks.json"}, LOST_ISSUER]}
    return made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("clients")
    public = ECAlgorithm.to_jwk(SIGNING_KEY.public_key(), as_dict=True)
    (folder / "jwks.json").write_text(json.dumps({"keys": [{**public, "kid": "k1", "alg": "ES256", "use": "sig"}]}))
    with serve(write_document(folder / "partywall.yaml", document()), folder / "data") as running:
        yield running


def token(issuer: str = "https://idp.example", **claims: Any) -> str:
    now = int(time.time())
    payload = {
        "iss": issuer,
        "aud": "partywall",
        "exp": now + 600,
        "iat": now,
        "tenant": "alpha",
        "sub": "user-of-alpha",
        "roles": ["analyst"],
    } | claims
    return jwt.encode(payload, SIGNING_KEY, "ES256", {"kid": "k1"})


def headers(tenant: str, extra: Mapping[str, str]) -> dict[str, str]:
    """A good client's headers, some changed or (empty) left out. The credential is for the official client to send."""
    sent = {**headers_of(tenant), **extra}
    return {name: value for name, value in sent.items() if value and name != "authorization"}


@contextmanager
def gpt(
    served: Served, tenant: str = "alpha", key: str = "", extra: Mapping[str, str] = NOTHING, retries: int = 0
) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=f"{served.url}/v1",
        api_key=key or KEYS[tenant],
        default_headers=headers(tenant, extra),
        max_retries=retries,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as client:
        yield client


@contextmanager
def claude(
    served: Served, tenant: str = "alpha", key: str = "", extra: Mapping[str, str] = NOTHING, retries: int = 0
) -> Iterator[Anthropic]:
    with Anthropic(
        base_url=served.url,
        api_key=key or KEYS[tenant],
        default_headers=headers(tenant, extra),
        max_retries=retries,
        http_client=anthropic.DefaultHttpxClient(trust_env=False),
    ) as client:
        yield client


# -- Refusals --------------------------------------------------------------------------------------------------------


def chat(client: OpenAI, model: str = "alpha-model", **fields: Any) -> Any:
    return client.chat.completions.create(model=model, messages=fields.pop("messages", HELLO), **fields)


Refusal = tuple[str, dict[str, str], Callable[[OpenAI], Any], type[openai.APIStatusError], int]
REFUSALS: dict[str, Refusal] = {
    "missing_identity": ("", {"x-user-id": ""}, chat, openai.AuthenticationError, 401),
    "invalid_credential": ("sk-nobody", {}, chat, openai.AuthenticationError, 401),
    "tenant_mismatch": ("", {"x-org-id": "beta"}, chat, openai.PermissionDeniedError, 403),
    "denied": (token(roles=["reader"]), {}, chat, openai.PermissionDeniedError, 403),
    "tool_denied": (
        "",
        {},
        lambda client: chat(client, tools=[TOOL], tool_choice={"type": "function", "function": {"name": "wipe"}}),
        openai.PermissionDeniedError,
        403,
    ),
    "model_denied": ("", {}, lambda client: chat(client, "beta-model"), openai.PermissionDeniedError, 403),
    "region_denied": ("", {}, lambda client: chat(client, "away-model"), openai.PermissionDeniedError, 403),
    "not_found": ("", {}, lambda client: client.models.retrieve("beta-model"), openai.NotFoundError, 404),
    "invalid_request": ("", {}, lambda client: chat(client, messages=[]), openai.BadRequestError, 400),
    "payload_too_large": (
        "",
        {},
        lambda client: chat(client, messages=[{"role": "user", "content": "x" * 100_000}]),
        openai.APIStatusError,
        413,
    ),
    "method_not_allowed": (
        "",
        {},
        lambda client: client.delete("/models", cast_to=object),
        openai.APIStatusError,
        405,
    ),
    "upstream_unavailable": ("", {}, lambda client: chat(client, "down-model"), openai.InternalServerError, 502),
    "identity_unavailable": (token("https://lost.example"), {}, chat, openai.InternalServerError, 503),
}

OUT_OF_REACH = {
    "internal_error": "nothing known leads there",
    "quota_exceeded": "limits aren't built yet",
    "leak_blocked": "leak detection isn't built yet",
    "pii_blocked": "tests/gateway/scanning/test_clients_scanned.py",
    "scanner_unavailable": "tests/gateway/scanning/test_pii.py, with a scanner that fails",
    "request_timeout": "these clients send at once; tests/gateway/test_hostile_input.py",
    "trail_unavailable": "tests/gateway/test_trail_refusal.py",
    "conflict": "thirty attempts come first; tests/stores/test_stores.py",
    "store_unavailable": "tests/gateway/faces/test_responses.py, with a store that fails",
    "tenant_suspended": "tests/gateway/test_suspension.py",
    "key_unavailable": "tests/gateway/test_system_prompts.py",
}


def leaves(root: type[errors.PartywallError]) -> Iterator[type[errors.PartywallError]]:
    yield root
    for leaf in root.__subclasses__():
        yield from leaves(leaf)


def test_every_code_is_tried_or_accounted_for() -> None:
    codes = {leaf.code for leaf in leaves(errors.PartywallError) if leaf.__module__ == errors.__name__}
    assert codes == set(REFUSALS) | set(OUT_OF_REACH)


@pytest.mark.parametrize("code", REFUSALS)
def test_openai_s_client_raises(served: Served, code: str) -> None:
    key, extra, attempt, expected, status = REFUSALS[code]
    since = time.time()
    with gpt(served, "alpha", key, extra) as client, pytest.raises(expected) as caught:
        attempt(client)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    whose = None if code in ("invalid_credential", "identity_unavailable") else "alpha"
    (record,) = until(lambda: [r for r in recorded(served.data_dir, whose, since=since) if r.outcome])
    assert (record.code, record.status) == (code, status)
    assert caught.value.request_id == record.id


def tell(client: Anthropic, model: str = "alpha-model", **fields: Any) -> Any:
    return client.messages.create(model=model, max_tokens=5, messages=fields.pop("messages", HELLO), **fields)


def forced(client: Anthropic) -> Any:
    tool: Any = {"name": "wipe", "input_schema": {"type": "object"}}
    return tell(client, tools=[tool], tool_choice={"type": "tool", "name": "wipe"})


CLAUDE_REFUSALS: dict[
    str, tuple[str, dict[str, str], Callable[[Anthropic], Any], type[anthropic.APIStatusError], int]
] = {
    "missing_identity": ("", {"x-user-id": ""}, tell, anthropic.AuthenticationError, 401),
    "invalid_credential": ("sk-nobody", {}, tell, anthropic.AuthenticationError, 401),
    "tenant_mismatch": ("", {"x-org-id": "beta"}, tell, anthropic.PermissionDeniedError, 403),
    "tool_denied": ("", {}, forced, anthropic.PermissionDeniedError, 403),
    "model_denied": ("", {}, lambda client: tell(client, "beta-model"), anthropic.PermissionDeniedError, 403),
    "region_denied": ("", {}, lambda client: tell(client, "away-model"), anthropic.PermissionDeniedError, 403),
    "not_found": ("", {}, lambda client: client.models.retrieve("beta-model"), anthropic.NotFoundError, 404),
    "invalid_request": ("", {}, lambda client: tell(client, messages=[]), anthropic.BadRequestError, 400),
    "payload_too_large": (
        "",
        {},
        lambda client: tell(client, messages=[{"role": "user", "content": "x" * 100_000}]),
        anthropic.APIStatusError,
        413,
    ),
}


@pytest.mark.parametrize("code", CLAUDE_REFUSALS)
def test_anthropic_s_client_raises(served: Served, code: str) -> None:
    key, extra, attempt, expected, status = CLAUDE_REFUSALS[code]
    with claude(served, "alpha", key, extra) as client, pytest.raises(expected) as caught:
        attempt(client)
    assert (caught.value.status_code, caught.value.error_code) == (status, code)
    assert caught.value.request_id is not None
    assert caught.value.request_id.startswith("dec_")


def test_a_model_that_speaks_another_api_is_denied(served: Served) -> None:
    """`down` is an OpenAI target: it takes no Messages."""
    with claude(served) as client, pytest.raises(anthropic.PermissionDeniedError) as caught:
        tell(client, "down-model")
    assert caught.value.error_code == "model_denied"


# -- Retries ---------------------------------------------------------------------------------------------------------


def attempts(served: Served, since: float, whose: str | None) -> int:
    until(lambda: recorded(served.data_dir, whose, since=since))
    time.sleep(0.1)  # a further attempt would be on its way
    return len(recorded(served.data_dir, whose, since=since))


@pytest.mark.parametrize(
    "code", ["invalid_credential", "tenant_mismatch", "tool_denied", "not_found", "invalid_request"]
)
def test_what_no_retry_mends_is_not_retried(served: Served, code: str) -> None:
    key, extra, attempt, expected, _ = REFUSALS[code]
    since = time.time()
    with gpt(served, "alpha", key, extra, retries=3) as client, pytest.raises(expected) as caught:
        attempt(client)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert attempts(served, since, None if code == "invalid_credential" else "alpha") == 1
    if code not in CLAUDE_REFUSALS:
        return
    key, extra, claude_attempt, claude_expected, _ = CLAUDE_REFUSALS[code]
    since = time.time()
    with (
        claude(served, "alpha", key, extra, retries=3) as other,
        pytest.raises(claude_expected) as also_caught,
    ):
        claude_attempt(other)
    assert also_caught.value.response.headers["x-should-retry"] == "false"
    assert attempts(served, since, None if code == "invalid_credential" else "alpha") == 1


def test_what_a_retry_may_mend_is_retried(served: Served) -> None:
    since = time.time()
    with gpt(served, retries=1) as client, pytest.raises(openai.InternalServerError) as caught:
        chat(client, "down-model")
    assert "x-should-retry" not in caught.value.response.headers
    assert attempts(served, since, "alpha") == 2


# -- Answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tenant", TENANTS)
class TestOpenAI:
    """Each tenant hears itself, and never the other's name."""

    def said(self, text: str | None, tenant: str) -> None:
        assert text is not None
        assert f"SAID by {tenant}" in text
        assert next(name for name in TENANTS if name != tenant) not in text
        assert KEYS[tenant] not in text

    def test_chat(self, served: Served, tenant: str) -> None:
        messages: list[Any] = [{"role": "user", "content": f"SAID by {tenant}"}]
        with gpt(served, tenant) as client:
            whole = chat(client, f"{tenant}-model", messages=messages)
            self.said(whole.choices[0].message.content, tenant)
            assert whole.usage.completion_tokens > 0
            chunks = list(chat(client, f"{tenant}-model", messages=messages, stream=True))
            self.said("".join(chunk.choices[0].delta.content or "" for chunk in chunks), tenant)
            assert chunks[-1].choices[0].finish_reason == "stop"
            with client.chat.completions.stream(model=f"{tenant}-model", messages=messages) as stream:
                kinds = {event.type for event in stream}
                self.said(stream.get_final_completion().choices[0].message.content, tenant)
            assert {"chunk", "content.delta", "content.done"} <= kinds

    def test_completions(self, served: Served, tenant: str) -> None:
        with gpt(served, tenant) as client:
            whole = client.completions.create(model=f"{tenant}-model", prompt=f"SAID by {tenant}")
            self.said(whole.choices[0].text, tenant)
            chunks = list(client.completions.create(model=f"{tenant}-model", prompt=f"SAID by {tenant}", stream=True))
            self.said("".join(chunk.choices[0].text for chunk in chunks), tenant)

    def test_responses(self, served: Served, tenant: str) -> None:
        with gpt(served, tenant) as client:
            whole = client.responses.create(model=f"{tenant}-model", input=f"SAID by {tenant}")
            self.said(whole.output_text, tenant)
            events = list(client.responses.create(model=f"{tenant}-model", input=f"SAID by {tenant}", stream=True))
            assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
            self.said("".join(event.delta for event in events if event.type == "response.output_text.delta"), tenant)
            with client.responses.stream(model=f"{tenant}-model", input=f"SAID by {tenant}") as stream:
                assert [event.type for event in stream][-1] == "response.completed"
                self.said(stream.get_final_response().output_text, tenant)

    def test_embeddings(self, served: Served, tenant: str) -> None:
        with gpt(served, tenant) as client:
            made = client.embeddings.create(model=f"{tenant}-model", input=["one", "two"])
            assert [len(item.embedding) for item in made.data] == [64, 64]
            assert made.usage.prompt_tokens > 0

    def test_models(self, served: Served, tenant: str) -> None:
        with gpt(served, tenant) as client:
            listed = [model.id for model in client.models.list()]
            assert listed == (["alpha-model", "down-model"] if tenant == "alpha" else ["beta-model"])
            assert client.models.retrieve(f"{tenant}-model").id == f"{tenant}-model"


@pytest.mark.parametrize("tenant", TENANTS)
def test_messages(served: Served, tenant: str) -> None:
    messages: list[Any] = [{"role": "user", "content": f"SAID by {tenant}"}]
    with claude(served, tenant) as client:
        whole = tell(client, f"{tenant}-model", messages=messages)
        assert f"SAID by {tenant}" in whole.content[0].text
        assert whole.usage.output_tokens > 0
        events = list(tell(client, f"{tenant}-model", messages=messages, stream=True))
        assert (events[0].type, events[-1].type) == ("message_start", "message_stop")
        with client.messages.stream(model=f"{tenant}-model", max_tokens=5, messages=messages) as stream:
            pieces = list(stream.text_stream)
            final: Any = stream.get_final_message()
        assert f"SAID by {tenant}" in "".join(pieces)
        assert final.content[0].text == "".join(pieces)
        assert final.stop_reason == "end_turn"
        listed = [model.id for model in client.models.list()]
        assert f"{tenant}-model" in listed
        assert not {"alpha-model", "beta-model"} - {f"{tenant}-model"} & set(listed)
        assert client.models.retrieve(f"{tenant}-model").id == f"{tenant}-model"


def test_a_token_in_the_place_of_a_key(served: Served) -> None:
    with gpt(served, key=token()) as client:
        assert "hello" in chat(client).choices[0].message.content
    with gpt(served, key=token(tenant="beta")) as client, pytest.raises(openai.PermissionDeniedError) as caught:
        chat(client)
    assert caught.value.code == "tenant_mismatch"


def test_both_tenants_at_once_with_the_asynchronous_clients(served: Served) -> None:
    async def one(tenant: str, number: int) -> None:
        nonce = f"nonce-{tenant}-{number}-end"
        options: Any = {"api_key": KEYS[tenant], "default_headers": headers(tenant, NOTHING), "max_retries": 0}
        messages: list[Any] = [{"role": "user", "content": nonce}]
        text = ""
        if number % 2:
            async with AsyncOpenAI(base_url=f"{served.url}/v1", **options) as client:
                stream = await client.chat.completions.create(model=f"{tenant}-model", messages=messages, stream=True)
                async for chunk in stream:
                    text += chunk.choices[0].delta.content or ""
        else:
            async with (
                AsyncAnthropic(base_url=served.url, **options) as other,
                other.messages.stream(model=f"{tenant}-model", max_tokens=5, messages=messages) as events,
            ):
                text = await events.get_final_text()
        assert nonce in text
        assert text.count("nonce-") == 1

    async def main() -> None:
        await asyncio.gather(*(one(tenant, number) for tenant in TENANTS for number in range(4)))

    asyncio.run(main())
