"""Where a request goes, with whose credential and salts, what makes it go elsewhere, and what comes back of failures.

One recording upstream plays every target: the first segment of the path says which. A prompt such as `first:500` makes
the target `first` fail in that way.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from asyncio import StreamWriter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.documents import KEYS, TENANTS, base_document, headers_of, key_hash, write_document
from tests.support.inprocess import Reply, Session, session
from tests.support.transcripts import chat_text
from tests.support.upstream import Received, Upstream, answers, echo, upstream, write_stream, write_whole

CHAT = "/v1/chat/completions"
TRIGGERS = ["rate_limit", "server_error", "timeout", "unreachable"]
REGIONS = {"third": "us", "fourth": "eu"}


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with upstream() as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh(server: Upstream) -> Iterator[None]:
    server.received.clear()
    server.behave = told_by_the_prompt
    yield
    server.behave = None


async def told_by_the_prompt(request: Received, writer: StreamWriter) -> bool:
    target, prompt = target_of(request), request.json["messages"][0]["content"]
    orders = dict(order.split(":") for order in prompt.split() if ":" in order)
    order = orders.get(target) or orders.get("all") or "echo"
    if order == "echo":
        return await echo(request, writer)
    if order == "hangs":
        await asyncio.sleep(2)
        return False
    if order == "drops":
        return False
    if order == "dies":
        await write_stream(writer, chat_text("begun")[:2])
        return False
    await write_whole(writer, int(order), orjson.dumps({"error": {"message": f"{target} says {order}"}}))
    return True


def target_of(request: Received) -> str:
    return request.path.split("/")[1]


def document(server: Upstream, *, triggers: list[str] | None = None, attempts: int = 3) -> dict[str, Any]:
    """Alpha has `first`, `second`, `third` (outside its region) and `fourth`; beta has `betas`; `shared` is both's."""
    made = base_document()
    root = server.url.removesuffix("/v1")
    names = ["first", "second", "third", "fourth", "betas", "shared"]
    made["providers"] = {
        "targets": [
            {
                "id": name,
                "provider": "openai",
                "base_url": f"{root}/{name}/v1",
                "model": "shared-model" if name == "shared" else "model",
                "api_key": f"sk-of-{name}",
                "region": REGIONS.get(name, "eu"),
            }
            for name in names
        ]
    }
    if triggers is not None:
        made["providers"]["fallback"] = {"triggers": triggers, "max_fallback_attempts": attempts}
    alphas, betas = made["consumer_groups"]["groups"]
    alphas["upstream"], betas["upstream"] = ["first", "second", "third", "fourth", "shared"], ["betas", "shared"]
    made["tenants"] = {"alpha": {"regions": ["eu"]}, "beta": {}}
    made["server"] |= {"answer_timeout_seconds": 0.3, "circuit_breaker": {"failures": 1000}}
    return made


def opened(tmp_path: Path, made: dict[str, Any]) -> AbstractContextManager[Session]:
    return session(write_document(tmp_path / "partywall.yaml", made), tmp_path / "data")


def ask(running: Session, prompt: str, tenant: str = "alpha", model: str = "model", **fields: Any) -> Reply:
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}
    return running.post(CHAT, headers_of(tenant), body)


def tried(server: Upstream) -> list[str]:
    found = [target_of(request) for request in server.received]
    server.received.clear()
    return found


# -- Falling back ----------------------------------------------------------------------------------------------------


FAILURES = {
    "429": ("rate_limit", 503),
    "500": ("server_error", 502),
    "503": ("server_error", 503),
    "529": ("server_error", 502),
    "401": ("server_error", 502),
    "403": ("server_error", 502),
    "408": ("timeout", 504),
    "504": ("timeout", 504),
    "hangs": ("timeout", 504),
    "drops": ("unreachable", 502),
}


@pytest.mark.parametrize("listed", TRIGGERS)
def test_another_target_is_tried_for_what_is_listed(tmp_path: Path, server: Upstream, listed: str) -> None:
    with opened(tmp_path, document(server, triggers=[listed])) as running:
        for failure, (trigger, status) in FAILURES.items():
            reply = ask(running, f"first:{failure}")
            if trigger == listed:
                assert (reply.status, tried(server)) == (200, ["first", "second"]), failure
                assert running.recorded("alpha")[-1].upstream == "second"
            else:
                assert (reply.status, reply.code) == (status, "upstream_unavailable"), failure
                assert tried(server) == ["first"]
                assert running.recorded("alpha")[-1].upstream == "first"


def test_without_fall_back_none_is_tried(tmp_path: Path, server: Upstream) -> None:
    with opened(tmp_path, document(server)) as running:
        for failure, (_, status) in FAILURES.items():
            assert ask(running, f"first:{failure}").status == status
            assert tried(server) == ["first"]


def test_a_target_that_isn_t_there(tmp_path: Path, server: Upstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    made = document(server, triggers=["unreachable"])
    made["providers"]["targets"][0]["base_url"] = f"http://127.0.0.1:{port}/v1"
    with opened(tmp_path, made) as running:
        assert ask(running, "hello").status == 200
        assert tried(server) == ["second"]


def test_never_outside_the_region_nor_at_another_tenant_s(tmp_path: Path, server: Upstream) -> None:
    with opened(tmp_path, document(server, triggers=TRIGGERS, attempts=10)) as running:
        reply = ask(running, "all:500")
        assert (reply.status, reply.code) == (502, "upstream_unavailable")
        assert tried(server) == [
            "first",
            "second",
            "fourth",
            "shared",
        ]  # in document order, without `third` and `betas`
        assert ask(running, "all:500", tenant="beta").status == 502
        assert tried(server) == ["betas", "shared"]


@pytest.mark.parametrize(
    ("attempts", "expected"), [(0, ["first"]), (1, ["first", "second"]), (2, ["first", "second", "fourth"])]
)
def test_no_more_often_than_the_document_says(
    tmp_path: Path, server: Upstream, attempts: int, expected: list[str]
) -> None:
    with opened(tmp_path, document(server, triggers=TRIGGERS, attempts=attempts)) as running:
        assert ask(running, "all:500").status == 502
        assert tried(server) == expected


@pytest.mark.parametrize("status", [400, 404, 409, 413, 415, 418, 422])
def test_a_request_that_is_refused_is_not_tried_elsewhere(tmp_path: Path, server: Upstream, status: int) -> None:
    with opened(tmp_path, document(server, triggers=TRIGGERS)) as running:
        reply = ask(running, f"first:{status}")
        assert reply.status == (400 if status == 418 else status)
        assert reply.code == "invalid_request"
        assert tried(server) == ["first"]


def test_never_after_the_answer_has_begun(tmp_path: Path, server: Upstream) -> None:
    with opened(tmp_path, document(server, triggers=TRIGGERS)) as running:
        reply = ask(running, "first:dies", stream=True)
        assert reply.status == 200
        assert b"begun" in reply.body
        assert b"upstream_unavailable" in reply.body
        assert tried(server) == ["first"]


def test_the_last_failure_is_told(tmp_path: Path, server: Upstream) -> None:
    with opened(tmp_path, document(server, triggers=TRIGGERS)) as running:
        assert ask(running, "first:500 second:hangs fourth:429 shared:503").status == 503


def test_each_target_gets_its_own_copy(tmp_path: Path, server: Upstream) -> None:
    """Another vendor's fields, salt field, model and credential, and nothing left over of the one before."""
    made = document(server, triggers=TRIGGERS)
    made["providers"]["targets"][1] |= {"provider": "vllm", "model": "local-model"}
    made["providers"]["targets"][3] |= {"provider": "sglang", "model": "other-model"}
    with opened(tmp_path, made) as running:
        assert ask(running, "first:500 second:500").status == 200
    first, second, fourth = server.received
    assert [request.credential for request in server.received] == ["sk-of-first", "sk-of-second", "sk-of-fourth"]
    assert [request.json["model"] for request in server.received] == ["model", "local-model", "other-model"]
    assert {"prompt_cache_key", "safety_identifier"} <= set(first.json)
    assert first.json["prompt_cache_key"] == second.json["cache_salt"] == fourth.json["cache_salt"]
    assert {"prompt_cache_key", "safety_identifier"}.isdisjoint(second.json)


# -- Circuits --------------------------------------------------------------------------------------------------------


def with_breaker(server: Upstream, failures: int, seconds: float, triggers: list[str] | None = None) -> dict[str, Any]:
    made = document(server, triggers=triggers)
    made["server"]["circuit_breaker"] = {"failures": failures, "open_seconds": seconds}
    return made


def test_a_tenant_s_failures_open_its_own_circuit(tmp_path: Path, server: Upstream) -> None:
    with opened(tmp_path, with_breaker(server, 2, 600)) as running:
        assert [ask(running, "all:500", model="shared-model").status for _ in range(4)] == [502, 502, 503, 503]
        assert tried(server) == ["shared", "shared"]
        assert ask(running, "hello", tenant="beta", model="shared-model").status == 200
        assert tried(server) == ["shared"]
        assert ask(running, "hello").status == 200  # alpha's other targets


def test_an_open_circuit_is_tried_once_in_a_while(tmp_path: Path, server: Upstream) -> None:
    with opened(tmp_path, with_breaker(server, 1, 0.2)) as running:
        assert ask(running, "first:500").status == 502
        assert ask(running, "hello").status == 503
        time.sleep(0.25)
        tried(server)

        async def both() -> list[int]:
            body = {"model": "model", "messages": [{"role": "user", "content": "first:500"}]}
            calls = [running.client.post(CHAT, headers_of("alpha"), body) for _ in range(2)]
            return [reply.status for reply in await asyncio.gather(*calls)]

        assert sorted(running.run(both())) == [502, 503]  # one is the trial, the other waits for its outcome
        assert tried(server) == ["first"]
        assert ask(running, "hello").status == 503
        time.sleep(0.25)
        assert ask(running, "hello").status == 200
        assert [ask(running, "hello").status for _ in range(3)] == [200, 200, 200]


def test_an_open_circuit_makes_another_target_be_tried(tmp_path: Path, server: Upstream) -> None:
    with opened(tmp_path, with_breaker(server, 1, 600, triggers=["server_error", "unreachable"])) as running:
        assert ask(running, "first:500").status == 200
        assert tried(server) == ["first", "second"]
        assert ask(running, "hello").status == 200
        assert tried(server) == ["second"]


@pytest.mark.parametrize("order", ["429", "400", "404"])
def test_what_is_no_failure_of_the_target_opens_nothing(tmp_path: Path, server: Upstream, order: str) -> None:
    with opened(tmp_path, with_breaker(server, 1, 600)) as running:
        for _ in range(3):
            ask(running, f"first:{order}")
        assert tried(server) == ["first"] * 3
        assert ask(running, "hello").status == 200


def test_a_refused_request_shows_that_the_target_is_well(tmp_path: Path, server: Upstream) -> None:
    """Only failures in a row open a circuit, and a trial that is answered closes it, if only with a refusal."""
    with opened(tmp_path, with_breaker(server, 2, 0.2)) as running:
        for _ in range(3):
            assert ask(running, "first:500").status == 502
            assert ask(running, "first:400").status == 400
        assert [ask(running, "first:500").status for _ in range(3)] == [502, 502, 503]
        time.sleep(0.25)
        assert ask(running, "first:400").status == 400
        assert ask(running, "hello").status == 200


# -- What comes back of failures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [401, 403, 407, 500, 503])
def test_nothing_of_a_failure_is_told(tmp_path: Path, server: Upstream, status: int, stream: bool) -> None:
    """Vendors quote the key that they refuse, and name the account."""
    quoted = orjson.dumps({"error": {"message": "Incorrect API key provided: sk-of-first (org-platform)"}})
    server.behave = answers(status, quoted, "x-account: sk-of-first", "www-authenticate: Bearer realm=org-platform")
    with opened(tmp_path, document(server)) as running:
        reply = ask(running, "hello", stream=stream)
        record = running.recorded("alpha")[-1]
    assert (reply.status, reply.code) == ((503 if status == 503 else 502), "upstream_unavailable")
    assert reply.json["error"]["message"] == "The model behind this request is not available."
    for place in (reply.body, repr(reply.headers).encode(), repr(record).encode()):
        assert b"sk-of-first" not in place
        assert b"org-platform" not in place


REFUSED: dict[str, tuple[bytes, str]] = {
    "in OpenAI's words": (b'{"error":{"message":"too long","param":"x","account":"hidden"}}', "too long"),
    "in Anthropic's words": (b'{"type":"error","error":{"type":"x","message":"too long"},"note":"hidden"}', "too long"),
    "as a string": (b'{"error":"too long"}', "too long"),
    "at length": (orjson.dumps({"error": {"message": "m" * 5000}}), "m" * 1000),
    "without words": (b'{"error":{"message":""},"hidden":1}', "The model's API refused the request."),
    "as something else": (b'{"error":{"message":["hidden"]}}', "The model's API refused the request."),
    "as a list": (b'["hidden"]', "The model's API refused the request."),
    "as a page": (b"<html>hidden</html>", "The model's API refused the request."),
    "as nothing": (b"", "The model's API refused the request."),
    "quoting our key": (b'{"error":{"message":"bad key: sk-of-first"}}', "The model's API refused the request."),
}


@pytest.mark.parametrize("how", REFUSED)
def test_the_upstream_s_own_sentence_about_a_bad_request(tmp_path: Path, server: Upstream, how: str) -> None:
    body, expected = REFUSED[how]
    server.behave = answers(400, body, "set-cookie: hidden=1")
    with opened(tmp_path, document(server)) as running:
        reply = ask(running, "hello")
    assert (reply.status, reply.json["error"]["message"]) == (400, expected)
    assert b"hidden" not in reply.body + repr(reply.headers).encode()


WAITS = [
    ("7", "7"),
    ("0", "0"),
    ("2.5", "3"),
    ("-5", "0"),
    ("999999", "3600"),
    ("soon", "1"),
    ("nan", None),
    ("inf", "3600"),
]


@pytest.mark.parametrize(("said", "told"), [*WAITS, ("Wed, 21 Oct 2026 07:28:00 GMT", "1"), (None, "1")])
def test_a_limit_of_the_upstream_s(tmp_path: Path, server: Upstream, said: str | None, told: str | None) -> None:
    server.behave = answers(429, b'{"error":{"message":"slow"}}', *([] if said is None else [f"retry-after: {said}"]))
    with opened(tmp_path, document(server)) as running:
        reply = ask(running, "hello")
    assert (reply.status, reply.code) == (503, "upstream_unavailable")
    assert reply.header("retry-after") == told


@pytest.mark.parametrize("stream", [False, True])
def test_no_header_of_the_upstream_s_is_passed_on(tmp_path: Path, server: Upstream, stream: bool) -> None:
    telling = [
        "set-cookie: session=of-the-platform",
        "openai-organization: org-platform",
        "openai-project: proj",
        "x-ratelimit-remaining-tokens: 5",
        "x-request-id: req_of_the_vendor",
        "server: vendor",
        "alt-svc: h3",
        "cache-control: public, max-age=3600",
        "access-control-allow-origin: *",
    ]

    async def tell(request: Received, writer: StreamWriter) -> bool:
        if not request.json.get("stream"):
            await write_whole(writer, 200, b'{"choices":[]}', *telling)
            return True
        head = ["HTTP/1.1 200 OK", "content-type: text/event-stream; x=y", "transfer-encoding: chunked", *telling]
        writer.write("\r\n".join([*head, "", ""]).encode() + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()
        return True

    server.behave = tell
    with opened(tmp_path, document(server)) as running:
        reply = ask(running, "hello", stream=stream)
    names = {b"content-type", b"cache-control", b"x-request-id", b"request-id"}
    assert {name for name, _ in reply.headers} == names | (set() if stream else {b"content-length"})
    assert reply.header("cache-control") == "private, no-store"
    assert (reply.header("x-request-id") or "").startswith("dec_")
    assert "x=y" not in (reply.header("content-type") or "")


# -- With whose credential ---------------------------------------------------------------------------------------------


def test_a_credential_is_read_for_each_call(tmp_path: Path, server: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    made = base_document(base_url=server.url)
    file = tmp_path / "beta.key"
    for target, reference in zip(
        made["providers"]["targets"], ({"env": "ALPHAS_KEY"}, {"file": str(file)}), strict=True
    ):
        del target["api_key"]
        target["secret_key_ref"] = reference
    with opened(tmp_path, made) as running:
        for number in range(3):
            monkeypatch.setenv("ALPHAS_KEY", f"alpha-{number}")
            file.unlink(missing_ok=True)
            file.write_text(f"beta-{number}\n")
            file.chmod(0o600)
            for tenant in TENANTS:
                assert ask(running, "hello", tenant, f"{tenant}-model").status == 200
            assert [request.credential for request in server.received] == [f"alpha-{number}", f"beta-{number}"]
            server.received.clear()


@pytest.mark.parametrize("value", [None, "", "two\nlines", " padded "])
def test_without_its_credential_nothing_is_sent(
    tmp_path: Path, server: Upstream, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """No fall-back either: the next target's credential is no stand-in for this one's."""
    made = document(server, triggers=TRIGGERS)
    del made["providers"]["targets"][0]["api_key"]
    made["providers"]["targets"][0]["secret_key_ref"] = {"env": "ALPHAS_KEY"}
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-process")
    if value is None:
        monkeypatch.delenv("ALPHAS_KEY", raising=False)
    else:
        monkeypatch.setenv("ALPHAS_KEY", value)
    with opened(tmp_path, made) as running:
        reply = ask(running, "hello")
        assert (reply.status, reply.code) == (502, "upstream_unavailable")
        assert server.received == []
        assert b"ALPHAS_KEY" not in reply.body
        record = running.recorded("alpha")[-1]
        assert (record.code, record.outcome) == ("upstream_unavailable", "upstream_failed")
        assert "ALPHAS_KEY" in record.reason
        assert ask(running, "hello", tenant="beta").status == 200


def test_a_key_of_two_tenants_groups_keeps_their_targets_apart(tmp_path: Path, server: Upstream) -> None:
    """A tenant with two groups: each group reaches its own upstream and no more."""
    made = document(server)
    groups = made["consumer_groups"]["groups"]
    groups.append({"name": "alpha-batch", "tenant": "alpha", "api_keys": [key_hash("pw-batch")], "upstream": "second"})
    with opened(tmp_path, made) as running:
        batch = headers_of("alpha") | {"authorization": "Bearer pw-batch"}
        body = {"model": "model", "messages": [{"role": "user", "content": "hello"}]}
        assert running.post(CHAT, batch, body).status == 200
        assert running.post(CHAT, batch, body | {"model": "shared-model"}).status == 403
    assert tried(server) == ["second"]


# -- Salts and headers -------------------------------------------------------------------------------------------------

HEX64 = re.compile(r"[0-9a-f]{64}")
SALT_FIELDS = {"openai": ("prompt_cache_key", "safety_identifier"), "vllm": ("cache_salt",), "sglang": ("cache_salt",)}


def salts_seen(root: Path, server: Upstream, provider: str, **client: Any) -> dict[str, dict[str, str]]:
    """By tenant, what the upstream got in the fields that divide its cache."""
    server.received.clear()
    made = base_document(base_url=server.url, provider=provider)
    seen = {}
    with session(write_document(root / "partywall.yaml", made), root / "data") as running:
        for tenant in TENANTS:
            assert ask(running, "hello", tenant, f"{tenant}-model", **client).status == 200
            seen[tenant] = {name: server.received[-1].json[name] for name in SALT_FIELDS[provider]}
    return seen


@pytest.mark.parametrize("provider", SALT_FIELDS)
def test_salts_are_ours(tmp_path: Path, server: Upstream, provider: str) -> None:
    chosen = {name: "beta" * 16 for fields in SALT_FIELDS.values() for name in fields}
    spelled = {"cacheSalt": "beta", "Cache-Salt": "beta", "PROMPT_CACHE_KEY": "beta"}
    seen = salts_seen(tmp_path, server, provider)
    values = [value for salts in seen.values() for value in salts.values()]
    assert all(HEX64.fullmatch(value) for value in values)
    assert len(set(values)) == len(values)  # alpha's and beta's, and the cache's and the user's
    # The same after a restart, whatever the client sends; others under another deployment's key.
    assert salts_seen(tmp_path, server, provider, **chosen, **spelled) == seen
    assert b"beta" * 16 not in server.received[0].body
    assert not set(spelled) & set(server.received[0].json)
    other = tmp_path / "another"
    other.mkdir()
    elsewhere = salts_seen(other, server, provider)
    assert not set(values) & {value for salts in elsewhere.values() for value in salts.values()}


HOSTILE = {
    "cookie": "session=beta",
    "x-api-key": KEYS["alpha"],
    "openai-organization": "org-beta",
    "openai-project": "proj-beta",
    "openai-beta": "assistants=v2",
    "anthropic-beta": "files-api",
    "anthropic-version": "2020-01-01",
    "x-forwarded-for": "10.0.0.1",
    "forwarded": "for=10.0.0.1",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "baggage": "tenant=beta",
    "idempotency-key": "k1",
    "x-request-id": "req-of-the-client",
    "x-stainless-lang": "python",
    "user-agent": "client/1.0",
    "referer": "https://alpha.example/secret-page",
    "host": "upstream.example",
    "connection": "x-org-id",
    "te": "trailers",
    "accept": "text/event-stream",
    "accept-encoding": "gzip",
}


@pytest.mark.parametrize("provider", ["openai", "vllm", "anthropic"])
def test_no_header_of_the_client_s_is_sent_on_but_those_listed(tmp_path: Path, server: Upstream, provider: str) -> None:
    made = base_document(base_url=server.url, provider=provider)
    path = "/v1/messages" if provider == "anthropic" else CHAT
    body = {"model": "alpha-model", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
    query = "beta=true&api-version=1&limit=5&key=AIza"
    with opened(tmp_path, made) as running:
        assert running.post(path, headers_of("alpha") | HOSTILE, body, query).status == 200
    (sent,) = server.received
    ours = {"host", "accept-encoding", "content-type", "content-length", "accept"}
    if provider == "anthropic":
        assert set(sent.headers) == ours | {"x-api-key", "anthropic-version", "anthropic-beta"}
        assert (sent.headers["anthropic-version"], sent.headers["anthropic-beta"]) == ("2023-06-01", "files-api")
        assert sent.path == "/v1/messages?beta=true"
    else:
        assert set(sent.headers) == ours | {"authorization"}
        assert sent.path == CHAT
    assert sent.headers["accept-encoding"] == "identity"
    assert sent.headers["host"] == server.url.removeprefix("http://").removesuffix("/v1")
    assert sent.credential == "sk-upstream-alpha"
    everything = repr(sorted(sent.headers.items())) + sent.body.decode()
    for private in (KEYS["alpha"], "user-of-alpha", "alpha.example", "req-of-the-client"):
        assert private not in everything
