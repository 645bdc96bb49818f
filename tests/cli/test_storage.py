"""`partywall storage`, and a platform on PostgreSQL: from an empty database to two tenants that store."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.cli.helpers import Command
from tests.support.documents import base_document, headers_of, merged, write_document
from tests.support.engines.postgres import OWNER, postgres_server

from partywall.errors import ConfigError, Missing, StoreUnavailable
from partywall.platform import Platform
from partywall.platform.storage import provision_tenant
from partywall.tenancy import TenantId

SEALED = {"encryption": {"encrypted_per_tenant": ["conversation_logs", "agent_memory", "user_preferences"]}}
STORAGE = {"backend": "postgres", "dsn_ref": {"env": "SERVING_DSN"}, "owner_dsn_ref": {"env": "OWNER_DSN"}}
TIERS = {"alpha": {"isolation_strategy": "separate_collection"}, "beta": {"isolation_strategy": "namespace"}}


@pytest.fixture
def dsns(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An empty database's, in the environment."""
    server = postgres_server()
    database = server.new_database()
    found = {"SERVING_DSN": server.dsn(database), "OWNER_DSN": server.dsn(database, OWNER)}
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def document(folder: Path, **changes: object) -> Path:
    return write_document(folder / "partywall.yaml", merged(base_document(), **SEALED, storage=STORAGE, **changes))


def stored(path: Path, data_dir: Path) -> None:
    """Both tenants store and read their own."""

    async def main() -> None:
        async with Platform.open(path, data_dir=data_dir) as platform:
            alpha = await platform.authenticate(headers_of("alpha"))
            beta = await platform.authenticate(headers_of("beta"))
            await platform.conversations.append(alpha, "conv-1", role="user", content="hello from alpha")
            with pytest.raises(Missing):
                await platform.conversations.messages(beta, "conv-1")
            await platform.conversations.append(beta, "conv-1", role="user", content="hello from beta")
            for scope, name in ((alpha, "alpha"), (beta, "beta")):
                page = await platform.conversations.messages(scope, "conv-1")
                assert [message.content for message in page.items] == [f"hello from {name}"]

    asyncio.run(main())


def test_migrate_then_serve_then_check(tmp_path: Path, partywall: Command, dsns: dict[str, str]) -> None:
    """Two tiers and the default: alpha a schema, beta the common one, gamma (no group of its own) a database."""
    path = document(tmp_path, tenants={**TIERS, "gamma": {}})
    with pytest.raises(ConfigError, match="storage migrate"):
        stored(path, tmp_path / "data")
    checked = partywall("storage", "check", path)
    assert checked.code == 2
    assert "may not use `partywall`" in checked.err or "no tables" in checked.err

    ended = partywall("storage", "migrate", path)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == ["the common schema: ready", "alpha: ready", "beta: ready", "gamma: ready"]
    again = partywall("storage", "migrate", path)
    assert (again.code, again.out) == (0, ended.out)
    assert partywall("storage", "check", path).out.count("fit to serve") == 4
    stored(path, tmp_path / "data")
    clear = b"".join(file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file())
    assert b"hello from" not in clear
    assert not list((tmp_path / "data" / "tenants").glob("*/conversations.db"))


def test_vectors_of_documents_lie_on_the_server_where_the_document_says_so(
    tmp_path: Path, partywall: Command, dsns: dict[str, str]
) -> None:
    """In each of the three places; a document that begins to say so needs `migrate` first."""
    tenants = {**TIERS, "gamma": {}}
    assert partywall("storage", "migrate", document(tmp_path, tenants=tenants)).code == 0
    path = write_document(
        tmp_path / "partywall.yaml",
        merged(base_document(), **SEALED, storage={**STORAGE, "vectors": "pgvector"}, tenants=tenants),
    )
    ended = partywall("storage", "check", path)
    assert ended.code == 2
    assert "`partywall.vectors` is missing; run `partywall storage migrate" in ended.err
    database = dsns["OWNER_DSN"].rpartition("/")[2].partition("?")[0]
    # gamma's was made when nobody spoke of vectors, so without pgvector.
    assert "gamma: storage.vectors" in (refused := partywall("storage", "migrate", path).err)
    assert "as an administrator, CREATE EXTENSION vector SCHEMA public, there" in refused
    ((gammas,),) = postgres_server().query(
        "SELECT name FROM partywall.placements WHERE tenant = 'gamma'", database=database
    )
    postgres_server().execute("CREATE EXTENSION vector SCHEMA public", database=str(gammas))
    for _ in range(2):
        assert partywall("storage", "migrate", path).code == 0
    assert partywall("storage", "check", path).out.count("fit to serve") == 4

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            for name in ("alpha", "beta"):
                scope = await platform.authenticate(headers_of(name))
                await platform.documents.add(scope, name="terms", data=f"refunds of {name}".encode())
                (hit,) = await platform.documents.search(scope, "refunds", k=9)
                assert hit.text == f"refunds of {name}"

    asyncio.run(main())
    found = postgres_server().query("SELECT tenant FROM partywall.vectors WHERE store = 'documents'", database=database)
    assert found == [("beta",)], "alpha's are in a schema of its own"


def test_a_changed_strategy_is_refused_by_every_command(
    tmp_path: Path, partywall: Command, dsns: dict[str, str]
) -> None:
    assert partywall("storage", "migrate", document(tmp_path, tenants=TIERS)).code == 0
    path = document(tmp_path, tenants={**TIERS, "alpha": {"isolation_strategy": "namespace"}})
    for command in ("migrate", "check"):
        ended = partywall("storage", command, path)
        assert ended.code == 2
        assert "alpha" in ended.err
        assert "change it back" in ended.err
        assert "beta: " in ended.out, "the others go on"
    with pytest.raises(StoreUnavailable, match="change it back"):
        stored(path, tmp_path / "data")


def test_one_tenant_is_provisioned_by_itself(tmp_path: Path, partywall: Command, dsns: dict[str, str]) -> None:
    """What `tenants create` calls; by default, that is a database."""
    path = document(tmp_path, tenants=TIERS)
    assert partywall("storage", "migrate", path).code == 0
    asyncio.run(provision_tenant(document(tmp_path), TenantId("delta"), tmp_path / "data"))
    database = dsns["OWNER_DSN"].rpartition("/")[2].partition("?")[0]
    placed = postgres_server().query("SELECT strategy, ready FROM partywall.placements WHERE tenant = 'delta'",
                                     database=database)  # fmt: skip
    assert placed == [("separate_db", True)]


def test_creating_a_tenant_makes_its_place(tmp_path: Path, partywall: Command, dsns: dict[str, str]) -> None:
    path = document(tmp_path, tenants=TIERS)
    assert partywall("storage", "migrate", path).code == 0
    created = partywall("tenants", "create", "gamma", path, "--data-dir", tmp_path / "data")
    assert created.code == 0, created.err
    database = dsns["OWNER_DSN"].rpartition("/")[2].partition("?")[0]
    placed = "SELECT strategy, ready FROM partywall.placements WHERE tenant = 'gamma'"
    assert postgres_server().query(placed, database=database) == [("separate_db", True)]


def test_tenants_are_counted_where_their_rows_lie(tmp_path: Path, partywall: Command, dsns: dict[str, str]) -> None:
    path = document(tmp_path, tenants=TIERS)
    assert partywall("storage", "migrate", path).code == 0
    stored(path, tmp_path / "data")
    listed = partywall("tenants", "list", path, "--data-dir", tmp_path / "data", "--format", "json")
    assert listed.code == 0, listed.err
    assert {each["tenant"]: each["records"]["conversations"] > 0 for each in listed.json} == {
        "alpha": True,
        "beta": True,
    }
    assert not list((tmp_path / "data").rglob("conversations.db"))


def test_sqlite_needs_neither(tmp_path: Path, partywall: Command) -> None:
    path = write_document(tmp_path / "partywall.yaml", base_document())
    asyncio.run(provision_tenant(path, TenantId("alpha"), tmp_path / "data"))
    ended = partywall("storage", "migrate", path)
    assert ended.code == 2
    assert "keeps rows in SQLite" in ended.err


FAULTY = {
    "no address": ({"backend": "postgres"}, "needs the connection string"),
    "an address of SQLite": ({"dsn_ref": {"env": "X"}}, "has no server"),
    "an owner of SQLite": ({"owner_dsn_ref": {"env": "X"}}, "has no server"),
    "vectors of SQLite": ({"vectors": "pgvector"}, "is of PostgreSQL"),
    "an engine without an address": ({"vectors": "chroma"}, "needs its address"),
    "an address without an engine": ({"vectors_url_ref": {"env": "X"}}, "has no server of its own"),
    "an engine's address in a vault": (
        {"vectors": "qdrant", "vectors_url_ref": {"vault": "secret/x#y"}},
        "read from `env` or `file` only",
    ),
    "one for both": (
        {"backend": "postgres", "dsn_ref": {"env": "X"}, "owner_dsn_ref": {"env": "X"}},
        "must not own the tables",
    ),
}


@pytest.mark.parametrize("what", FAULTY)
def test_a_document_whose_storage_does_not_fit_is_refused(tmp_path: Path, what: str) -> None:
    storage, said = FAULTY[what]
    path = write_document(tmp_path / "partywall.yaml", merged(base_document(), encryption={}, storage=storage))

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data"):
            pass

    with pytest.raises(ConfigError, match=said):
        asyncio.run(main())


def test_the_same_role_cannot_own_and_serve(
    tmp_path: Path, partywall: Command, dsns: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVING_DSN", dsns["OWNER_DSN"])
    ended = partywall("storage", "migrate", document(tmp_path))
    assert ended.code == 2
    assert "must be another one" in ended.err


def test_a_move_needs_a_restart(tmp_path: Path, partywall: Command, dsns: dict[str, str]) -> None:
    path = document(tmp_path, tenants=TIERS)
    assert partywall("storage", "migrate", path).code == 0

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            moved = document(tmp_path, tenants={**TIERS, "alpha": {"isolation_strategy": "separate_db"}})
            with pytest.raises(ConfigError, match="needs a restart"):
                await platform.reload(moved.read_bytes())

    asyncio.run(main())


def test_nothing_prints_a_password(
    tmp_path: Path, partywall: Command, dsns: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = dsns["OWNER_DSN"].replace("127.0.0.1", "192.0.2.1").replace("?sslmode=disable", "")
    nowhere = dsns["OWNER_DSN"].replace(f":{postgres_server().port}/", ":1/")
    more = [
        f"postgresql://u:{password}@127.0.0.1/d"
        for password in ("of-the-tests/x", "p@of-the-tests:p", "p,of-the-tests")
    ]
    for broken in (elsewhere, nowhere, "of-the-tests", "mysql://u:of-the-tests@h/d", *more):
        monkeypatch.setenv("OWNER_DSN", broken)
        ended = partywall("storage", "migrate", document(tmp_path))
        assert ended.code == 2
        assert "of-the-tests" not in ended.out + ended.err
        assert "unexpected" not in ended.err
        assert len(ended.err.splitlines()) == 1
