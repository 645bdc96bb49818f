"""A real llama.cpp server below a real gateway: whose prefix is found in the cache (LESSONS C1, C8, C14, C21).

Each claim has its control: the channel is shown open where nothing closes it, and the tenant's own hits are shown to be
there where the neighbour's are not. The witness is the server's own count, passed on.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.documents import base_document, headers_of, write_document
from tests.support.engines.llama import Llama
from tests.support.inprocess import Client, Session, gateway, session


def words(seed: str, count: int = 24) -> str:
    """A text that shares no beginning with another seed's."""
    draw = random.Random(seed)
    return seed + " " + " ".join(draw.choice(("sea", "hill", "bird", "stone", "rain", "tree")) for _ in range(count))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    """Started as docs/operations.md says: two slots to lend, one for everybody, no cache in host memory."""
    server = Llama(tmp_path_factory.mktemp("llama"), slots=3)
    yield server
    server.child.kill()


def document(url: str, **target: Any) -> dict[str, Any]:
    """One target for both tenants."""
    made = base_document()
    shared = {"id": "shared", "provider": "llama.cpp", "base_url": url, "model": "smol", **target}
    made["providers"]["targets"] = [shared]
    for group in made["consumer_groups"]["groups"]:
        group["upstream"] = "shared"
    return made


def chat(system: str, user: str = "Go on.", **more: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    return {"model": "smol", "messages": messages, "max_tokens": 1, "temperature": 0, **more}


class Witness:
    """How many tokens of each prompt the server worked on, from its own account of each answer."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def cached(self, tenant: str, body: dict[str, Any], path: str = "/v1/chat/completions") -> int:
        reply = self.session.post(path, headers_of(tenant), body)
        assert reply.status == 200, reply.body
        return told_cached(reply.json)


def told_cached(answer: dict[str, Any]) -> int:
    usage = answer["usage"]
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    return int(details["cached_tokens"])


@pytest.fixture(scope="module")
def with_slots(llama: Llama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    place = tmp_path_factory.mktemp("gateway")
    made = document(llama.url, slots=[0, 1, 2], cache_usage="pass")
    with session(write_document(place / "d.yaml", made), place / "data") as opened:
        yield Witness(opened)


def test_called_bare_one_tenants_prefix_is_anothers_hit(llama: Llama) -> None:
    """The channel, open: counted and timed."""
    prefix = words("bare")
    first = llama.chat(prefix, "A asks.")
    second = llama.chat(prefix, "B asks.")
    assert first.cached < 8
    assert second.cached > 20
    assert second.prompt_ms < first.prompt_ms / 2


def test_without_slots_nothing_is_reused_for_anybody(llama: Llama, tmp_path: Path) -> None:
    made = document(llama.url, cache_usage="pass")
    with session(write_document(tmp_path / "d.yaml", made), tmp_path / "data") as opened:
        witness = Witness(opened)
        body = chat(words("closed"))
        assert [witness.cached(tenant, body) for tenant in ("alpha", "beta", "alpha")] == [0, 0, 0]


def test_with_slots_a_tenant_finds_its_own_prefix_and_no_other_tenant_does(with_slots: Witness) -> None:
    body = chat(words("lent"))
    alphas = [with_slots.cached("alpha", body) for _ in range(2)]
    betas = [with_slots.cached("beta", body) for _ in range(2)]
    assert alphas[0] < 8
    assert betas[0] < 8, "beta sent what alpha had sent, and found it"
    assert min(alphas[1], betas[1]) > 24
    assert with_slots.cached("alpha", body) > 24, "beta's work has cost alpha its place"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": words("completions")}),
        ("/v1/responses", {"instructions": words("responses"), "input": "Go on."}),
    ],
    ids=["completions", "responses"],
)
def test_slots_hold_on_the_other_apis_too(with_slots: Witness, path: str, body: dict[str, Any]) -> None:
    ask = {"model": "smol", "max_tokens": 1, "max_output_tokens": 1, **body}
    ask.pop("max_tokens" if path == "/v1/responses" else "max_output_tokens")
    assert with_slots.cached("alpha", ask, path) < 8
    assert with_slots.cached("beta", ask, path) < 8
    assert with_slots.cached("alpha", ask, path) > 20


def test_a_client_that_names_a_slot_or_its_reuse_is_not_heard(with_slots: Witness) -> None:
    body = chat(words("named"))
    assert with_slots.cached("alpha", body) < 8
    for planted in (
        {"id_slot": 0, "cache_prompt": True},
        {"ID-Slot": 0, "cachePrompt": True, "extra_body": {"id_slot": 0}},
    ):
        assert with_slots.cached("beta", body | planted) < 8
        with_slots.cached("beta", chat(words("else")))


def test_several_choices_are_refused(with_slots: Witness) -> None:
    """Bare, the second answer is worked out in a slot of another's."""
    reply = with_slots.session.post("/v1/chat/completions", headers_of("alpha"), chat("x", n=2))
    assert (reply.status, reply.code) == (400, "invalid_request")


def test_a_server_with_a_cache_in_host_memory_is_found_out(tmp_path: Path) -> None:
    """The default. Pinned slots leak through it: alpha's prompt comes back in beta's slot (C21)."""
    server = Llama(tmp_path, slots=3, cache_ram_mib=64)
    try:
        prefix = words("restored")
        server.chat(words("filling"), "B asks.", id_slot=1, cache_prompt=True)
        server.chat(prefix, "A asks.", id_slot=0, cache_prompt=True)
        server.chat(words("evicting"), "A asks.", id_slot=0, cache_prompt=True)
        assert server.chat(prefix, "B asks.", id_slot=1, cache_prompt=True).cached > 20, (
            "the channel is closed below us"
        )
        made = document(server.url, slots=[0, 1, 2], cache_usage="pass")
        with session(write_document(tmp_path / "d.yaml", made), tmp_path / "data") as opened:
            witness = Witness(opened)
            body = chat(words("found-out"))
            assert [witness.cached(tenant, body) for tenant in ("alpha", "alpha", "beta")] == [0, 0, 0]
    finally:
        server.child.kill()


def test_slots_that_the_server_has_not_are_found_out(llama: Llama, tmp_path: Path) -> None:
    """llama.cpp counts on from the first: slot 4 of three is slot 1, which may be another's."""
    made = document(llama.url, slots=[1, 4, 2], cache_usage="pass")
    with session(write_document(tmp_path / "d.yaml", made), tmp_path / "data") as opened:
        witness = Witness(opened)
        body = chat(words("wrapped"))
        assert [witness.cached(tenant, body) for tenant in ("alpha", "alpha", "beta")] == [0, 0, 0]


def test_many_at_once_with_aborts_never_find_more_than_their_own(llama: Llama, tmp_path: Path) -> None:
    """Two tenants at the same time, one round of two hung up on; then each tries what the other has sent."""
    made = document(llama.url, slots=[0, 1, 2], cache_usage="pass")

    async def ask(client: Client, tenant: str, body: dict[str, Any], *, hangs_up: bool) -> int:
        call = client.post("/v1/chat/completions", headers_of(tenant), body)
        if hangs_up:
            try:
                await asyncio.wait_for(call, 0.05)
            except TimeoutError:
                return 0
            return 0
        reply = await call
        assert reply.status == 200
        return told_cached(reply.json)

    async def twice(client: Client, tenant: str, number: int) -> int:
        body = chat(words(f"{tenant}{number}"))
        await ask(client, tenant, body, hangs_up=number == 1)
        return await ask(client, tenant, body, hangs_up=False)

    async def work() -> None:
        async with gateway(write_document(tmp_path / "d.yaml", made), tmp_path / "data") as client:
            own: list[int] = []
            foreign: list[int] = []
            for number in range(2):
                own += await asyncio.gather(twice(client, "alpha", number), twice(client, "beta", number))
                foreign += await asyncio.gather(
                    ask(client, "beta", chat(words(f"alpha{number}")), hangs_up=False),
                    ask(client, "alpha", chat(words(f"beta{number}")), hangs_up=False),
                )
            assert max(own) > 20, own
            assert max(foreign) < 8, foreign

    asyncio.run(work())


def test_by_default_answers_and_streams_tell_nothing_of_the_cache(llama: Llama, tmp_path: Path) -> None:
    made = document(llama.url, slots=[0, 1, 2])
    with session(write_document(tmp_path / "d.yaml", made), tmp_path / "data") as opened:
        body = chat(words("stripped"))
        for more in ({}, {"stream": True, "stream_options": {"include_usage": True}, "return_progress": True}):
            told = [opened.post("/v1/chat/completions", headers_of("alpha"), body | more) for _ in range(2)]
            for reply in told:
                assert reply.status == 200
                assert b"prompt_tokens" in reply.body
                assert not re.search(rb"cache|timings|prompt_ms|prompt_n|progress", reply.body), reply.body
            figures = [re.search(rb'"usage":\{[^}]*\}', reply.body) for reply in told]
            assert figures[0] is not None
            assert figures[1] is not None
            assert orjson.loads(figures[0][0][8:]) == orjson.loads(figures[1][0][8:])
