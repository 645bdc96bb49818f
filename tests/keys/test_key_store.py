"""Wrapped keys in files: nobody's are lost, nobody's come back, and nobody else's are read."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.keys.rings import ALPHA, BETA, BOTH

from partywall.errors import InvalidTenantId, KeyDestroyed, KeyUnavailable
from partywall.keys import ledger as ledger_module
from partywall.keys.key_store import PLATFORM, FileKeyStore
from partywall.keys.wrapped import TenantKeys, WrappedKey
from partywall.tenancy import TenantId

NOW = 1_800_000_000.0


def wrapped(number: int, text: str = "blob") -> WrappedKey:
    return WrappedKey.new(number, created=NOW, root="file", wrapped=f"{text} {number}".encode())


def first(tenant: TenantId) -> TenantKeys:
    return TenantKeys.first(tenant, wrapped(1, f"blob of {tenant}"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def store(place: Path) -> FileKeyStore:
    return FileKeyStore(place)


def stored(store: FileKeyStore, tenant: TenantId) -> TenantKeys:
    keys = store.load(tenant)
    assert keys is not None
    return keys


def test_keys_are_kept_and_found_by_the_next(store: FileKeyStore, place: Path) -> None:
    assert store.load(ALPHA) is None
    for tenant in BOTH:
        assert store.replace(None, first(tenant))
    other = FileKeyStore(place)
    assert [other.load(tenant) for tenant in BOTH] == [first(tenant) for tenant in BOTH]
    assert list(other.tenants()) == [ALPHA, BETA]


@pytest.mark.parametrize("apart", [False, True])
def test_a_destroyed_tenant_is_known_though_its_folder_is_gone(place: Path, tmp_path: Path, apart: bool) -> None:
    store = FileKeyStore(place, shred_ledger=tmp_path / "ledger.jsonl" if apart else None)
    assert list(store.tenants()) == []
    for tenant in BOTH:
        assert store.replace(None, first(tenant))
    receipt = store.destroy(ALPHA, who="cli:me", now=NOW)
    shutil.rmtree(place / ALPHA)
    assert list(store.tenants()) == [ALPHA, BETA]
    assert store.destroy(ALPHA, who="cli:other", now=NOW + 1) == receipt


def test_only_the_present_document_is_replaced(store: FileKeyStore) -> None:
    assert store.replace(None, first(ALPHA))
    second = first(ALPHA).with_next(wrapped(2))
    assert store.replace(first(ALPHA), second)
    assert not store.replace(first(ALPHA), first(ALPHA).with_next(wrapped(2, "lost")))
    assert not store.replace(None, first(ALPHA))
    assert store.load(ALPHA) == second


def test_many_who_rotate_at_once_lose_no_version(place: Path) -> None:
    FileKeyStore(place).replace(None, first(ALPHA))

    def rotate(name: int) -> None:
        store = FileKeyStore(place)
        for turn in range(5):
            while True:
                keys = stored(store, ALPHA)
                if store.replace(keys, keys.with_next(wrapped(keys.current + 1, f"{name}/{turn}"))):
                    break

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(rotate, range(4)))
    versions = stored(FileKeyStore(place), ALPHA).versions
    assert len({version.wrapped.split()[0] for version in versions[1:]}) == 20
    assert len(versions) == 21


def test_every_change_shows_in_the_stamp(store: FileKeyStore, place: Path) -> None:
    stamps = {store.stamp(ALPHA)}
    keys = first(ALPHA)
    store.replace(None, keys)
    stamps.add(store.stamp(ALPHA))
    store.replace(keys, keys.with_next(wrapped(2)))
    stamps.add(store.stamp(ALPHA))
    assert store.stamp(ALPHA) == FileKeyStore(place).stamp(ALPHA)
    FileKeyStore(place).destroy(ALPHA, who="me", now=NOW)
    stamps.add(store.stamp(ALPHA))
    assert len(stamps) == 4


# -- Destruction -----------------------------------------------------------------------------------------------------


def test_a_destroyed_key_is_gone_for_good(store: FileKeyStore, place: Path) -> None:
    for tenant in BOTH:
        store.replace(None, first(tenant))
    receipt = store.destroy(ALPHA, who="an operator", now=NOW)
    assert (receipt.tenant, receipt.versions, receipt.who, receipt.time) == (ALPHA, (1,), "an operator", NOW)
    assert receipt.wrapped_sha256 == (first(ALPHA).versions[0].wrapped_sha256,)
    for each in (store, FileKeyStore(place)):
        with pytest.raises(KeyDestroyed):
            each.load(ALPHA)
        with pytest.raises(KeyDestroyed):
            each.replace(None, first(ALPHA))
        assert each.receipt(ALPHA) == receipt
        assert each.load(BETA) == first(BETA)
        assert each.receipt(BETA) is None
    assert all(b"blob of alpha" not in path.read_bytes() for path in place.rglob("*") if path.is_file())
    assert list(store.tenants()) == [ALPHA, BETA]


def test_the_wrapped_key_is_overwritten_on_the_disk(store: FileKeyStore, place: Path) -> None:
    store.replace(None, first(ALPHA))
    with (place / ALPHA / "keys.json").open("rb") as old:
        size = len(old.read())
        store.destroy(ALPHA, who="me", now=NOW)
        old.seek(0)
        assert old.read() == bytes(size)


def test_a_restored_file_brings_nothing_back(store: FileKeyStore, place: Path, tmp_path: Path) -> None:
    """LESSONS C49."""
    store.replace(None, first(ALPHA))
    shutil.copytree(place / ALPHA, tmp_path / "backup")
    store.destroy(ALPHA, who="me", now=NOW)
    shutil.copytree(tmp_path / "backup", place / ALPHA, dirs_exist_ok=True)
    for each in (store, FileKeyStore(place)):
        with pytest.raises(KeyDestroyed):
            each.load(ALPHA)
    assert b"YmxvYi" in (place / ALPHA / "keys.json").read_bytes()
    again = store.destroy(ALPHA, who="me again", now=NOW + 1)
    assert b"YmxvYi" not in (place / ALPHA / "keys.json").read_bytes()
    assert again.wrapped_sha256 == (first(ALPHA).versions[0].wrapped_sha256,)


def test_a_restored_older_file_is_named_on_the_receipt_too(store: FileKeyStore, place: Path, tmp_path: Path) -> None:
    store.replace(None, first(ALPHA))
    shutil.copytree(place / ALPHA, tmp_path / "backup")
    rewrapped = replace(first(ALPHA), versions=(wrapped(1, "wrapped anew"),))
    assert store.replace(first(ALPHA), rewrapped)
    store.destroy(ALPHA, who="me", now=NOW)
    shutil.copytree(tmp_path / "backup", place / ALPHA, dirs_exist_ok=True)
    again = store.destroy(ALPHA, who="me", now=NOW)
    both = {rewrapped.versions[0].wrapped_sha256, first(ALPHA).versions[0].wrapped_sha256}
    assert set(again.wrapped_sha256) == both
    assert again.versions == (1, 1)


def test_a_ledger_in_another_place_outlives_a_restore_of_everything(place: Path, tmp_path: Path) -> None:
    (tmp_path / "apart").mkdir(mode=0o700)
    path = tmp_path / "apart" / "destroyed.jsonl"
    store = FileKeyStore(place, shred_ledger=path)
    store.replace(None, first(ALPHA))
    shutil.copytree(place, tmp_path / "backup")
    store.destroy(ALPHA, who="me", now=NOW)
    shutil.rmtree(place)
    shutil.copytree(tmp_path / "backup", place)
    with pytest.raises(KeyDestroyed):
        FileKeyStore(place, shred_ledger=path).load(ALPHA)
    assert FileKeyStore(place).load(ALPHA) == first(ALPHA), "without its ledger it would have come back"


def test_a_tombstone_stands_without_a_ledger(store: FileKeyStore, place: Path) -> None:
    store.replace(None, first(ALPHA))
    receipt = store.destroy(ALPHA, who="me", now=NOW)
    (place / "destroyed.jsonl").unlink()
    fresh = FileKeyStore(place)
    with pytest.raises(KeyDestroyed):
        fresh.load(ALPHA)
    assert fresh.destroy(ALPHA, who="somebody", now=NOW + 5) == receipt
    assert (place / "destroyed.jsonl").exists(), "and is entered again"


def test_dying_after_the_ledger_destroys_all_the_same(
    store: FileKeyStore, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.replace(None, first(ALPHA))
    with monkeypatch.context() as patch:
        patch.setattr(FileKeyStore, "_write", _die)
        with pytest.raises(KeyUnavailable, match="planted"):
            store.destroy(ALPHA, who="me", now=NOW)
    with pytest.raises(KeyDestroyed):
        FileKeyStore(place).load(ALPHA)
    FileKeyStore(place).destroy(ALPHA, who="me", now=NOW)
    assert json.loads((place / ALPHA / "keys.json").read_bytes())["destroyed"] is not None


def test_dying_in_the_ledger_destroys_nothing(
    store: FileKeyStore, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A torn line is nobody's receipt; the next one doesn't hang on to it."""
    for tenant in BOTH:
        store.replace(None, first(tenant))
    store.destroy(BETA, who="me", now=NOW)
    with monkeypatch.context() as patch:
        patch.setattr(ledger_module, "append", _tear)
        with pytest.raises(KeyUnavailable, match="planted"):
            store.destroy(ALPHA, who="me", now=NOW)
    assert FileKeyStore(place).load(ALPHA) == first(ALPHA)
    with pytest.raises(KeyDestroyed):
        FileKeyStore(place).load(BETA)
    store.destroy(ALPHA, who="me", now=NOW)
    assert [json.loads(line)["tenant"] for line in (place / "destroyed.jsonl").read_text().splitlines()] == [
        BETA,
        ALPHA,
    ]


def _die(*_: object) -> None:
    raise OSError("planted")


def _tear(path: Path, data: bytes, *, sync: bool) -> None:
    with path.open("ab") as file:
        file.write(data[: len(data) // 2])
    raise OSError("planted")


def test_a_ledger_that_nobody_can_read_refuses_everybody(store: FileKeyStore, place: Path) -> None:
    for tenant in BOTH:
        store.replace(None, first(tenant))
    store.destroy(ALPHA, who="me", now=NOW)
    with (place / "destroyed.jsonl").open("ab") as file:
        file.write(b'{"tenant": "gamma"}\n')
    with pytest.raises(KeyUnavailable, match="missing"):
        FileKeyStore(place).load(BETA)


def test_nothing_is_destroyed_that_never_was(store: FileKeyStore) -> None:
    with pytest.raises(KeyUnavailable, match="never had a key"):
        store.destroy(ALPHA, who="me", now=NOW)
    assert store.replace(None, first(ALPHA)), "and it can still get one"


def test_a_receipt_can_be_completed(store: FileKeyStore, place: Path) -> None:
    store.replace(None, first(ALPHA))
    receipt = store.destroy(ALPHA, who="me", now=NOW)
    assert not receipt.root_confirmed
    store.confirm(replace(receipt, root="done", root_confirmed=True))
    for each in (store, FileKeyStore(place)):
        found = each.receipt(ALPHA)
        assert found is not None
        assert found.root_confirmed
    (place / "destroyed.jsonl").unlink()
    found = FileKeyStore(place).receipt(ALPHA)
    assert found is not None
    assert found.root == "done"


# -- What is refused -------------------------------------------------------------------------------------------------


def test_a_key_file_that_is_missing_is_not_made_anew(store: FileKeyStore, place: Path) -> None:
    for tenant in BOTH:
        store.replace(None, first(tenant))
    (place / ALPHA / "keys.json").unlink()
    with pytest.raises(KeyUnavailable, match="restore it"):
        store.load(ALPHA)
    with pytest.raises(KeyUnavailable, match="restore it"):
        store.replace(None, first(ALPHA))
    assert store.load(BETA) == first(BETA)


def test_one_tenants_file_is_no_good_for_another(store: FileKeyStore, place: Path) -> None:
    for tenant in BOTH:
        store.replace(None, first(tenant))
    shutil.copy(place / ALPHA / "keys.json", place / BETA / "keys.json")
    with pytest.raises(KeyUnavailable, match="another tenant"):
        store.load(BETA)


@pytest.mark.parametrize(
    ("where", "mode"), [("", 0o755), ("alpha", 0o750), ("alpha/keys.json", 0o640), ("alpha/keys.json", 0o604)]
)
def test_looser_modes_are_refused(store: FileKeyStore, place: Path, where: str, mode: int) -> None:
    store.replace(None, first(ALPHA))
    (place / where).chmod(mode)
    with pytest.raises(KeyUnavailable, match="open to others"):
        store.load(ALPHA)
    with pytest.raises(KeyUnavailable, match="open to others"):
        store.replace(first(ALPHA), first(ALPHA).with_next(wrapped(2)))


def test_links_are_refused(store: FileKeyStore, place: Path, tmp_path: Path) -> None:
    for tenant in BOTH:
        store.replace(None, first(tenant))
    shutil.move(place / ALPHA, tmp_path / "moved")
    (place / ALPHA).symlink_to(tmp_path / "moved")
    with pytest.raises(KeyUnavailable, match="not a plain folder"):
        store.load(ALPHA)
    (place / BETA / "keys.json").rename(tmp_path / "beta.json")
    (place / BETA / "keys.json").symlink_to(tmp_path / "beta.json")
    with pytest.raises(KeyUnavailable, match="symbolic links"):
        store.load(BETA)
    (tmp_path / "linked").symlink_to(place)
    with pytest.raises(KeyUnavailable, match="not a plain folder"):
        FileKeyStore(tmp_path / "linked")


@pytest.mark.parametrize("tenant", ["..", ".", "", "Alpha", "a/b", "../alpha", "_other", "a\n"])
def test_what_is_no_tenant_id_is_no_path(store: FileKeyStore, tenant: str) -> None:
    with pytest.raises(InvalidTenantId):
        store.load(TenantId(tenant))
    with pytest.raises(InvalidTenantId):
        store.destroy(TenantId(tenant), who="me", now=NOW)


def test_the_platform_has_a_place_that_no_tenant_can_have(store: FileKeyStore) -> None:
    assert store.replace(None, first(PLATFORM))
    assert store.load(PLATFORM) == first(PLATFORM)
    assert list(store.tenants()) == [PLATFORM]


def test_what_is_no_tenants_folder_is_not_listed(store: FileKeyStore, place: Path) -> None:
    store.replace(None, first(ALPHA))
    for name in ("lost+found", "Beta"):
        (place / name).mkdir(mode=0o700)
        (place / name / "keys.json").touch(0o600)
    assert list(store.tenants()) == [ALPHA]
