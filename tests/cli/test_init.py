from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tests.cli.helpers import Command, status_of
from tests.support.process import serve

from partywall.errors import ConfigError
from partywall.keys import FileRoot

_KEY = re.compile(r"pw_[\w-]{43}")


def test_it_writes_a_document_that_lints_clean(partywall: Command, tmp_path: Path) -> None:
    ended = partywall("init")
    assert ended.code == 0
    assert "partywall lint partywall.yaml" in ended.out
    linted = partywall("lint", "partywall.yaml", "--format", "json")
    assert (linted.code, linted.json["findings"]) == (0, [])


def test_it_writes_a_document_that_serves(partywall: Command, tmp_path: Path) -> None:
    keys = {made["for"]: made["api_key"] for made in partywall("init", "--format", "json").json["keys"]}
    assert set(keys) == {"alpha", "beta", "operator"}
    with serve(tmp_path / "partywall.yaml", tmp_path / "data") as served:
        for tenant in ("alpha", "beta"):
            assert status_of(served.url, "/v1/models", keys[tenant]) == 200
        assert status_of(served.url, "/v1/models", keys["operator"]) == 401
        assert status_of(served.url, "/admin/v1/config", keys["operator"]) == 200
        assert status_of(served.url, "/admin/v1/config", keys["alpha"]) == 401


def test_the_keys_are_shown_once_and_kept_nowhere(partywall: Command, tmp_path: Path) -> None:
    shown = _KEY.findall(partywall("init").out)
    assert len(set(shown)) == 3
    written = (tmp_path / "partywall.yaml").read_text()
    assert not _KEY.search(written)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["partywall-root.key", "partywall.yaml"]


def test_the_root_key_is_its_owners_alone_and_shown_nowhere(partywall: Command, tmp_path: Path) -> None:
    ended = partywall("init")
    root_key = tmp_path / "partywall-root.key"
    assert root_key.stat().st_mode & 0o777 == 0o600
    secret = root_key.read_text().split()[-1]
    assert len(secret) == 64
    assert secret not in ended.out + (tmp_path / "partywall.yaml").read_text()
    assert "partywall-root.key. Copy it now" in ended.out
    encryption = yaml.safe_load((tmp_path / "partywall.yaml").read_text())["encryption"]
    assert encryption == {"root_key_file": "partywall-root.key", "encrypted_per_tenant": ["audit_logs"]}


def test_a_root_key_is_never_overwritten(partywall: Command, tmp_path: Path) -> None:
    partywall("init")
    before = (tmp_path / "partywall-root.key").read_bytes()
    ended = partywall("init", "other.yaml")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("partywall-root.key: exists already")
    assert not (tmp_path / "other.yaml").exists()
    for path in ("partywall.yaml", "other.yaml"):
        assert partywall("init", path, "--force").code == 0
        assert (tmp_path / "partywall-root.key").read_bytes() == before


def test_no_two_documents_share_a_key(partywall: Command, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        assert partywall("init", f"{folder}/partywall.yaml").code == 0
    a, b = (yaml.safe_load((tmp_path / folder / "partywall.yaml").read_text()) for folder in ("a", "b"))
    assert (tmp_path / "a/partywall-root.key").read_bytes() != (tmp_path / "b/partywall-root.key").read_bytes()
    assert not set(_digests(a)) & set(_digests(b))
    assert len(set(_digests(a))) == 3


def _digests(document: dict[str, dict[str, list[dict[str, list[str]]]]]) -> list[str]:
    groups = [key for group in document["consumer_groups"]["groups"] for key in group["api_keys"]]
    return groups + document["server"]["admin"]["api_keys"]  # type: ignore[call-overload,no-any-return]  # YAML of the test's own


def test_an_existing_document_is_left_alone(partywall: Command, tmp_path: Path) -> None:
    (tmp_path / "partywall.yaml").write_text("mine")
    ended = partywall("init")
    assert ended.code == 2
    assert ended.out == ""
    assert "exists already" in ended.err
    assert (tmp_path / "partywall.yaml").read_text() == "mine"
    assert not (tmp_path / "partywall-root.key").exists()


def test_force_overwrites(partywall: Command, tmp_path: Path) -> None:
    (tmp_path / "partywall.yaml").write_text("mine")
    assert partywall("init", "--force").code == 0
    assert "consumer_groups" in (tmp_path / "partywall.yaml").read_text()


def test_a_folder_that_is_not_there_is_one_line(partywall: Command, tmp_path: Path) -> None:
    ended = partywall("init", "nowhere/partywall.yaml")
    said = "the root key file `nowhere/partywall-root.key` can't be made: No such file or directory\n"
    assert (ended.code, ended.out, ended.err) == (2, "", said)


def test_a_root_key_that_cannot_be_made_leaves_nothing_behind(
    partywall: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise ConfigError(f"the root key file `{path}` can't be made: No space left on device")

    monkeypatch.setattr(FileRoot, "create", refuse)
    ended = partywall("init")
    assert (ended.code, ended.out) == (2, "")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine.yaml").write_text("mine")
    assert partywall("init", "mine.yaml", "--force").code == 2
    assert (tmp_path / "mine.yaml").read_text() == "mine"
