"""What beta stores, finds and is told of it is the same whether or not alpha exists: through HTTP.

One gateway serves beta alone, another serves both. Beta's answers and records are byte-identical in both, once ids that
the server made and clock values are taken out; the marks around passages come from a sequence of each tenant's, because
a streamed answer may cut one anywhere. Beta also tries alpha's ids, which in the world without alpha are nobody's.
`test_the_machine_can_fail` plants a quota that tenants share and sees it found.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from tests.support.documents import base_document, headers_of, merged, write_document
from tests.support.inprocess import Reply, session

from partywall.errors import QuotaExceeded
from partywall.stores import Files
from partywall.tenancy import TenantId
from partywall.trail import TrailReader
from partywall.trail.export import to_json

_MADE = re.compile(rb"(conv|msg|fc|fco|fs|item|resp|file|vs|dec)_[0-9a-f]{32}")
_CLOCK = re.compile(rb'"(created|created_at|last_active_at)":\s*[\d.]+')
_VOLATILE = ("id", "time", "latency_ms", "path")
KINDS = ("conv", "msg", "resp", "file", "vs")

Pick = Callable[[str], str]
"""An id of that kind."""
Op = tuple[str, str, Any, str]
FORM = {"content-type": "multipart/form-data; boundary=b"}


def form(text: str) -> bytes:
    says = b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nassistants\r\n--b\r\n'
    says += b'content-disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    return says + text.encode() + b"\r\n--b--\r\n"


def operation(number: int, word: str, pick: Pick) -> Op:
    """One of the things that a tenant does; `pick` chooses the ids."""
    item = {"role": "user", "content": word}
    model = {"model": "beta-model"}
    search = [{"type": "file_search", "vector_store_ids": [pick("vs")]}]
    conv, items = f"/v1/conversations/{pick('conv')}", f"/v1/conversations/{pick('conv')}/items"
    files, stores = f"/v1/files/{pick('file')}", f"/v1/vector_stores/{pick('vs')}"
    message = {"messages": [item], "conversation": pick("conv")}
    operations: list[Op] = [
        ("POST", "/v1/conversations", {"items": [item], "metadata": {"word": word}}, ""),
        ("GET", conv, b"", ""),
        ("POST", conv, {"metadata": {"word": word}}, ""),
        ("DELETE", conv, b"", ""),
        ("POST", items, {"items": [item, item]}, ""),
        ("GET", items, b"", "limit=2"),
        ("GET", items, b"", f"order=asc&after={pick('msg')}"),
        ("GET", f"{items}/{pick('msg')}", b"", ""),
        ("DELETE", f"{items}/{pick('msg')}", b"", ""),
        ("POST", "/v1/responses", model | {"input": word, "conversation": pick("conv")}, ""),
        ("POST", "/v1/responses", model | {"input": word, "previous_response_id": pick("resp"), "stream": True}, ""),
        ("POST", "/v1/responses", model | {"input": word, "tools": search}, ""),
        ("POST", "/v1/chat/completions", model | message, ""),
        ("GET", f"/v1/responses/{pick('resp')}", b"", ""),
        ("GET", f"/v1/responses/{pick('resp')}/input_items", b"", ""),
        ("DELETE", f"/v1/responses/{pick('resp')}", b"", ""),
        ("POST", "/v1/files", form(word * 20), ""),
        ("GET", "/v1/files", b"", "limit=2"),
        ("GET", files, b"", ""),
        ("GET", f"{files}/content", b"", ""),
        ("DELETE", files, b"", ""),
        ("POST", "/v1/vector_stores", {"name": word, "file_ids": [pick("file")]}, ""),
        ("GET", "/v1/vector_stores", b"", "limit=2"),
        ("DELETE", stores, b"", ""),
        ("POST", f"{stores}/files", {"file_id": pick("file")}, ""),
        ("GET", f"{stores}/files", b"", "limit=2"),
        ("DELETE", f"{stores}/files/{pick('file')}", b"", ""),
        ("POST", f"{stores}/search", {"query": word}, ""),
    ]
    return operations[number % len(operations)]


numbers = st.integers(0, 27)
words = st.sampled_from(["apples", "brakes", "refunds"])
places = st.integers(0, 5)


class StoredNonInterference(RuleBasedStateMachine):
    """Beta in two worlds: with alpha, and without."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        root = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        document = write_document(root / "partywall.yaml", merged(base_document(), encryption={}))
        self.dirs = {world: root / world for world in ("alone", "shared")}
        for folder in self.dirs.values():  # one deployment key, or the salts would differ
            folder.mkdir(mode=0o700)
            (folder / "salt.key").write_bytes(b"k" * 32)
            (folder / "salt.key").chmod(0o600)
        self.worlds = {
            world: self.stack.enter_context(session(document, folder)) for world, folder in self.dirs.items()
        }
        self.marks = Counter[tuple[str, str]]()
        marking = SimpleNamespace(token_hex=self.mark)
        self.stack.enter_context(mock.patch("partywall.gateway.wire.material.secrets", marking))
        self.made: dict[tuple[str, str], list[str]] = {}
        """Ids that were seen in a world by a tenant, in their order."""

    def mark(self, size: int) -> str:
        self.marks[self.acting] += 1
        return f"{self.marks[self.acting]:0{2 * size}x}"

    def _pick(self, world: str, whose: str, place: int) -> Pick:
        def pick(kind: str) -> str:
            known = [each for each in self.made.get((world, whose), []) if each.startswith(f"{kind}_")]
            return known[place % len(known)] if known else f"{kind}_{'0' * 32}"

        return pick

    def do(self, world: str, tenant: str, op: Op) -> Reply:
        method, path, body, query = op
        if isinstance(body, dict) and "model" in body:
            body = body | {"model": f"{tenant}-model"}
        headers = headers_of(tenant) | (FORM if path == "/v1/files" and method == "POST" else {})
        running = self.worlds[world]
        self.acting = (world, tenant)
        reply = running.run(running.client.call(method, path, headers=headers, body=body, query=query))
        seen = self.made.setdefault((world, tenant), [])
        seen += [made for match in _MADE.finditer(reply.body) if (made := match[0].decode()) not in seen]
        return reply

    @rule(number=numbers, word=words, place=places)
    def alpha_acts(self, number: int, word: str, place: int) -> None:
        self.do("shared", "alpha", operation(number, word, self._pick("shared", "alpha", place)))

    @rule(number=numbers, word=words, place=places)
    def beta_acts(self, number: int, word: str, place: int) -> None:
        alone, shared = (
            self.normalised(world, self.do(world, "beta", operation(number, word, self._pick(world, "beta", place))))
            for world in ("alone", "shared")
        )
        assert alone == shared, operation(number, word, str)

    @rule(number=numbers, word=words, place=places)
    def beta_tries_alpha_s(self, number: int, word: str, place: int) -> None:
        """In the world without alpha, the same ids are nobody's."""
        theirs = operation(number, word, self._pick("shared", "alpha", place))
        alone, shared = (self.normalised(world, self.do(world, "beta", theirs)) for world in ("alone", "shared"))
        assert alone == shared, theirs

    def normalised(self, world: str, reply: Reply) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        known = self.made[(world, "beta")]

        def named(match: re.Match[bytes]) -> bytes:
            if match[1] == b"dec":
                return b"<dec>"
            return b"<%b %d>" % (match[1], known.index(match[0].decode()))

        body = _CLOCK.sub(rb'"\1":0', _MADE.sub(named, reply.body))
        headers = [(n, _MADE.sub(b"<dec>", value)) for n, value in reply.headers if n != b"content-length"]
        return reply.status, headers, body

    def records(self, world: str) -> list[dict[str, Any]]:
        self.worlds[world].run(self.worlds[world].client.platform.trail.flush())
        events = TrailReader(self.dirs[world]).of_tenant(TenantId("beta")).events()
        rows = [orjson.loads(to_json(event)) for event in events]
        return [{key: value for key, value in row.items() if key not in _VOLATILE} for row in rows]

    def teardown(self) -> None:
        try:
            assert self.records("alone") == self.records("shared")
        finally:
            self.stack.close()


@pytest.mark.timeout(240)
def test_noninterference() -> None:
    machine_settings = settings(max_examples=8, stateful_step_count=35, deadline=None)
    run_state_machine_as_test(StoredNonInterference, settings=machine_settings)


def test_the_machine_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one quota for all tenants, alpha's files reach beta and are found."""
    create, counts = Files.create, dict[int, int]()

    async def shared_quota(self: Files, *args: Any, **named: Any) -> Any:
        counts[id(self)] = counts.get(id(self), 0) + 1
        if counts[id(self)] > 1:
            raise QuotaExceeded("the disk is full")
        return await create(self, *args, **named)

    monkeypatch.setattr(Files, "create", shared_quota)
    machine = StoredNonInterference()
    with machine.stack:
        machine.alpha_acts(number=16, word="apples", place=0)
        with pytest.raises(AssertionError):
            machine.beta_acts(number=16, word="apples", place=0)
