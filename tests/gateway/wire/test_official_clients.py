"""The official clients read our refusals: the right class, our code, whole and in the middle of a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import anthropic
import openai
import orjson
import pytest

from partywall import errors
from partywall.gateway.wire import WIRES, Api

REQUEST_ID = "req_0123456789abcdef"
HELLO = [{"role": "user", "content": "hello"}]


class Canned(Protocol):
    """What `conftest.CannedServer` offers."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    requests: int
    url: str


class _Throttled(errors.QuotaExceeded):
    retry_after_seconds = 6.5


class _Overloaded(errors.TrailUnavailable):
    retry_after_seconds = 0


@contextmanager
def _openai(server: Canned, retries: int = 0) -> Iterator[openai.OpenAI]:
    http = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(api_key="k", base_url=f"{server.url}/v1", max_retries=retries, http_client=http) as client:
        yield client


@contextmanager
def _anthropic(server: Canned, retries: int = 0) -> Iterator[anthropic.Anthropic]:
    http = anthropic.DefaultHttpxClient(trust_env=False)
    with anthropic.Anthropic(api_key="k", base_url=server.url, max_retries=retries, http_client=http) as client:
        yield client


OPENAI_CALLS: dict[Api, Callable[..., Any]] = {
    Api.CHAT: lambda client, **kw: client.chat.completions.create(model="m", messages=HELLO, **kw),
    Api.COMPLETIONS: lambda client, **kw: client.completions.create(model="m", prompt="hello", **kw),
    Api.EMBEDDINGS: lambda client: client.embeddings.create(model="m", input="hello"),
    Api.RESPONSES: lambda client, **kw: client.responses.create(model="m", input="hello", **kw),
    Api.MODELS: lambda client: client.models.list(),
}

CLASSES: list[tuple[errors.PartywallError, str, str]] = [
    (errors.BadRequest(), "BadRequestError", "BadRequestError"),
    (errors.MissingIdentity(), "AuthenticationError", "AuthenticationError"),
    (errors.InvalidCredential(), "AuthenticationError", "AuthenticationError"),
    (errors.TenantMismatch(), "PermissionDeniedError", "PermissionDeniedError"),
    (errors.ToolDenied(), "PermissionDeniedError", "PermissionDeniedError"),
    (errors.ModelDenied(), "PermissionDeniedError", "PermissionDeniedError"),
    (errors.RegionDenied(), "PermissionDeniedError", "PermissionDeniedError"),
    (errors.LeakBlocked(), "PermissionDeniedError", "PermissionDeniedError"),
    (errors.PiiBlocked(), "PermissionDeniedError", "PermissionDeniedError"),
    (errors.NotFound(), "NotFoundError", "NotFoundError"),
    (errors.MethodNotAllowed(), "APIStatusError", "APIStatusError"),
    (errors.RequestTimedOut(), "APIStatusError", "RequestTimeoutError"),
    (errors.PayloadTooLarge(), "APIStatusError", "ContentTooLargeError"),
    (errors.QuotaExceeded(), "RateLimitError", "RateLimitError"),
    (errors.UpstreamUnavailable(), "InternalServerError", "InternalServerError"),
    (errors.UpstreamUnavailable(status=503), "InternalServerError", "ServiceUnavailableError"),
    (errors.UpstreamUnavailable(status=504), "InternalServerError", "GatewayTimeoutError"),
    (errors.CredentialUnavailable(), "InternalServerError", "InternalServerError"),
    (errors.TrailUnavailable(), "InternalServerError", "ServiceUnavailableError"),
    (errors.IdentityUnavailable(), "InternalServerError", "ServiceUnavailableError"),
    (errors.PartywallError("internal detail"), "InternalServerError", "InternalServerError"),
]
_IDS = [f"{error.code}-{error.status}" for error, _, _ in CLASSES]


def _refuse(server: Canned, api: Api, error: errors.PartywallError) -> None:
    server.status = error.status
    server.headers, server.body = WIRES[api].error_body(error, REQUEST_ID)


@pytest.mark.parametrize(("error", "name"), [(error, name) for error, name, _ in CLASSES], ids=_IDS)
def test_openai_raises_its_class(server: Canned, error: errors.PartywallError, name: str) -> None:
    with _openai(server) as client:
        for api, call in OPENAI_CALLS.items():
            _refuse(server, api, error)
            with pytest.raises(openai.APIStatusError) as caught:
                call(client)
            assert type(caught.value).__name__ == name
            assert caught.value.code == error.code
            assert caught.value.status_code == error.status
            assert caught.value.request_id == REQUEST_ID
            assert error.public_message in str(caught.value)


@pytest.mark.parametrize(("error", "name"), [(error, name) for error, _, name in CLASSES], ids=_IDS)
def test_anthropic_raises_its_class(server: Canned, error: errors.PartywallError, name: str) -> None:
    _refuse(server, Api.MESSAGES, error)
    with _anthropic(server) as client, pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(model="m", max_tokens=8, messages=[{"role": "user", "content": "hello"}])
    assert type(caught.value).__name__ == name
    assert caught.value.error_code == error.code
    assert caught.value.status_code == error.status
    assert caught.value.request_id == REQUEST_ID
    assert caught.value.api_message == error.public_message
    body: Any = caught.value.body
    assert body["error"]["code"] == error.code
    assert body["request_id"] == REQUEST_ID


@pytest.mark.parametrize("api", [Api.CHAT, Api.COMPLETIONS, Api.RESPONSES])
@pytest.mark.parametrize("error", [errors.ToolDenied(), errors.LeakBlocked(), errors.UpstreamUnavailable()])
def test_openai_raises_in_a_stream(server: Canned, api: Api, error: errors.PartywallError) -> None:
    server.headers = [(b"content-type", b"text/event-stream")]
    server.body = _first_event(api) + WIRES[api].error_events(error, REQUEST_ID)
    with _openai(server) as client, pytest.raises(openai.APIError) as caught:
        list(OPENAI_CALLS[api](client, stream=True))
    assert caught.value.code == error.code
    assert caught.value.message == error.public_message


def test_openai_delivers_what_came_before_the_error(server: Canned) -> None:
    server.headers = [(b"content-type", b"text/event-stream")]
    server.body = _first_event(Api.CHAT) + WIRES[Api.CHAT].error_events(errors.ToolDenied(), REQUEST_ID)
    with _openai(server) as client:
        stream = OPENAI_CALLS[Api.CHAT](client, stream=True)
        assert next(stream).choices[0].delta.content == "hello"
        with pytest.raises(openai.APIError):
            next(stream)


def test_anthropic_raises_in_a_stream(server: Canned) -> None:
    error = errors.ToolDenied()
    server.headers = [(b"content-type", b"text/event-stream")]
    server.body = b'event: ping\ndata: {"type": "ping"}\n\n' + WIRES[Api.MESSAGES].error_events(error, REQUEST_ID)
    with _anthropic(server) as client, pytest.raises(anthropic.APIStatusError) as caught:
        list(client.messages.create(model="m", max_tokens=8, messages=[{"role": "user", "content": "x"}], stream=True))
    assert (caught.value.error_code, caught.value.type) == ("tool_denied", "permission_error")
    assert caught.value.api_message == error.public_message


def test_a_flat_error_event_would_not_raise(server: Canned) -> None:
    """Why ours is nested: this is what OpenAI's client makes of the documented flat form."""
    server.headers = [(b"content-type", b"text/event-stream")]
    server.body = b'event: error\ndata: {"type":"error","code":"x","message":"y","sequence_number":0}\n\n'
    with _openai(server) as client:
        events = list(client.responses.create(model="m", input="x", stream=True))
    assert [event.type for event in events] == ["error"]


@pytest.mark.parametrize("api", [Api.CHAT, Api.COMPLETIONS, Api.RESPONSES, Api.MESSAGES])
def test_a_stream_that_fails_has_an_end(api: Api) -> None:
    events = WIRES[api].error_events(errors.LeakBlocked(), REQUEST_ID)
    assert events.endswith(b"\n\n")
    last = events.split(b"\n\n")[-2]
    ends = {Api.RESPONSES: b"event: response.failed\n", Api.MESSAGES: b"event: error\n"}
    assert last.startswith(ends.get(api, b"data: [DONE]"))


# -- Retries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [e for e, _, _ in CLASSES if e.status < 500 and e.status not in {408, 429}], ids=lambda error: error.code
)
def test_what_a_retry_can_t_mend_is_asked_once(server: Canned, error: errors.PartywallError) -> None:
    _refuse(server, Api.CHAT, error)
    with _openai(server, retries=2) as client, pytest.raises(openai.APIStatusError):
        OPENAI_CALLS[Api.CHAT](client)
    assert server.requests == 1


def test_what_passes_is_asked_again(server: Canned) -> None:
    _refuse(server, Api.MESSAGES, _Overloaded())
    with _anthropic(server, retries=1) as client, pytest.raises(anthropic.ServiceUnavailableError):
        client.messages.create(model="m", max_tokens=8, messages=[{"role": "user", "content": "hello"}])
    assert server.requests == 2


# -- Headers and bodies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", list(Api))
def test_headers(api: Api) -> None:
    made = dict(WIRES[api].error_body(errors.ToolDenied(), REQUEST_ID)[0])
    assert made == {
        b"content-type": b"application/json",
        b"cache-control": b"private, no-store",
        b"x-request-id": REQUEST_ID.encode(),
        b"request-id": REQUEST_ID.encode(),
        b"x-should-retry": b"false",
    }


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (_Throttled(), b"retry-after", b"7"),
        (_Overloaded(), b"retry-after", b"0"),
        (errors.QuotaExceeded(), b"retry-after", None),
        (errors.QuotaExceeded(), b"x-should-retry", None),
        (errors.RequestTimedOut(), b"x-should-retry", None),
        (errors.TrailUnavailable(), b"x-should-retry", None),
        (errors.InvalidCredential(), b"www-authenticate", b"Bearer"),
        (errors.ToolDenied(), b"www-authenticate", None),
    ],
)
def test_headers_of_some_errors(error: errors.PartywallError, name: bytes, value: bytes | None) -> None:
    assert dict(WIRES[Api.CHAT].error_body(error, REQUEST_ID)[0]).get(name) == value


@pytest.mark.parametrize("seconds", ["soon", -1, float("nan"), float("inf"), None, True])
def test_an_odd_retry_after_is_not_sent(seconds: object) -> None:
    error = errors.QuotaExceeded()
    error.retry_after_seconds = seconds  # type: ignore[attr-defined]  # what a careless caller may do
    made = dict(WIRES[Api.CHAT].error_body(error, REQUEST_ID)[0])
    assert b"retry-after" not in made


@pytest.mark.parametrize("api", list(Api))
def test_the_operator_s_words_stay_here(api: Api) -> None:
    error = errors.TenantMismatch("key of `alpha` with `X-Org-ID: beta`")
    for written in (WIRES[api].error_body(error, REQUEST_ID)[1], WIRES[api].error_events(error, REQUEST_ID)):
        assert b"alpha" not in written
        assert b"beta" not in written


@pytest.mark.parametrize("api", list(Api))
def test_two_tenants_get_the_same_refusal(api: Api) -> None:
    one, other = errors.ModelDenied("`alpha` has no model `m`"), errors.ModelDenied("`beta` has no model `m`")
    assert WIRES[api].error_body(one, REQUEST_ID) == WIRES[api].error_body(other, REQUEST_ID)


def _first_event(api: Api) -> bytes:
    if api is Api.RESPONSES:
        event: dict[str, object] = {"type": "response.output_text.delta", "delta": "hello", "sequence_number": 1}
    elif api is Api.CHAT:
        event = {"id": "1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "hello"}}]}
    else:
        event = {"id": "1", "object": "text_completion", "choices": [{"index": 0, "text": "hello"}]}
    return b"data: " + orjson.dumps(event) + b"\n\n"
