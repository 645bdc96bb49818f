"""`partywall prompts`: an operator sets what a tenant has models told first, beside a running gateway."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.cli.helpers import Command
from tests.support.documents import base_document, headers_of, merged, write_document
from tests.support.process import serve
from tests.support.records import recorded

ASKING = {
    "encryption": {},
    "multi_tenant": {"conversation_isolation": {"system_prompt": {"per_tenant_config": True}}},
}


@pytest.fixture
def document(tmp_path: Path) -> Path:
    return write_document(tmp_path / "doc.yaml", merged(base_document(), **ASKING))


def said(base: str, tenant: str) -> str:
    body = {"model": f"{tenant}-model", "messages": [{"role": "user", "content": "hello"}]}
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=10)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers_of(tenant))
        text: str = json.load(connection.getresponse())["choices"][0]["message"]["content"]
        return text
    finally:
        connection.close()


def test_a_running_gateway_takes_it_up_for_that_tenant_alone(
    partywall: Command, document: Path, tmp_path: Path
) -> None:
    data, text = tmp_path / "data", tmp_path / "prompt.txt"
    with serve(document, data) as running:
        assert "Latin" not in said(running.url, "alpha")
        text.write_text("Speak Latin.\n", encoding="utf-8")
        where = ("--tenant", "alpha", "--data-dir", data)
        ended = partywall("prompts", "set", document, *where, "--file", text)
        assert (ended.code, ended.err) == (0, ""), ended
        assert ended.out == "version 1 of `alpha`'s system prompt is set, 12 characters\n"
        assert "Speak Latin." in said(running.url, "alpha")
        assert "Latin" not in said(running.url, "beta")
        text.write_text("Speak \x1b[31mGreek.", encoding="utf-8")
        partywall("prompts", "set", document, *where, "--file", text)
        shown = partywall("prompts", "show", document, *where)
        assert "version 2" in shown.out
        assert "Speak \\x1b[31mGreek." in shown.out
        assert [each["text"] for each in partywall("prompts", "show", document, *where, "--format", "json").json] == [
            "Speak \x1b[31mGreek."
        ]
        versions = partywall("prompts", "show", document, *where, "--versions", "--format", "json").json
        assert [each["version"] for each in versions] == [2, 1]
        betas = partywall("prompts", "show", document, "--tenant", "beta", "--data-dir", data)
        assert betas.out == "`beta` has no system prompt\n"
        assert partywall("prompts", "clear", document, *where, "--reason", "over").code == 0
        assert "Speak" not in said(running.url, "alpha")
    acts = [(r.path, r.reason) for r in recorded(data, "alpha") if r.endpoint == "operator"]
    assert [act for act, _ in acts] == [f"prompts {what}" for what in ("set", "set", *["show"] * 3, "clear")]
    assert acts[-1][1] == "over"
    assert [r.path for r in recorded(data, "beta") if r.endpoint == "operator"] == ["prompts show"]
    assert all("Latin" not in repr(each) for each in recorded(data, "alpha"))


def test_what_no_request_will_get_is_told(partywall: Command, tmp_path: Path) -> None:
    document = write_document(tmp_path / "doc.yaml", merged(base_document(), encryption={}))
    (tmp_path / "p.txt").write_text("Speak Latin.")
    options = ("--tenant", "alpha", "--data-dir", tmp_path / "data", "--file", tmp_path / "p.txt")
    ended = partywall("prompts", "set", document, *options)
    assert ended.code == 0
    assert "per_tenant_config" in ended.err


@pytest.mark.parametrize("what", ["nothing in it", "no text", "no keys", "nobody"])
def test_what_can_t_be_done_is_one_line(partywall: Command, document: Path, tmp_path: Path, what: str) -> None:
    text = tmp_path / "p.txt"
    text.write_bytes({"nothing in it": b" \n", "no text": b"\xff\xfe"}.get(what, b"Speak Latin."))
    if what == "no keys":
        document = write_document(tmp_path / "doc.yaml", base_document())
    who = "nobody" if what == "nobody" else "alpha"
    ended = partywall("prompts", "set", document, "--tenant", who, "--data-dir", tmp_path / "data", "--file", text)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
