from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest
from tests.trail.records import ALPHA, BETA, end, file_of, new_record, open_trail

from partywall.errors import InvalidTenantId, TrailUnavailable
from partywall.tenancy import TenantId
from partywall.trail.placement import Placement


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_folders_and_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path / "data") as trail:
            await trail.admit(new_record(ALPHA))
            await trail.admit(new_record(None))
            found = sorted((tmp_path / "data").rglob("*"))
            names = {path.name for path in found}
            assert {"decisions.db", "decisions.db-wal", "decisions.db-shm"} <= names
            for path in found:
                assert mode_of(path) == (0o700 if path.is_dir() else 0o600), path

    before = os.umask(0)
    try:
        asyncio.run(main())
    finally:
        os.umask(before)


def test_what_was_opened_to_others_is_closed_again(tmp_path: Path) -> None:
    placement = Placement(tmp_path)
    path = placement.make(ALPHA)
    path.chmod(0o644)
    path.parent.chmod(0o755)
    placement.make(ALPHA)
    assert (mode_of(path), mode_of(path.parent)) == (0o600, 0o700)


@pytest.mark.parametrize(
    "name", ["", "..", ".", "../beta", "Beta", "beta/", "beta\n", "béta", "a" * 64, "-beta", "/beta"]
)
def test_what_is_no_tenant_id_never_becomes_a_path(tmp_path: Path, name: str) -> None:
    placement = Placement(tmp_path)
    for use in (placement.file_of, placement.make, placement.find):
        with pytest.raises(InvalidTenantId):
            use(TenantId(name))
    assert list(tmp_path.iterdir()) == []


def test_a_tenants_folder_that_leads_to_another_is_refused(tmp_path: Path) -> None:
    placement = Placement(tmp_path)
    placement.make(BETA)
    (tmp_path / "tenants" / "alpha").symlink_to(tmp_path / "tenants" / "beta")
    with pytest.raises(TrailUnavailable, match="could lead to another tenant"):
        placement.make(ALPHA)
    with pytest.raises(TrailUnavailable, match="could lead to another tenant"):
        placement.find(ALPHA)


def test_a_folder_of_tenants_that_is_elsewhere_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "tenants").symlink_to(elsewhere)
    with pytest.raises(TrailUnavailable, match="not a plain folder"):
        Placement(data_dir).make(ALPHA)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_one_file_under_two_tenants_names_is_refused(tmp_path: Path, link: object) -> None:
    assert callable(link)
    placement = Placement(tmp_path)
    betas = placement.make(BETA)
    alphas = placement.make(ALPHA)
    alphas.unlink()
    link(betas, alphas)
    for use in (placement.make, placement.find):
        with pytest.raises(TrailUnavailable, match="two tenants"):
            use(ALPHA)


def test_a_link_made_under_an_open_file_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            await trail.admit(end(new_record(BETA)))
            (tmp_path / "tenants" / "alpha").mkdir(mode=0o700)
            os.link(file_of(tmp_path, BETA), file_of(tmp_path, ALPHA))
            with pytest.raises(TrailUnavailable, match="two tenants"):
                await trail.admit(new_record(ALPHA))
            with pytest.raises(TrailUnavailable, match="two tenants"):
                await trail.admit(new_record(BETA))

    asyncio.run(main())


def test_tenants_are_listed_by_their_files(tmp_path: Path) -> None:
    placement = Placement(tmp_path)
    assert list(placement.tenants()) == []
    placement.make(BETA)
    placement.make(ALPHA)
    placement.make(None)
    (tmp_path / "tenants" / "empty").mkdir()
    (tmp_path / "tenants" / "lost+found").mkdir()
    assert list(placement.tenants()) == ["alpha", "beta"]


def test_finding_makes_nothing(tmp_path: Path) -> None:
    assert Placement(tmp_path).find(ALPHA) is None
    assert Placement(tmp_path).find(None) is None
    assert list(tmp_path.iterdir()) == []
