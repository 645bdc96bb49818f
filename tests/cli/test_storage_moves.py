"""Where rows lie, and under whose keys: a change is refused, and never shows tenants an empty place."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from tests.cli.helpers import Command
from tests.stores.places import migrated_database
from tests.support.documents import base_document, headers_of, merged, write_document
from tests.support.engines.postgres import postgres_server

from partywall.errors import ConfigError
from partywall.platform import Platform

SECTIONS = ["conversation_logs", "agent_memory", "user_preferences"]
NAMESPACE = {"rag": {"isolation_strategy": "namespace"}}


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> str:
    """A migrated one, in the environment."""
    name = migrated_database()
    monkeypatch.setenv("SERVING_DSN", postgres_server().dsn(name))
    return name


def document(folder: Path, *, backend: str = "postgres", env: str = "SERVING_DSN", **encryption: object) -> Path:
    storage = {"backend": backend, **({"dsn_ref": {"env": env}} if backend == "postgres" else {})}
    sealed = {"encryption": {"encrypted_per_tenant": SECTIONS, **encryption}}
    folder.mkdir(exist_ok=True)
    return write_document(folder / f"{backend}.yaml", merged(base_document(), **sealed, **NAMESPACE, storage=storage))


async def add(path: Path, data_dir: Path, tenant: str, text: str) -> list[str]:
    """What the tenant remembers once it has stored `text` too."""
    async with Platform.open(path, data_dir=data_dir) as platform:
        scope = await platform.authenticate(headers_of(tenant))
        await platform.memory.add(scope, "helper", text, tags=["tea"])
        return [note.text for note in (await platform.memory.search(scope, "helper", "tea")).items]


def stored(path: Path, data_dir: Path, tenant: str, text: str = "likes tea") -> list[str]:
    return asyncio.run(add(path, data_dir, tenant, text))


# -- Whose keys ---


def test_a_database_is_served_under_one_keyring(tmp_path: Path, database: str) -> None:
    """A second data directory with keys of its own is refused; sharing `keys_dir` and the root is what to do."""
    assert stored(document(tmp_path / "one"), tmp_path / "one/data", "alpha") == ["likes tea"]
    for tenant in ("alpha", "beta"):
        with pytest.raises(ConfigError, match="sealed under other keys") as caught:
            stored(document(tmp_path / "two"), tmp_path / "two/data", tenant)
        assert str(tmp_path / "two/data/keys") in str(caught.value)
        assert "encryption.keys_dir" in str(caught.value)

    shared = {"keys_dir": str(tmp_path / "one/data/keys"), "root_key_file": str(tmp_path / "one/data/root.key")}
    both = stored(document(tmp_path / "three", **shared), tmp_path / "three/data", "alpha", "tea at four")
    assert sorted(both) == ["likes tea", "tea at four"]
    assert stored(document(tmp_path / "three", **shared), tmp_path / "three/data", "beta") == ["likes tea"]


def test_two_first_starts_at_once_agree_on_one(tmp_path: Path, database: str) -> None:
    paths = [(document(tmp_path / str(number)), tmp_path / str(number) / "data") for number in range(4)]

    async def main() -> list[object]:
        starts = (add(path, data, "alpha", "likes tea") for path, data in paths)
        return list(await asyncio.gather(*starts, return_exceptions=True))

    ended = asyncio.run(main())
    assert ended.count(["likes tea"]) == 1, ended
    assert sum("sealed under other keys" in str(each) for each in ended) == len(paths) - 1


def test_rotated_and_restored_keys_are_the_same_keys(tmp_path: Path, partywall: Command, database: str) -> None:
    path, data = document(tmp_path), tmp_path / "data"
    assert stored(path, data, "alpha") == ["likes tea"]
    shutil.copytree(data / "keys", tmp_path / "copy")
    assert partywall("keys", "rotate", "--root", "--all", "--data-dir", data, "--config", path).code == 0
    assert len(stored(path, data, "alpha")) == 2
    shutil.rmtree(data / "keys")
    shutil.copytree(tmp_path / "copy", data / "keys")
    assert len(stored(path, data, "alpha")) == 3


# -- Where ---


def test_from_files_to_a_database_is_refused_until_it_is_confirmed(tmp_path: Path, database: str) -> None:
    files, server, data = document(tmp_path, backend="sqlite"), document(tmp_path), tmp_path / "data"
    assert stored(files, data, "alpha") == ["likes tea"]
    for tenant in ("alpha", "beta"):
        with pytest.raises(ConfigError, match=r"SQLite files.*the document says a PostgreSQL database") as caught:
            stored(server, data, tenant)
        assert f"delete `{data / 'storage.json'}`" in str(caught.value)
    assert len(stored(files, data, "alpha")) == 2, "nothing happened to it"
    (data / "storage.json").unlink()
    assert stored(server, data, "alpha") == ["likes tea"]
    with pytest.raises(ConfigError, match=r"a PostgreSQL database.*the document says SQLite files"):
        stored(files, data, "alpha")


def test_where_nothing_was_stored_yet_there_is_nothing_to_refuse(tmp_path: Path, database: str) -> None:
    async def opened(path: Path) -> None:
        async with Platform.open(path, data_dir=tmp_path / "data"):
            pass

    asyncio.run(opened(document(tmp_path, backend="sqlite")))
    assert stored(document(tmp_path), tmp_path / "data", "alpha") == ["likes tea"]


def test_another_database_is_refused_and_not_claimed(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, data, other = document(tmp_path), tmp_path / "data", migrated_database()
    assert stored(path, data, "alpha") == ["likes tea"]
    there = postgres_server().dsn(database)
    monkeypatch.setenv("SERVING_DSN", postgres_server().dsn(other))
    with pytest.raises(ConfigError, match="another database") as caught:
        stored(path, data, "alpha")
    assert "storage.json" in str(caught.value)
    assert postgres_server().query("SELECT 1 FROM partywall.rows WHERE tenant = '_keys'", database=other) == []
    monkeypatch.setenv("SERVING_DSN", there)
    assert len(stored(path, data, "alpha")) == 2
    monkeypatch.setenv("SERVING_DSN", postgres_server().dsn(other))
    (data / "storage.json").unlink()
    assert stored(path, data, "alpha") == ["likes tea"]


def test_a_note_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    path, data = document(tmp_path, backend="sqlite"), tmp_path / "data"
    assert stored(path, data, "alpha") == ["likes tea"]
    (data / "storage.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"storage\.json` can't be read"):
        stored(path, data, "alpha")


def test_what_only_looks_counts_where_the_rows_are_and_marks_nothing(
    tmp_path: Path, partywall: Command, database: str
) -> None:
    path, data = document(tmp_path), tmp_path / "data"
    assert stored(path, data, "alpha") == ["likes tea"]
    shown = partywall("tenants", "show", "alpha", path, "--data-dir", data)
    assert (shown.code, shown.err) == (0, "")
    assert "memory 3," in shown.out, "the note and its tag, on the server; in the directory are none"
