"""Files through OpenAI's own client, and uploads of those who don't mean well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.documents import base_document, headers_of, merged, write_document
from tests.support.inprocess import Reply, Session, session
from tests.support.official import gpt
from tests.support.process import Served, serve

from partywall.errors import BadRequest
from partywall.gateway.faces.uploads import read_upload

LIMIT = 64 * 1024


def document() -> dict[str, Any]:
    made = merged(base_document(), encryption={})
    made["server"]["max_upload_bytes"] = LIMIT
    return made


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("files")
    with serve(write_document(folder / "partywall.yaml", document()), folder / "data") as running:
        yield running


@pytest.fixture(scope="module")
def alive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("files")
    with session(write_document(folder / "partywall.yaml", document()), folder / "data") as running:
        yield running


def test_a_file_from_beginning_to_end(served: Served) -> None:
    data = bytes(range(256)) * 10 + b"\r\n--not-a-boundary\r\n"
    with gpt(served) as client:
        made = client.files.create(file=("report.bin", data), purpose="assistants")
        assert made.id.startswith("file_")
        assert (made.filename, made.bytes, made.purpose, made.status) == (
            "report.bin",
            len(data),
            "assistants",
            "processed",
        )
        assert client.files.retrieve(made.id) == made
        assert client.files.content(made.id).content == data
        others = [client.files.create(file=(f"{n}.txt", b"x"), purpose="user_data") for n in range(3)]
        assert [file.id for file in client.files.list()] == [file.id for file in [*others[::-1], made]]
        assert [file.id for file in client.files.list(purpose="assistants")] == [made.id]
        assert [file.id for file in client.files.list(order="asc", limit=2)] == [
            file.id for file in [made, *others]
        ]  # the client pages
        gone = client.files.delete(made.id)
        assert (gone.id, gone.deleted) == (made.id, True)
        for attempt in (client.files.retrieve, client.files.content, client.files.delete):
            with pytest.raises(openai.NotFoundError):
                attempt(made.id)


def test_a_tenant_lists_its_own_files_alone(served: Served) -> None:
    with gpt(served, "alpha") as alpha, gpt(served, "beta") as beta:
        theirs = beta.files.create(file=("b.txt", b"beta's"), purpose="assistants")
        assert theirs.id not in [file.id for file in alpha.files.list()]
        for attempt in (alpha.files.retrieve, alpha.files.content, alpha.files.delete):
            with pytest.raises(openai.NotFoundError):
                attempt(theirs.id)
        assert beta.files.content(theirs.id).content == b"beta's"


def test_content_is_never_a_page_for_a_browser(alive: Session) -> None:
    made = upload(alive, form(file=("a.html", b"<script>alert(1)</script>"), purpose="assistants")).json
    reply = alive.get(f"/v1/files/{made['id']}/content", headers_of("alpha"))
    assert reply.body == b"<script>alert(1)</script>"
    assert reply.header("content-type") == "application/octet-stream"
    assert reply.header("x-content-type-options") == "nosniff"
    assert reply.header("cache-control") == "private, no-store"


# -- Uploads ---


def part(name: str, data: bytes, file: str | None = None, extra: str = "") -> bytes:
    says = f'content-disposition: form-data; name="{name}"'
    if file is not None:
        says += f'; filename="{file}"'
    return f"--b\r\n{says}\r\n{extra}\r\n".encode() + data + b"\r\n"


def form(file: tuple[str, bytes] | None = ("a.txt", b"x"), **fields: str) -> bytes:
    parts = [part(name, value.encode()) for name, value in fields.items()]
    if file is not None:
        parts.append(part("file", file[1], file[0]))
    return b"".join(parts) + b"--b--\r\n"


def upload(running: Session, raw: bytes, content_type: str = "multipart/form-data; boundary=b") -> Reply:
    headers = headers_of("alpha") | {"content-type": content_type}
    return running.run(running.client.call("POST", "/v1/files", headers=headers, body=raw))


NAMES = {
    "../../etc/passwd": "passwd",
    "C:\\\\windows\\\\system32\\\\x.dll": "x.dll",
    "a\x00b\x07.txt": None,
    "..": "unnamed",
    "": "unnamed",
    "/": "unnamed",
    "\u202egnp.exe": "_gnp.exe",
    "x" * 1000: "x" * 200,
    "r\u00e9sum\u00e9 \U0001f9f1.pdf": "r\u00e9sum\u00e9 \U0001f9f1.pdf",
}


@pytest.mark.parametrize("number", range(len(NAMES)))
def test_a_name_is_one_plain_line(alive: Session, number: int) -> None:
    sent, kept = list(NAMES.items())[number]
    reply = upload(alive, form(file=(sent, b"x"), purpose="assistants"))
    if kept is None:
        assert reply.status in (200, 400)
        assert reply.status == 400 or reply.json["filename"].isprintable()
    else:
        assert reply.json["filename"] == kept


BAD = {
    "no form": (b"hello", "text/plain"),
    "json": (b"{}", "application/json"),
    "no boundary": (form(purpose="assistants"), "multipart/form-data"),
    "another boundary": (form(purpose="assistants"), "multipart/form-data; boundary=c"),
    "no end": (form(purpose="assistants")[:-8], "multipart/form-data; boundary=b"),
    "no file": (form(file=None, purpose="assistants"), "multipart/form-data; boundary=b"),
    "no purpose": (form(), "multipart/form-data; boundary=b"),
    "empty purpose": (form(purpose=""), "multipart/form-data; boundary=b"),
    "two purposes": (part("purpose", b"a") + form(purpose="b"), "multipart/form-data; boundary=b"),
    "two files": (part("file", b"a", "a") + form(purpose="b"), "multipart/form-data; boundary=b"),
    "a file under another name": (part("data", b"a", "a") + form(purpose="b"), "multipart/form-data; boundary=b"),
    "no name": (b"--b\r\ncontent-type: x\r\n\r\nx\r\n" + form(purpose="b"), "multipart/form-data; boundary=b"),
    "an encoded part": (
        part("x", b"eA==", extra="content-transfer-encoding: base64\r\n") + form(purpose="b"),
        "multipart/form-data; boundary=b",
    ),
    "expiry": (part("expires_after[seconds]", b"60") + form(purpose="b"), "multipart/form-data; boundary=b"),
    "an empty file": (form(file=("a", b""), purpose="b"), "multipart/form-data; boundary=b"),
    "too many parts": (
        b"".join(part(str(n), b"x") for n in range(20)) + form(purpose="b"),
        "multipart/form-data; boundary=b",
    ),
    "a long field": (form(purpose="b" * 10_000), "multipart/form-data; boundary=b"),
    "no text": (part("purpose", b"\xff\xfe") + form(), "multipart/form-data; boundary=b"),
    "nothing": (b"", "multipart/form-data; boundary=b"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_form_that_is_none_is_refused(alive: Session, case: str) -> None:
    raw, content_type = BAD[case]
    reply = upload(alive, raw, content_type)
    assert (reply.status, reply.code) == (400, "invalid_request")


def test_an_upload_has_a_bound(alive: Session) -> None:
    assert upload(alive, form(file=("a", b"x" * (LIMIT - 400)), purpose="assistants")).status == 200
    reply = upload(alive, form(file=("a", b"x" * LIMIT), purpose="assistants"))
    assert (reply.status, reply.code) == (413, "payload_too_large")


def test_a_form_that_names_another_tenant_is_refused(alive: Session) -> None:
    reply = upload(alive, form(purpose="assistants", tenant="beta"))
    assert (reply.status, reply.code) == (403, "tenant_mismatch")
    assert upload(alive, form(purpose="assistants", tenant="alpha")).status == 200


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=300) | st.builds(lambda *parts: b"".join(parts), st.binary(max_size=20), st.just(form())))
def test_whatever_is_sent_is_a_form_or_refused(raw: bytes) -> None:
    try:
        assert read_upload(raw, b"multipart/form-data; boundary=b").data == b"x"
    except BadRequest:
        return


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=2000).filter(lambda each: b"\r\n--b" not in each))
def test_what_was_sent_is_what_is_read(data: bytes) -> None:
    assert read_upload(form(file=("a", data), purpose="p"), b"multipart/form-data; boundary=b").data == data
