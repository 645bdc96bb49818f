"""Two tenants behind a gateway that scans, and an upstream that says what a test wants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from tests.support.documents import both_vendors, headers_of, write_document
from tests.support.inprocess import Reply, Session, session
from tests.support.transcripts import PATHS
from tests.support.upstream import Upstream, upstream

__all__ = ["APIS", "CARD", "EMAIL", "TEXT", "Scene", "ask", "body", "events", "said", "scene"]

APIS = ("chat", "completions", "responses", "messages")
EMAIL = "jane.doe@example.com"
CARD = "4111 1111 1111 1111"
TEXT = f"Write to {EMAIL} now; the card is {CARD}, ta."
Scene = tuple[Session, Upstream]


@contextmanager
def scene(folder: Path, **policy: Any) -> Iterator[Scene]:
    """`policy.pii-detector` as given; alpha's and beta's chain names it."""
    with upstream() as server:
        document = both_vendors(server.url)
        document["policies"]["chain"].append("pii-detector")
        document["policy"]["pii-detector"] = policy
        document["policy"].pop("rbac")
        document["policies"]["chain"].remove("rbac")
        with session(write_document(folder / "partywall.yaml", document), folder / "data") as opened:
            yield opened, server


def body(api: str, text: object = "hello", *, tenant: str = "alpha", **fields: Any) -> dict[str, Any]:
    """A request of the API that says `text`."""
    asked: dict[str, Any] = {"model": f"{tenant}-claude" if api == "messages" else f"{tenant}-model"}
    if api in ("chat", "messages"):
        asked["messages"] = [{"role": "user", "content": text}]
    else:
        asked["prompt" if api == "completions" else "input"] = text
    return asked | ({"max_tokens": 5} if api == "messages" else {}) | fields


def ask(opened: Session, api: str, text: object = "hello", *, tenant: str = "alpha", **fields: Any) -> Reply:
    return opened.post(PATHS[api], headers_of(tenant), body(api, text, tenant=tenant, **fields))


def events(reply: Reply) -> list[dict[str, Any]]:
    """The data of a stream's events."""
    data = [line[6:] for line in reply.body.split(b"\n") if line.startswith(b"data: ")]
    return [orjson.loads(each) for each in data if each != b"[DONE]"]


def said(api: str, made: list[dict[str, Any]]) -> str:
    """The text that a client puts together from a stream's events."""
    if api in ("chat", "completions"):
        choices = [choice for event in made for choice in event.get("choices", [])]
        return "".join((c.get("delta", {}).get("content") or "") + (c.get("text") or "") for c in choices)
    if api == "messages":
        return "".join(e["delta"].get("text", "") for e in made if e["type"] == "content_block_delta")
    return "".join(e["delta"] for e in made if e["type"] == "response.output_text.delta")
