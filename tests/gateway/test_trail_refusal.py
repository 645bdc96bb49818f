"""No trail, no data: what can't be recorded isn't done, and one tenant's broken file is nobody else's trouble.

Alpha's `decisions.db` is replaced by a folder, by rubbish, by a link to beta's; then it is mended. The platform's own
file decides whether the gateway is ready.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.documents import OPERATOR_KEY, TENANTS, base_document, headers_of, write_document
from tests.support.inprocess import Reply, Session, session
from tests.support.records import recorded, until
from tests.support.upstream import Upstream, upstream

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with upstream() as running:
        yield running


@pytest.fixture
def alive(server: Upstream, tmp_path: Path) -> Iterator[Session]:
    """A gateway that has already recorded something for both tenants."""
    document = write_document(tmp_path / "partywall.yaml", base_document(base_url=server.url))
    with session(document, tmp_path / "data") as running:
        for tenant in TENANTS:
            assert ask(running, tenant).status == 200
        running.run(running.client.platform.trail.flush())
        server.received.clear()
        yield running


def ask(running: Session, tenant: str, **headers: str) -> Reply:
    body = {"model": f"{tenant}-model", "messages": [{"role": "user", "content": "hello"}]}
    return running.post(CHAT, headers_of(tenant, **headers), body)


def until_asking_gives(status: int, running: Session, tenant: str) -> None:
    until(lambda: ask(running, tenant).status == status)


def ready(running: Session) -> int:
    return running.get("/readyz", {}).status


def file_of(running: Session, tenant: str | None) -> Path:
    folder = running.data_dir / "platform" if tenant is None else running.data_dir / "tenants" / tenant
    return folder / "decisions.db"


def clear(file: Path) -> None:
    for name in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
        name.unlink(missing_ok=True)


def make_a_folder(file: Path) -> None:
    clear(file)
    file.mkdir()


def make_it_rubbish(file: Path) -> None:
    clear(file)
    file.write_bytes(b"this is no database\n" * 1000)


def make_it_a_link(file: Path) -> None:
    clear(file)
    file.symlink_to(file.parent.parent / "beta" / "decisions.db")


def take_the_folder(file: Path) -> None:
    shutil.rmtree(file.parent)
    file.parent.write_text("no folder")


BROKEN: dict[str, Callable[[Path], None]] = {
    "a folder": make_a_folder,
    "rubbish": make_it_rubbish,
    "a link to beta's": make_it_a_link,
    "no folder to be in": take_the_folder,
}


def mend(file: Path) -> None:
    if file.parent.is_file():
        file.parent.unlink()
    elif file.is_dir():
        file.rmdir()
    else:
        clear(file)


@pytest.mark.parametrize("how", BROKEN)
def test_only_the_tenant_whose_file_is_broken_is_refused(alive: Session, server: Upstream, how: str) -> None:
    betas = len(alive.recorded("beta"))
    BROKEN[how](file_of(alive, "alpha"))
    for _ in range(3):
        reply = ask(alive, "alpha")
        assert (reply.status, reply.code) == (503, "trail_unavailable")
        assert b"alpha" not in reply.body
        assert b"decisions" not in reply.body
    assert server.received == []
    refused = ask(alive, "alpha", x_org_id="beta")  # a refusal that can't be recorded stays one
    assert (refused.status, refused.code) == (503, "trail_unavailable")
    models = alive.get("/v1/models", headers_of("alpha"))
    assert (models.status, models.code) == (503, "trail_unavailable")

    assert ask(alive, "beta").status == 200
    assert [request.json["model"] for request in server.received] == ["beta-model"]
    assert len(alive.recorded("beta")) == betas + 1
    assert ready(alive) == 200  # beta and others can be served

    mend(file_of(alive, "alpha"))
    until_asking_gives(200, alive, "alpha")
    assert [r.outcome for r in alive.recorded("alpha")][-1] == "completed"
    assert {r.tenant for r in alive.recorded("alpha")} == {"alpha"}
    assert {r.tenant for r in alive.recorded("beta")} == {"beta"}


def test_one_file_under_two_names_serves_neither(alive: Session, server: Upstream) -> None:
    """Whose it is can't be told, so nothing is written to it, until the second name is gone."""
    clear(file_of(alive, "alpha"))
    file_of(alive, "alpha").hardlink_to(file_of(alive, "beta"))
    for tenant in TENANTS:
        until_asking_gives(503, alive, tenant)
    server.received.clear()
    assert [ask(alive, tenant).code for tenant in TENANTS] == ["trail_unavailable"] * 2
    assert server.received == []
    clear(file_of(alive, "alpha"))
    for tenant in TENANTS:
        until_asking_gives(200, alive, tenant)
        assert {record.tenant for record in alive.recorded(tenant)} == {tenant}


def test_without_the_platform_s_file_the_gateway_isn_t_ready(alive: Session, server: Upstream) -> None:
    make_a_folder(file_of(alive, None))
    until(lambda: alive.get("/nowhere", {}).status == 503)
    for path in (CHAT, "/v1/models", "/nowhere", "/admin/v1/config"):
        reply = alive.run(alive.client.call("POST", path))
        assert reply.status == 503
        assert b"trail_unavailable" in reply.body
    operator = alive.get("/admin/v1/config", {"authorization": f"Bearer {OPERATOR_KEY}"})
    assert (operator.status, operator.json["title"]) == (503, "trail_unavailable")
    assert b"document" not in operator.body
    assert ready(alive) == 503
    assert alive.get("/healthz", {}).status == 200  # the process lives; restarting it would mend nothing
    for tenant in TENANTS:
        assert ask(alive, tenant).status == 200
    mend(file_of(alive, None))
    until(lambda: alive.get("/nowhere", {}).status == 404)
    assert ready(alive) == 200
    assert recorded(alive.data_dir, None)[-1].code == "not_found"


def test_a_gateway_that_can_t_record_doesn_t_start(tmp_path: Path) -> None:
    document = write_document(tmp_path / "partywall.yaml", base_document())
    (tmp_path / "data" / "platform" / "decisions.db").mkdir(parents=True)
    with pytest.raises(Exception, match="platform"), session(document, tmp_path / "data"):
        pass
