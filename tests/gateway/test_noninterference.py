"""What beta observes is the same whether or not alpha exists.

One gateway serves beta alone, another serves both. Whatever alpha does there (floods, failures that would open a shared
circuit, foreign names, broken bodies), each answer to beta and each of beta's records is byte-identical in both, once
server-made ids and clock values are taken out. `test_the_machine_can_fail` plants a shared breaker and sees it found.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from tests.support.documents import base_document, headers_of, write_document
from tests.support.inprocess import Reply, session
from tests.support.upstream import Received, Upstream, echo, upstream, write_whole

from partywall.gateway.breakers import Breakers
from partywall.tenancy import TenantId
from partywall.trail import TrailReader
from partywall.trail.export import to_json

_MADE = re.compile(rb"chatcmpl-(?:upstream|[0-9a-f]{32})")
"""The upstream's, which all get, or a new one, of an answer given again. The records tell which it was."""
_IDS = re.compile(rb"dec_[0-9a-f]{32}")
_CLOCK = re.compile(rb'"created(?:_at)?":\s*\d+')
_AGE = re.compile(r": \d+ s old")
_VOLATILE = ("id", "time", "latency_ms")

Op = tuple[str, str, dict[str, str], bytes, str]


def _chat(tenant: str, content: str, **fields: Any) -> bytes:
    body = {"model": f"{tenant}-model", "messages": [{"role": "user", "content": content}], **fields}
    return orjson.dumps(body)


def chats(tenant: str, other: str) -> st.SearchStrategy[Op]:
    """Requests that reach an upstream, which may fail; half of them an upstream that both tenants use."""
    words = st.sampled_from(["hello", "FAIL", "FAIL", "SLOW-DOWN", "REFUSE", f"I am {tenant}"])
    models = st.sampled_from(["shared", "shared", tenant, other])
    return st.builds(
        lambda model, word, stream: (
            "POST",
            "/v1/chat/completions",
            headers_of(tenant),
            _chat(model, word, stream=stream),
            "",
        ),
        models,
        words,
        st.booleans(),
    )


def operations(tenant: str, other: str) -> st.SearchStrategy[Op]:
    """What else a tenant may do, well-behaved and not."""
    good = headers_of(tenant)
    path = "/v1/chat/completions"
    tool = {"type": "function", "function": {"name": "search", "parameters": {}}}
    bad_tool = {"type": "function", "function": {"name": "rm", "parameters": {}}}
    return st.one_of(
        st.just(("POST", path, good, _chat(tenant, "x", tools=[tool, bad_tool]), "")),
        st.just(("POST", path, good, _chat(tenant, "x", tools=[bad_tool], tool_choice="required"), "")),
        st.just(("POST", path, good, _chat(tenant, "x", cache_salt=other, user=other), "")),
        st.just(("POST", path, {**good, "x-org-id": other}, _chat(tenant, "x"), "")),
        st.just(("POST", path, good, b"{" * 2000, "")),
        st.just(("POST", path, good, b'{"model": NaN}', "")),
        st.just(("POST", "/v1/messages", good, _chat(tenant, "x", max_tokens=5), "")),
        st.just(("GET", "/v1/models", good, b"", "")),
        st.sampled_from([tenant, other, "shared", "none"]).map(
            lambda name: ("GET", f"/v1/models/{name}-model", good, b"", "")
        ),
        st.just(("GET", "/v1/models", good, b"", f"tenant={other}")),
        st.just(("DELETE", "/v1/models", good, b"", "")),
        st.just(("GET", "/v1/unknown", good, b"", "")),
        st.just(("POST", path, {"authorization": "Bearer nobody"}, b"{}", "")),
    )


async def _moody(request: Received, writer: Any) -> bool:
    """Fails, throttles or refuses when the prompt says so."""
    content = request.json["messages"][0]["content"]
    if content == "FAIL":
        await write_whole(writer, 500, b'{"error":{"message":"boom"}}')
    elif content == "SLOW-DOWN":
        await write_whole(writer, 429, b'{"error":{"message":"slow"}}', "retry-after: 7")
    elif content == "REFUSE":
        await write_whole(writer, 400, b'{"error":{"message":"your prompt is bad"}}')
    else:
        return await echo(request, writer)
    return True


def _document(server: Upstream) -> dict[str, Any]:
    document = base_document(base_url=server.url)
    shared = {"id": "shared", "provider": "vllm", "base_url": server.url, "model": "shared-model"}
    document["providers"]["targets"].append({**shared, "tenants": ["alpha", "beta"]})
    document["server"]["circuit_breaker"] = {"failures": 1, "open_seconds": 600}
    document |= {"encryption": {}, "cache": {"mode": "exact"}}
    for group in document["consumer_groups"]["groups"]:
        group["upstream"] = [group["upstream"], "shared"]
    return document


def normalised(reply: Reply) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    body = _CLOCK.sub(b'"created":0', _MADE.sub(b"chatcmpl-ID", _IDS.sub(b"dec_ID", reply.body)))
    headers = [(name, _IDS.sub(b"dec_ID", value)) for name, value in reply.headers if name != b"content-length"]
    return reply.status, headers, body


def records(data_dir: Path, tenant: str) -> list[dict[str, Any]]:
    events = TrailReader(data_dir).of_tenant(TenantId(tenant)).events()
    rows = [orjson.loads(_AGE.sub("", to_json(event))) for event in events]
    return [{key: value for key, value in row.items() if key not in _VOLATILE} for row in rows]


class NonInterference(RuleBasedStateMachine):
    """Beta in two worlds: with alpha, and without."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        server = self.stack.enter_context(upstream())
        server.behave = _moody
        root = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        document = write_document(root / "partywall.yaml", _document(server))
        self.dirs = {world: root / world for world in ("alone", "shared")}
        for folder in self.dirs.values():  # one deployment key, or the salts would differ
            folder.mkdir(mode=0o700)
            (folder / "salt.key").write_bytes(b"k" * 32)
            (folder / "salt.key").chmod(0o600)
        self.worlds = {
            world: self.stack.enter_context(session(document, folder)) for world, folder in self.dirs.items()
        }

    def _do(self, world: str, op: Op) -> Reply:
        method, path, headers, body, query = op
        running = self.worlds[world]
        return running.run(running.client.call(method, path, headers=headers, body=body, query=query))

    @rule(op=chats("alpha", "beta"))
    def alpha_chats(self, op: Op) -> None:
        self._do("shared", op)

    @rule(op=operations("alpha", "beta"))
    def alpha_acts(self, op: Op) -> None:
        self._do("shared", op)

    @rule(op=chats("beta", "alpha"))
    def beta_chats(self, op: Op) -> None:
        self._compare(op)

    @rule(op=operations("beta", "alpha"))
    def beta_acts(self, op: Op) -> None:
        self._compare(op)

    def _compare(self, op: Op) -> None:
        alone, shared = (normalised(self._do(world, op)) for world in ("alone", "shared"))
        assert alone == shared, op

    def teardown(self) -> None:
        try:
            for running in self.worlds.values():
                running.run(running.client.platform.trail.flush())
            assert records(self.dirs["alone"], "beta") == records(self.dirs["shared"], "beta")
        finally:
            self.stack.close()


def test_noninterference() -> None:
    machine_settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
    run_state_machine_as_test(NonInterference, settings=machine_settings)


def test_the_machine_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one breaker for all tenants, as is usual elsewhere, alpha's failure reaches beta and is found."""
    per_tenant = Breakers.of
    monkeypatch.setattr(Breakers, "of", lambda self, _tenant, target: per_tenant(self, TenantId("any"), target))
    path = "/v1/chat/completions"
    machine = NonInterference()
    with machine.stack:
        machine.alpha_chats(op=("POST", path, headers_of("alpha"), _chat("shared", "FAIL"), ""))
        with pytest.raises(AssertionError):
            machine.beta_chats(op=("POST", path, headers_of("beta"), _chat("shared", "hello"), ""))
