"""Who may not search documents reaches them by no other door: `file_search` is the tool that all of them stand for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.documents import base_document, headers_of, merged, write_document
from tests.support.inprocess import Session, session

from partywall.gateway.endpoints import ENDPOINTS, Endpoint
from partywall.gateway.wire import Api

OF_DOCUMENTS = [each for each in ENDPOINTS if each.api in (Api.FILES, Api.VECTOR_STORES)]
IDS = {"{file_id}": "file_" + "0" * 32, "{vector_store_id}": "vs_" + "0" * 32}


@pytest.fixture(scope="module")
def alive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    made = merged(base_document(), encryption={})
    made["policy"]["rbac"]["roles"]["reader"] = {"allowed_tools": ["search"]}
    folder = tmp_path_factory.mktemp("roles")
    with session(write_document(folder / "partywall.yaml", made), folder / "data") as running:
        yield running


@pytest.mark.parametrize("endpoint", OF_DOCUMENTS, ids=lambda each: f"{each.method} {each.path}")
@pytest.mark.parametrize("role", ["reader", "nobody-knows-this-role"])
def test_a_role_without_the_tool_reaches_no_document(alive: Session, endpoint: Endpoint, role: str) -> None:
    path = endpoint.path
    for name, value in IDS.items():
        path = path.replace(name, value)
    for tenant in ("alpha", "beta"):
        headers = headers_of(tenant, role=role)
        body, kind = b"{}", "application/json"
        if endpoint.path == "/v1/files" and endpoint.method == "POST":
            body = b'--x\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
            body += b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\na\r\n--x--\r\n'
            kind = "multipart/form-data; boundary=x"
        sent = body if endpoint.method == "POST" else b""
        for who, is_refused in ((headers, True), (headers_of(tenant), False)):
            call = alive.client.call(endpoint.method, path, headers={**who, "content-type": kind}, body=sent)
            reply = alive.run(call)
            assert ((reply.status, reply.code) == (403, "tool_denied")) is is_refused, reply.body
