"""Every endpoint stands behind its guard, and there is no other way in.

Walks `ENDPOINTS`, so that an endpoint added tomorrow is tested without anybody thinking of it. Each refusal is looked
up in the trail: exactly one record, with its code, in the file of the tenant whose credential held, or else among the
platform's own.
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.documents import KEYS, OPERATOR_KEY, TENANTS, base_document, headers_of, merged, write_document
from tests.support.inprocess import Reply, Session, session

import partywall.gateway
from partywall.gateway.endpoints import ENDPOINTS, Act, Endpoint, Guard
from partywall.gateway.faces import FACES
from partywall.gateway.wire import Api
from partywall.stores import StoredResponse
from partywall.trail import DecisionRecord

OF_TENANTS = [e for e in ENDPOINTS if e.guard is Guard.TENANT]
OF_OPERATORS = [e for e in ENDPOINTS if e.guard is Guard.OPERATOR]
PUBLIC = [e for e in ENDPOINTS if e.guard is Guard.PUBLIC]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
FILES = (*TENANTS, None)

FIELDS: dict[Api, dict[str, Any]] = {
    Api.CHAT: {"messages": [{"role": "user", "content": "hello"}]},
    Api.COMPLETIONS: {"prompt": "hello"},
    Api.EMBEDDINGS: {"input": "hello"},
    Api.RESPONSES: {"input": "hello"},
    Api.MESSAGES: {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5},
    Api.MODELS: {},
}
ITEM: dict[str, Any] = {"type": "message", "role": "user", "content": "hello"}
BODIES: dict[Act, dict[str, Any]] = {
    Act.CONVERSATION_CREATE: {"items": [ITEM]},
    Act.CONVERSATION_UPDATE: {"metadata": {"a": "b"}},
    Act.ITEM_CREATE: {"items": [ITEM]},
    Act.STORE_CREATE: {"name": "a store"},
    Act.STORE_UPDATE: {"name": "another name"},
    Act.STORE_SEARCH: {"query": "hello"},
    Act.STORE_FILE_UPDATE: {"attributes": {"a": "b"}},
}
FORM = {"content-type": "multipart/form-data; boundary=b"}
UPLOAD = b"\r\n".join(
    [
        b"--b",
        b'content-disposition: form-data; name="purpose"',
        b"",
        b"assistants",
        b"--b",
        b'content-disposition: form-data; name="file"; filename="a.txt"',
        b"content-type: text/plain",
        b"",
        b"hello",
        b"--b--",
        b"",
    ]
)
NOBODY_S = "0" * 32


def name_of(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


at_tenant_endpoint = pytest.mark.parametrize("endpoint", OF_TENANTS, ids=name_of)
at_operator_endpoint = pytest.mark.parametrize("endpoint", OF_OPERATORS, ids=lambda e: e.path)


def sealed_document() -> dict[str, Any]:
    """The base document, with somewhere to store things."""
    return merged(base_document(), encryption={})


@pytest.fixture(scope="module")
def alive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("endpoints")
    with session(write_document(folder / "partywall.yaml", sealed_document()), folder / "data") as running:
        yield running


@pytest.fixture(scope="module")
def without_operators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("without-operators")
    document = write_document(folder / "partywall.yaml", merged(base_document(), server={}))
    with session(document, folder / "data") as running:
        yield running


def path_of(endpoint: Endpoint, tenant: str, ids: dict[str, str] | None = None) -> str:
    path = endpoint.path + f"{tenant}-model" if endpoint.path.endswith("/") else endpoint.path
    for name in re.findall(r"\{(\w+)\}", path):
        made = (ids or {}).get(name, NOBODY_S)
        path = path.replace(f"{{{name}}}", made)
    return path


async def stored(running: Session, tenant: str, path: str) -> dict[str, str]:
    """New objects of `tenant`'s that `path` needs, through the library: nothing of that is recorded as a request."""
    platform = running.client.platform
    scope = await platform.authenticate(headers_of(tenant))
    ids: dict[str, str] = {}
    if "conversation_id" in path:
        conversation = await platform.conversations.create(scope, items=[ITEM])
        page = await platform.conversations.items(scope, conversation.id)
        ids |= {"conversation_id": conversation.id, "item_id": page.items[0].id}
    if "response_id" in path:
        ids["response_id"] = platform.stores.responses.new_id()
        answer = StoredResponse(ids["response_id"], 1.0, None, {"object": "response"}, (), scope.tenant)
        await platform.stores.responses.keep(scope, answer)
    if "file_id" in path or "vector_store_id" in path:
        ids["file_id"] = (await platform.files.create(scope, name="a.txt", data=b"hello")).id
    if "vector_store_id" in path:
        ids["vector_store_id"] = (await platform.documents.create_collection(scope, name="a store")).id
        if "file_id" in path:
            await platform.documents.attach(scope, ids["vector_store_id"], ids["file_id"])
    return ids


def call(
    running: Session, endpoint: Endpoint, tenant: str, headers: Any, *, prefix: str = "", exists: bool = True
) -> Reply:
    """A request for what is `tenant`'s, right in all but its headers. Objects are made first, if they exist."""
    body: Any = b""
    if endpoint.act is not None:
        body = BODIES.get(endpoint.act, b"")
    elif endpoint.method != "GET":
        body = {"model": f"{tenant}-model", **FIELDS[endpoint.api or Api.CHAT]}
    ids = running.run(stored(running, tenant, endpoint.path)) if exists and "{" in endpoint.path else None
    if endpoint.act is Act.FILE_CREATE:
        headers, body = {**headers, **FORM}, UPLOAD
    if endpoint.act is Act.STORE_FILE_CREATE:
        body = {"file_id": NOBODY_S if ids is None else ids["file_id"]}
    path = prefix + path_of(endpoint, tenant, ids)
    return running.run(running.client.call(endpoint.method, path, headers=headers, body=body))


def new_records(running: Session, since: float) -> dict[str | None, list[DecisionRecord]]:
    """What was recorded from `since` on, file by file."""
    return {name: running.recorded(name, since=since) for name in FILES}


def assert_refusal_recorded(running: Session, since: float, whose: str | None, reply: Reply) -> None:
    """The refusal left one record, in `whose` file and in no other."""
    found = new_records(running, since)
    (record,) = found.pop(whose)
    assert not any(found.values())
    assert record.tenant == whose
    assert record.id == reply.header("x-request-id")
    assert (record.verdict, record.status, record.outcome) == ("block", reply.status, "refused")
    assert not reply.body or record.code == reply.json.get("title", reply.code)  # HEAD is answered without a body
    assert record.reason


# -- Tenants' endpoints ---


def test_each_api_has_an_endpoint_and_each_act_a_face() -> None:
    assert {e.api for e in OF_TENANTS} == set(Api)
    assert all(e.api is None for e in ENDPOINTS if e.guard is not Guard.TENANT)
    assert sorted(e.act for e in ENDPOINTS if e.act is not None) == sorted(Act) == sorted(FACES)


@pytest.mark.parametrize("tenant", TENANTS)
@at_tenant_endpoint
def test_a_tenant_is_answered(alive: Session, endpoint: Endpoint, tenant: str) -> None:
    """The control: what the refusals below change is what makes the difference."""
    since = time.time()
    reply = call(alive, endpoint, tenant, headers_of(tenant))
    assert reply.status == 200, reply.body
    assert reply.header("cache-control") == "private, no-store"
    found = new_records(alive, since)
    (record,) = found.pop(tenant)
    assert not any(found.values())
    assert (record.verdict, record.outcome) == ("allow", "completed")
    assert record.endpoint == (endpoint.act or endpoint.api)
    if endpoint.act is not None:
        assert [result.reason for result in record.policies if result.kind == "stores"]
    assert reply.header("x-request-id") == reply.header("request-id") == record.id


def changed(tenant: str, **headers: str | None) -> dict[str, str]:
    """A good client's headers, some replaced and some, with None, left out."""
    merged_headers = headers_of(tenant) | {name.replace("_", "-"): value for name, value in headers.items()}
    return {name: value for name, value in merged_headers.items() if value is not None}


REFUSED = {
    "no credential": (changed("alpha", authorization=None), 401, "missing_identity", None),
    "an empty credential": (changed("alpha", authorization="Bearer "), 401, "missing_identity", None),
    "an unknown key": (changed("alpha", authorization="Bearer sk-nobody"), 401, "invalid_credential", None),
    "the key's hash": (changed("alpha", authorization="Bearer sha256:" + "0" * 64), 401, "invalid_credential", None),
    "another scheme": (changed("alpha", authorization=f"Basic {KEYS['alpha']}"), 401, "invalid_credential", None),
    "an operator's key": (changed("alpha", authorization=f"Bearer {OPERATOR_KEY}"), 401, "invalid_credential", None),
    "a known and an unknown key": (changed("alpha", x_api_key="sk-nobody"), 401, "invalid_credential", None),
    "two tenants' keys": (changed("alpha", x_api_key=KEYS["beta"]), 403, "tenant_mismatch", None),
    "another tenant's name": (changed("alpha", x_org_id="beta"), 403, "tenant_mismatch", "alpha"),
    "its own and another's name": (changed("alpha", x_tenant_id="beta"), 403, "tenant_mismatch", "alpha"),
    "an empty name": (changed("alpha", x_org_id=""), 403, "tenant_mismatch", "alpha"),
    "nobody's name": (changed("alpha", x_org_id="gamma"), 403, "tenant_mismatch", "alpha"),
    "no user": (changed("alpha", x_user_id=None), 401, "missing_identity", "alpha"),
    "two users": (changed("alpha", x_user="eve"), 400, "invalid_request", None),
    "an invisible role": (changed("alpha", x_user_role="ana\u200blyst".encode().decode("latin-1")), 400, None, "alpha"),
}


@pytest.mark.parametrize("case", REFUSED)
@at_tenant_endpoint
def test_a_tenant_s_guard_refuses(alive: Session, endpoint: Endpoint, case: str) -> None:
    headers, status, code, whose = REFUSED[case]
    since = time.time()
    reply = call(alive, endpoint, "alpha", headers)
    assert (reply.status, reply.code) == (status, code or "invalid_request")
    assert_refusal_recorded(alive, since, whose, reply)
    assert b"alpha" not in reply.body
    assert reply.header("cache-control") == "private, no-store"


@at_tenant_endpoint
def test_another_tenant_s_model_looks_like_nobody_s(alive: Session, endpoint: Endpoint) -> None:
    if endpoint.path == "/v1/models":
        listed = [model["id"] for model in call(alive, endpoint, "alpha", headers_of("alpha")).json["data"]]
        assert listed == ["alpha-model"]
        return
    if endpoint.act is not None:
        another_tenant_s_object_looks_like_nobody_s(alive, endpoint)
        return
    since = time.time()
    foreign = call(alive, endpoint, "beta", headers_of("alpha"))
    assert_refusal_recorded(alive, since, "alpha", foreign)
    nobodys = call(alive, endpoint, "gamma", headers_of("alpha"))
    expected = (404, "not_found") if endpoint.api is Api.MODELS else (403, "model_denied")
    assert (foreign.status, foreign.code) == expected
    assert (nobodys.status, nobodys.body) == (foreign.status, foreign.body) or endpoint.api is Api.MESSAGES
    if endpoint.api is Api.MESSAGES:  # its refusals carry the request's id
        assert nobodys.json["error"] == foreign.json["error"]


def another_tenant_s_object_looks_like_nobody_s(running: Session, endpoint: Endpoint) -> None:
    if "{" not in endpoint.path:
        return
    since = time.time()
    foreign = call(running, endpoint, "beta", headers_of("alpha"))
    assert_refusal_recorded(running, since, "alpha", foreign)
    nobodys = call(running, endpoint, "beta", headers_of("alpha"), exists=False)
    assert (foreign.status, foreign.code) == (404, "not_found")
    assert (nobodys.status, nobodys.body) == (foreign.status, foreign.body)
    assert sorted(name for name, _ in nobodys.headers) == sorted(name for name, _ in foreign.headers)


@pytest.mark.parametrize("role", [None, "intern", "ANALYST", "*"])
def test_a_role_that_nobody_defined_may_use_no_tool(alive: Session, role: str | None) -> None:
    tool = {"type": "function", "function": {"name": "search", "parameters": {}}}
    body = {"model": "alpha-model", **FIELDS[Api.CHAT], "tools": [tool]}
    path = "/v1/chat/completions"
    forced = {"type": "function", "function": {"name": "search"}}
    refused = alive.post(path, headers_of("alpha", role=role), body | {"tool_choice": forced})
    assert (refused.status, refused.code) == (403, "tool_denied")
    assert alive.post(path, headers_of("alpha"), body | {"tool_choice": forced}).status == 200


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.guard is not Guard.PUBLIC], ids=name_of)
def test_other_methods_are_refused(alive: Session, endpoint: Endpoint, method: str) -> None:
    if method in {each.method for each in ENDPOINTS if each.path == endpoint.path}:
        return
    path = path_of(endpoint, "alpha")
    of_operator = endpoint.guard is Guard.OPERATOR
    good = {"authorization": f"Bearer {OPERATOR_KEY}"} if of_operator else headers_of("alpha")
    for headers, status, whose in [
        (good, 405, None if of_operator else "alpha"),
        ({}, 401 if of_operator else 405, None),
    ]:
        since = time.time()
        reply = alive.run(alive.client.call(method, path, headers=headers))
        assert reply.status == status
        assert_refusal_recorded(alive, since, whose, reply)


# -- Operators' endpoints ---


NOT_OPERATORS = {
    "nobody": ({}, "missing_identity"),
    "an empty header": ({"authorization": ""}, "missing_identity"),
    "an empty key": ({"authorization": "Bearer "}, "invalid_credential"),
    "alpha": ({"authorization": f"Bearer {KEYS['alpha']}"}, "invalid_credential"),
    "alpha with everything": (headers_of("alpha", x_user_role="admin"), "invalid_credential"),
    "a stranger": ({"authorization": "Bearer pw-test-operator"}, "invalid_credential"),
    "another scheme": ({"authorization": f"Basic {OPERATOR_KEY}"}, "invalid_credential"),
    "no scheme": ({"authorization": OPERATOR_KEY}, "invalid_credential"),
    "another header": ({"x-api-key": OPERATOR_KEY}, "missing_identity"),
    "two keys": ({"authorization": f"Bearer {OPERATOR_KEY}, Bearer x"}, "invalid_credential"),
    "a trailing space": ({"authorization": f"Bearer {OPERATOR_KEY} "}, "invalid_credential"),
    "another case": ({"authorization": f"Bearer {OPERATOR_KEY.upper()}"}, "invalid_credential"),
    "bytes that are no text": ({"authorization": "Bearer \xff\xfe"}, "invalid_credential"),
}


@pytest.mark.parametrize("who", NOT_OPERATORS)
@at_operator_endpoint
def test_an_operator_s_guard_refuses(alive: Session, endpoint: Endpoint, who: str) -> None:
    headers, code = NOT_OPERATORS[who]
    since = time.time()
    reply = call(alive, endpoint, "alpha", headers)
    assert (reply.status, reply.json["title"]) == (401, code)
    assert reply.header("content-type") == "application/problem+json"
    assert_refusal_recorded(alive, since, None, reply)


@at_operator_endpoint
def test_an_operator_is_answered_and_recorded(alive: Session, endpoint: Endpoint) -> None:
    since = time.time()
    reply = call(alive, endpoint, "alpha", {"authorization": f"Bearer {OPERATOR_KEY}"})
    assert reply.status == 200
    assert reply.header("cache-control") == "private, no-store"
    found = new_records(alive, since)
    (record,) = found.pop(None)
    assert not any(found.values())
    assert (record.verdict, record.outcome, record.path) == ("allow", "completed", endpoint.path)
    assert record.credential_id is not None
    assert record.credential_id.startswith("key:")


@pytest.mark.parametrize("who", [*NOT_OPERATORS, "a former operator"])
@at_operator_endpoint
def test_without_operators_nobody_is_one(without_operators: Session, endpoint: Endpoint, who: str) -> None:
    headers, _ = NOT_OPERATORS.get(who, ({"authorization": f"Bearer {OPERATOR_KEY}"}, ""))
    assert call(without_operators, endpoint, "alpha", headers).status == 401


# -- Everybody's endpoints ---


@pytest.mark.parametrize("endpoint", PUBLIC, ids=lambda e: e.path)
def test_public_endpoints_say_one_thing_to_everybody(alive: Session, endpoint: Endpoint) -> None:
    since = time.time()
    replies = [call(alive, endpoint, "alpha", headers) for headers in ({}, headers_of("alpha"), headers_of("beta"))]
    assert {(reply.status, reply.body) for reply in replies} == {(200, b'{"status":"ok"}')}
    wrong = [alive.run(alive.client.call(m, endpoint.path)).status for m in METHODS if m not in ("GET", "HEAD")]
    assert set(wrong) == {405}
    assert not any(new_records(alive, since).values())


# -- No other way in ---


UNKNOWN = [
    "/",
    "",
    "/v1",
    "/v1/",
    "/v1/models/",
    "/v1/chat",
    "/v1/files/",
    "/v1/batches",
    "/metrics",
    "/docs",
    "/invocations",
]


@pytest.mark.parametrize("path", UNKNOWN)
def test_what_is_not_listed_is_refused(alive: Session, path: str) -> None:
    for headers, whose in (({}, None), (headers_of("alpha"), "alpha"), (headers_of("alpha", x_org_id="beta"), None)):
        since = time.time()
        reply = alive.get(path, headers)
        assert is_nothing(reply)
        if path:  # a request without a target is no request
            assert_refusal_recorded(alive, since, whose, reply)


def test_the_refusal_speaks_the_client_s_dialect(alive: Session) -> None:
    openai_s = alive.get("/v1/unknown", headers_of("alpha")).json
    assert openai_s == {
        "error": {"message": "Not found.", "type": "not_found_error", "param": None, "code": "not_found"}
    }
    anthropic_s = alive.get("/v1/unknown", headers_of("alpha", anthropic_version="2023-06-01")).json
    assert anthropic_s["type"] == "error"
    assert anthropic_s["error"]["type"] == "not_found_error"
    assert anthropic_s["request_id"].startswith("dec_")


TRICKS = [
    "//v1/models",
    "/v1//models",
    "/v1/chat/completions/",
    "/V1/models",
    "/v1/Models",
    "/admin/v1/config/",
    "//admin/v1/config",
    "/Admin/v1/config",
    "/v1/../admin/v1/config",
    "/./admin/v1/config",
    "/healthz/../admin/v1/config",
    "/healthz/",
    "/admin/v1/config;a=b",
    "/admin\\v1\\config",
    "/admin/v1/config%00",
    "/%61dmin/v1/config",
    "/admin%2fv1%2fconfig",
    "/%2561dmin/v1/config",
    "/v1/%6dodels",
    "/v1/chat%2Fcompletions",
    "/v1/models%2f",
    "/v1/models%3F",
    "/v1/models%20",
    "/v1/\uff4dodels",
    "/v1/mode\u017fs",
    "/v1/models\u200b",
    "/v1/models\x00",
    "/v1/models\n",
]


@pytest.mark.parametrize("key", [KEYS["alpha"], OPERATOR_KEY])
@pytest.mark.parametrize("path", TRICKS)
def test_no_spelling_of_a_path_reaches_a_handler(alive: Session, path: str, key: str) -> None:
    headers = headers_of("alpha") | {"authorization": f"Bearer {key}"}
    for method in ("GET", "POST"):
        reply = alive.run(alive.client.call(method, path, headers=headers, body={"model": "alpha-model"}))
        assert is_nothing(reply)


def is_nothing(reply: Reply) -> bool:
    """Not found, or not even HTTP: then the protocol answers, with no body, before there is a request."""
    return (reply.status, reply.code) == (404, "not_found") or (reply.status, reply.body) == (400, b"")


def test_an_id_in_a_path_may_be_escaped(alive: Session) -> None:
    assert alive.get("/v1/models/alpha%2Dmodel", headers_of("alpha")).json["id"] == "alpha-model"
    for name in ("beta%2Dmodel", "%2e%2e%2f%2e%2e%2fadmin%2fv1%2fconfig", "../../admin/v1/config", "/", "%ff%00"):
        reply = alive.get(f"/v1/models/{name}", headers_of("alpha"))
        assert (reply.status, reply.json["error"]["message"]) == (404, "The model does not exist.")


WORDS = """
    v1 admin models config chat completions healthz .. . tenant %61dmin conversations items responses
    files content vector_stores search
"""
segments = st.sampled_from([*WORDS.split(), ""])
WITH_IDS = [re.compile(re.sub(r"\{\w+\}", "[^/]+", e.path)) for e in ENDPOINTS if "{" in e.path]
free_text = st.text(st.characters(codec="utf-8"), max_size=8)


@settings(max_examples=300, deadline=None)
@given(parts=st.lists(segments | free_text, max_size=5), method=st.sampled_from(["GET", "POST"]))
def test_the_table_is_the_only_way_in(alive: Session, parts: list[str], method: str) -> None:
    target = "/" + "/".join(parts)
    path = target.partition("?")[0]
    listed = {e.path for e in ENDPOINTS}
    if path in listed or (path.startswith("/v1/models/") and path != "/v1/models/"):
        return
    if any(pattern.fullmatch(path) for pattern in WITH_IDS):
        return
    assert is_nothing(alive.run(alive.client.call(method, target, headers=headers_of("alpha"))))


PLACES = {
    ("app.py", "/healthz"),  # which of the two public ones needs the trail
    ("models.py", "/v1/models"),  # the list, as against one model
    ("operator.py", "/admin/v1/config"),
    ("operator.py", "/admin/v1/chains"),
}


def test_no_module_knows_a_path_of_its_own() -> None:
    """A second dispatch table would be a way past the first."""
    root = Path(partywall.gateway.__file__).parent
    prefixes = ("/v1", "/admin", "/tenant", "/healthz", "/readyz", "/metrics", "/mcp")
    found = {
        (path.name, node.value)
        for path in [*root.glob("*.py"), *root.glob("faces/*.py"), *root.glob("context/*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(prefixes)
    }
    assert {place for place in found if place[0] != "endpoints.py"} == PLACES
    assert {value for name, value in found if name == "endpoints.py"} == {e.path for e in ENDPOINTS}


def test_a_websocket_is_refused(alive: Session) -> None:
    """An upgrade opens nothing: the request is the plain one that it also is, and the connection ends behind it."""
    asks = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
    }
    for endpoint in ENDPOINTS:
        plain = alive.get(endpoint.path, {})
        upgraded = alive.get(endpoint.path, asks)
        assert upgraded.status == plain.status
        assert upgraded.header("connection") == "close"


# -- Behind routes ---


@pytest.fixture(scope="module")
def routed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Alpha's and beta's routes, told apart by their prefix alone."""
    folder = tmp_path_factory.mktemp("routed")
    routes = [
        {"name": f"to-{tenant}", "path": f"/{tenant}", "match": "prefix", "upstream": f"{tenant}-target"}
        for tenant in TENANTS
    ]
    document = write_document(folder / "partywall.yaml", merged(sealed_document(), routes=routes))
    with session(document, folder / "data") as running:
        yield running


@at_tenant_endpoint
def test_a_route_opens_nothing(routed: Session, endpoint: Endpoint) -> None:
    assert call(routed, endpoint, "alpha", headers_of("alpha"), prefix="/alpha").status == 200
    assert call(routed, endpoint, "alpha", {}, prefix="/alpha").status == 401
    assert call(routed, endpoint, "alpha", headers_of("alpha", x_org_id="beta"), prefix="/alpha").status == 403
    assert call(routed, endpoint, "alpha", headers_of("alpha")).status == 404  # outside every route
    # A route that leads only to beta's looks to alpha like one that isn't there, and without a key all look alike.
    for key in ({}, headers_of("alpha")):
        betas, nobodys = (call(routed, endpoint, "beta", key, prefix=prefix) for prefix in ("/beta", "/nobody"))
        assert (betas.status, betas.body) == (nobodys.status, nobodys.body)
        assert betas.status == (404 if key else 401)


@pytest.mark.parametrize("endpoint", [*OF_OPERATORS, *PUBLIC], ids=lambda e: e.path)
def test_no_route_leads_to_an_operator_s_endpoint(routed: Session, endpoint: Endpoint) -> None:
    for key, answer in ((KEYS["alpha"], (404, "not_found")), (OPERATOR_KEY, (401, "invalid_credential"))):
        reply = routed.get(f"/alpha{endpoint.path}", headers_of("alpha") | {"authorization": f"Bearer {key}"})
        assert (reply.status, reply.code) == answer
