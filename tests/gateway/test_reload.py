"""A new document takes over at once or not at all, and nobody's request is cut in two by it.

A gateway of its own process is told by SIGHUP, or notices by itself. What `/admin/v1/config` shows is what serves.
"""

from __future__ import annotations

import asyncio
import copy
import signal
import threading
import time
from asyncio import StreamWriter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.documents import KEYS, OPERATOR_KEY, UPSTREAM_SECRETS, base_document, key_hash, write_document
from tests.support.inprocess import Reply
from tests.support.process import Served, serve
from tests.support.raw import RawConnection, chat_body, head, request
from tests.support.records import recorded, until
from tests.support.transcripts import chat_call, chat_text
from tests.support.upstream import Received, Upstream, upstream

PLANTED = "sk-planted-0123456789abcdef0123"


@dataclass
class Running:
    """A gateway whose document can be replaced."""

    served: Served
    path: Path
    original: dict[str, Any]

    def ask(self, tenant: str = "alpha", model: str | None = None, key: str | None = None) -> Reply:
        data = request(tenant, chat_body(tenant) if model is None else chat_body(tenant, model=model))
        if key is not None:
            data = data.replace(KEYS[tenant].encode(), key.encode())
        with RawConnection(self.served.url) as connection:
            connection.send(data)
            return connection.answer()

    def config(self, key: str = OPERATOR_KEY) -> Reply:
        with RawConnection(self.served.url) as connection:
            connection.send(head(None, f"authorization: Bearer {key}", method="GET", path="/admin/v1/config"))
            return connection.answer()

    def changed(self) -> dict[str, Any]:
        """A copy of the original to change."""
        return copy.deepcopy(self.original)

    def replace(self, document: dict[str, Any] | bytes, *, tell: bool = True) -> None:
        """Put `document` in the place of the one before, as an editor does; SIGHUP when it shall be told."""
        aside = self.path.with_suffix(".new")
        if isinstance(document, bytes):
            aside.write_bytes(document)
        else:
            write_document(aside, document)
        aside.replace(self.path)
        if tell:
            self.served.process.send_signal(signal.SIGHUP)

    def until_served(self, document: dict[str, Any], seconds: float = 2.0) -> None:
        """Serve `document`, and wait until it does."""
        before = self.config().json["sha256"]
        self.replace(document)
        until(lambda: self.config().json["sha256"] != before, seconds)


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with upstream() as running:
        yield running


@pytest.fixture(scope="module")
def started(server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("reload")
    original = base_document(base_url=server.url)
    path = write_document(folder / "partywall.yaml", original)
    with serve(path, folder / "data") as served:
        yield Running(served, path, original)


@pytest.fixture
def running(started: Running, server: Upstream) -> Iterator[Running]:
    """The gateway with its original document, before and after."""
    server.behave = None
    yield started
    server.behave = None
    if started.config().json["reload_error"] is not None or started.ask("alpha").status != 200:
        started.replace(started.original)
        until(lambda: started.config().json["reload_error"] is None and started.ask("alpha").status == 200)


# -- A good one ------------------------------------------------------------------------------------------------------


def test_sighup_swaps_the_document(running: Running) -> None:
    document = running.changed()
    document["providers"]["targets"][0]["model"] = "newer-model"
    assert (running.ask(model="alpha-model").status, running.ask(model="newer-model").status) == (200, 403)
    running.until_served(document)
    assert (running.ask(model="alpha-model").status, running.ask(model="newer-model").status) == (403, 200)
    shown = running.config().json
    assert shown["document"]["providers"]["targets"][0]["model"] == "newer-model"
    assert shown["reload_error"] is None
    assert running.ask("beta").status == 200
    running.until_served(running.original)


def test_a_changed_file_is_noticed(running: Running) -> None:
    document = running.changed()
    document["providers"]["targets"][0]["model"] = "noticed-model"
    running.replace(document, tell=False)
    until(lambda: running.ask(model="noticed-model").status == 200, 6.0)
    running.until_served(running.original)


def test_a_removed_key_stops_working(running: Running) -> None:
    document = running.changed()
    document["consumer_groups"]["groups"][0]["api_keys"] = [key_hash("pw-the-new-key-of-alpha")]
    assert running.ask().status == 200
    running.replace(document)
    told = time.monotonic()
    until(lambda: running.ask().status == 401, 2.0)
    assert time.monotonic() - told < 2.0
    assert running.ask().code == "invalid_credential"
    assert running.ask(key="pw-the-new-key-of-alpha").status == 200
    assert running.ask("beta").status == 200


def test_a_removed_operator_s_key_stops_working(running: Running) -> None:
    document = running.changed()
    document["server"]["admin"]["api_keys"] = [key_hash("pw-the-new-operator")]
    running.replace(document)
    until(lambda: running.config().status == 401, 2.0)
    assert running.config("pw-the-new-operator").status == 200
    running.replace(running.original)
    until(lambda: running.config().status == 200, 2.0)


# -- A bad one -------------------------------------------------------------------------------------------------------


def without(document: dict[str, Any], section: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != section}


GOOD = base_document(base_url="http://127.0.0.1:9/v1")
BAD: dict[str, dict[str, Any] | bytes] = {
    "empty": b"",
    "no mapping": b"- a\n- b\n",
    "no YAML": b"{ unfinished",
    "a duplicate key": b"pack: {name: a}\npack: {name: b}\n",
    "an unknown section": GOOD | {"pollicies": {}},
    "a tab": b"pack:\n\tname: a\n",
    "Latin-1": b"pack: {name: caf\xe9}\n",
    "NUL": b"pack: {name: a}\n\x00",
    "binary": bytes(range(256)) * 4,
    "an alias bomb": b"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n",
    "deep nesting": b"a: " + b"[" * 5000 + b"]" * 5000,
    "a Python object": b"pack: !!python/object/apply:os.system ['true']\n",
    "nobody can come in": without(GOOD, "consumer_groups"),
    "an upstream that isn't there": without(GOOD, "providers"),
    "switched off": GOOD | {"pack": {"name": "test", "version": "1.0.0", "enabled": False}},
    "what isn't built yet": GOOD | {"encryption": {"key_strategy": "per_tenant"}},
    "isolation off": GOOD | {"multi_tenant": {"isolation_model": "none"}},
    "a target without an address": GOOD
    | {"providers": {"targets": [{"id": n, "provider": "vllm", "model": n} for n in ("alpha-target", "beta-target")]}},
    "a target with a password in its address": GOOD
    | {
        "providers": {
            "targets": [
                {"id": name, "provider": "vllm", "base_url": f"https://user:{PLANTED}@example.com/v1"}
                for name in ("alpha-target", "beta-target")
            ]
        }
    },
    "a secret in the wrong place": GOOD | {"pack": {"name": "test", "version": "1.0.0", "api_key": PLANTED}},
    "keys of two tenants": GOOD
    | {
        "consumer_groups": {
            "groups": [
                {"name": tenant, "api_keys": [key_hash(KEYS["alpha"])], "upstream": f"{tenant}-target"}
                for tenant in ("alpha", "beta")
            ]
        }
    },
}


def test_what_the_bad_ones_are_made_of_is_good(running: Running) -> None:
    """The control: each of them is refused for what it is named after."""
    running.until_served(GOOD)
    assert running.config().json["reload_error"] is None
    running.until_served(running.original)


@pytest.mark.parametrize("what", BAD)
def test_a_bad_document_keeps_the_old_one(running: Running, what: str) -> None:
    before = running.config().json
    assert before["reload_error"] is None
    running.replace(BAD[what])
    shown = until(lambda: (found := running.config()).json["reload_error"] and found, 3.0)
    assert shown.json["sha256"] == before["sha256"]
    assert shown.json["document"] == before["document"]
    assert PLANTED.encode() not in shown.body
    assert PLANTED not in running.served.log.read_text()
    for tenant in KEYS:
        assert running.ask(tenant).status == 200
    running.replace(running.original)  # and the watch goes on
    until(lambda: running.config().json["reload_error"] is None, 3.0)


def test_a_document_that_vanishes_keeps_serving(running: Running) -> None:
    before = running.config().json["sha256"]
    running.path.unlink()
    running.served.process.send_signal(signal.SIGHUP)
    shown = until(lambda: (found := running.config().json)["reload_error"] and found, 3.0)
    assert shown["sha256"] == before
    assert running.ask().status == 200
    running.replace(running.original)
    until(lambda: running.config().json["reload_error"] is None, 3.0)


def test_a_document_that_can_t_be_read(running: Running) -> None:
    """A folder in its place: as good as unreadable, for root as well."""
    running.path.unlink()
    running.path.mkdir()
    running.served.process.send_signal(signal.SIGHUP)
    until(lambda: running.config().json["reload_error"], 3.0)
    assert running.ask().status == 200
    running.path.rmdir()
    running.replace(running.original)
    until(lambda: running.config().json["reload_error"] is None, 3.0)


# -- What operators are shown ------------------------------------------------------------------------------------------


def test_no_secret_is_shown(running: Running) -> None:
    document = running.changed()
    document["consumer_groups"]["groups"][0]["api_key"] = "pw-a-key-in-clear-text-0123"
    document["providers"]["targets"][0]["secret_key_ref"] = {"env": "NAME_OF_A_VARIABLE"}
    del document["providers"]["targets"][0]["api_key"]
    running.until_served(document)
    shown = running.config()
    assert shown.json["document"]["providers"]["targets"][0]["secret_key_ref"] == {"env": "NAME_OF_A_VARIABLE"}
    hidden = [*UPSTREAM_SECRETS.values(), *KEYS.values(), OPERATOR_KEY, "pw-a-key-in-clear-text-0123"]
    hidden += [key_hash(key) for key in hidden]
    for secret in [*hidden, *(digest.removeprefix("sha256:") for digest in hidden if digest.startswith("sha256:"))]:
        assert secret.encode() not in shown.body
    groups = shown.json["document"]["consumer_groups"]["groups"]
    assert groups[1]["api_keys"][0].startswith(key_hash(KEYS["beta"])[:15])  # enough to know it again
    running.until_served(running.original)


# -- Requests under way ------------------------------------------------------------------------------------------------


@dataclass
class Gate:
    """An upstream that sends the first part of a stream, and the rest when it is opened."""

    first: list[bytes]
    rest: list[bytes]
    opened: threading.Event

    async def __call__(self, received: Received, writer: StreamWriter) -> bool:
        if not received.json.get("stream"):
            return False
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in self.first))
        await writer.drain()
        await asyncio.to_thread(self.opened.wait, 10)
        writer.write(b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in self.rest) + b"0\r\n\r\n")
        await writer.drain()
        return True


def test_a_request_under_way_ends_under_the_document_it_began_with(running: Running, server: Upstream) -> None:
    """The new document knows neither its key nor its target nor its tool; new requests hear so, the old one ends."""
    events = [chat_text("begun")[1], *chat_call("search", '{"a":1}')]
    server.behave = Gate(events[:1], events[1:], threading.Event())
    document = running.changed()
    document["consumer_groups"]["groups"][0] |= {"api_keys": [key_hash("pw-another-key")], "upstream": "later-target"}
    document["providers"]["targets"][0] |= {"id": "later-target", "base_url": "http://127.0.0.1:9/v1"}
    document["policy"]["rbac"]["roles"] = {"analyst": {"allowed_tools": []}}
    since = time.time()
    with RawConnection(running.served.url) as connection:
        connection.send(request("alpha", chat_body("alpha", stream=True)))
        connection.head()
        assert b"begun" in connection.chunk()
        running.until_served(document)
        assert running.ask().status == 401
        server.behave.opened.set()
        rest = b"".join(iter(connection.chunk, b""))
    assert b'"arguments"' in rest
    assert b"tool_denied" not in rest
    assert rest.endswith(b"data: [DONE]\n\n")
    record = until(lambda: [r for r in recorded(running.served.data_dir, "alpha", since=since) if r.outcome])[0]
    assert (record.outcome, record.upstream) == ("completed", "alpha-target")


def test_many_reloads_under_load_lose_no_request(running: Running) -> None:
    """Requests go on while documents change; every one is answered by one of the two."""
    other = running.changed()
    other["server"]["name"] = "renamed"
    stop, statuses = threading.Event(), []

    def load() -> None:
        while not stop.is_set():
            statuses.append(running.ask("beta").status)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for number in range(10):
            running.until_served(running.original if number % 2 else other)
    finally:
        stop.set()
        thread.join()
    assert set(statuses) == {200}
    assert len(statuses) > 10
