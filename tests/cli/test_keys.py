from __future__ import annotations

import json
import os
import pty
import pwd
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.cli.helpers import Command, Ended, spawn, start
from tests.cli.sealed import SEALING, ask, document_in, halves, key_versions, sealed_data
from tests.support.documents import KEYS, base_document, merged, write_document
from tests.support.inprocess import Reply
from tests.support.process import serve
from tests.support.raw import RawConnection, chat_body, request

from partywall.errors import KeyUnavailable
from partywall.keys.key_store import FileKeyStore

_ME = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"


def _one_line(ended: Ended) -> str:
    """What a command said when it couldn't do its work."""
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    return ended.err.rstrip("\n")


# -- list ---


def test_everybody_who_has_a_key_is_listed(partywall: Command, sealed_dir: Path) -> None:
    listed = partywall("keys", "list", "--data-dir", sealed_dir, "--format", "json").json
    assert [each["tenant"] for each in listed] == ["_platform", "alpha", "beta"]
    for each in listed:
        assert (each["state"], each["current"], each["min_decryption_version"]) == ("in use", 1, 1)
        assert [version["root"] for version in each["versions"]] == ["file"]
        assert abs(time.time() - each["versions"][0]["created"]) < 60
    lines = partywall("keys", "list", "--data-dir", sealed_dir).out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["_platform", "alpha", "beta"]
    assert all(line.split()[-2:] == ["in", "use"] for line in lines[2:])


def test_one_tenants_key(partywall: Command, sealed_dir: Path) -> None:
    (alone,) = partywall("keys", "list", "--data-dir", sealed_dir, "--tenant", "beta", "--format", "json").json
    assert alone["tenant"] == "beta"
    assert "`gamma` has no key" in _one_line(partywall("keys", "list", "--data-dir", sealed_dir, "--tenant", "gamma"))


def test_another_root_than_wrapped_a_key_is_due(partywall: Command, tmp_path: Path, sealed_dir: Path) -> None:
    elsewhere = {"vault_config": {"address": "http://127.0.0.1:9", "auth": {"token_ref": {"env": "NO_TOKEN"}}}}
    document = write_document(tmp_path / "other.yaml", merged(base_document(), encryption=SEALING | elsewhere))
    # Listing asks no root, but it logs in to none without its secret either.
    listing = ("keys", "list", "--data-dir", sealed_dir, "--config", document, "--format", "json")
    assert "NO_TOKEN" in _one_line(partywall(*listing))
    os.environ["NO_TOKEN"] = "token"
    try:
        assert [each["rewrap_due"] for each in partywall(*listing).json] == [True] * 3
    finally:
        del os.environ["NO_TOKEN"]


# -- rotate, rewrap ---


def test_a_rotation_is_one_tenants_and_what_was_sealed_still_opens(partywall: Command, sealed_dir: Path) -> None:
    assert partywall("keys", "rotate", "--data-dir", sealed_dir, "--tenant", "alpha").out == (
        "alpha: version 2 seals from now on\n"
    )
    current = {each["tenant"]: each["current"] for each in _list(partywall, sealed_dir)}
    assert current == {"_platform": 1, "alpha": 2, "beta": 1}
    assert ask(sealed_dir.parent / "doc.yaml", sealed_dir, "alpha", "beta") == [200, 200]
    assert (key_versions(sealed_dir, "alpha"), key_versions(sealed_dir, "beta")) == ({1, 2}, {1})
    for tenant in ("alpha", "beta"):
        assert len(_events(partywall, sealed_dir, tenant)) == 4


def test_all_are_rotated_and_the_platforms_own(partywall: Command, sealed_dir: Path) -> None:
    done = partywall("keys", "rotate", "--data-dir", sealed_dir, "--all", "--format", "json").json
    assert done == [{"tenant": tenant, "version": 2} for tenant in ("_platform", "alpha", "beta")]


def test_the_root_key_is_rotated_once_and_everybody_wrapped_anew(partywall: Command, sealed_dir: Path) -> None:
    root, wrapped = sealed_dir / "root.key", {tenant: _wrapped(sealed_dir, tenant) for tenant in ("alpha", "beta")}
    done = partywall("keys", "rotate", "--root", "--all", "--data-dir", sealed_dir, "--format", "json").json
    assert done == [{"tenant": tenant, "rewrapped": 1} for tenant in ("_platform", "alpha", "beta")]
    assert len(root.read_text().splitlines()) == 1 + 2
    for tenant, before in wrapped.items():
        assert _wrapped(sealed_dir, tenant) != before
        assert len(_events(partywall, sealed_dir, tenant)) == 3
    # The first version of the root key is needed for nothing any more.
    header, first, second = root.read_text().splitlines()
    root.write_text("\n".join([header, f"1 {'0' * 64}", second, ""]))
    assert first not in root.read_text()
    assert len(_events(partywall, sealed_dir, "alpha")) == 3


def test_one_tenants_root_key_may_be_everybodys(partywall: Command, sealed_dir: Path) -> None:
    beta = _wrapped(sealed_dir, "beta")
    ended = partywall("keys", "rotate", "--root", "--tenant", "alpha", "--data-dir", sealed_dir)
    assert ended.out == "alpha: 1 version wrapped anew\n"
    assert "`partywall keys rewrap --all`" in ended.err
    assert _wrapped(sealed_dir, "beta") == beta
    assert partywall("keys", "rewrap", "--all", "--data-dir", sealed_dir).out.splitlines() == [
        f"{tenant}: 1 version wrapped anew" for tenant in ("_platform", "alpha", "beta")
    ]
    assert _wrapped(sealed_dir, "beta") != beta


def test_it_must_be_said_whose(partywall: Command, sealed_dir: Path) -> None:
    for command in ("rotate", "rewrap"):
        for whose in ((), ("--all", "--tenant", "alpha")):
            ended = partywall("keys", command, "--data-dir", sealed_dir, *whose)
            assert (ended.code, ended.out) == (2, "")
            assert "say whose" in ended.err


def test_one_tenants_broken_keys_hold_up_nobody_else(partywall: Command, sealed_dir: Path) -> None:
    (sealed_dir / "keys/alpha/keys.json").write_text("{}")
    ended = partywall("keys", "rotate", "--all", "--data-dir", sealed_dir)
    assert ended.code == 2
    assert [line.partition(":")[0] for line in ended.out.splitlines()] == ["_platform", "beta"]
    assert ended.err.startswith("the keys of `alpha` can't be used")
    states = {each["tenant"]: each["state"] for each in _list(partywall, sealed_dir)}
    assert states == {"_platform": "in use", "alpha": "unreadable", "beta": "in use"}


# -- reseal ---


def test_old_records_are_sealed_under_the_current_version(partywall: Command, sealed_dir: Path) -> None:
    partywall("keys", "rotate", "--data-dir", sealed_dir, "--all")
    before = {tenant: _events(partywall, sealed_dir, tenant) for tenant in ("alpha", "beta")}
    untouched = halves(sealed_dir, "beta")
    ended = partywall("keys", "reseal", "--data-dir", sealed_dir, "--tenant", "alpha")
    assert (ended.code, ended.out) == (0, "alpha: 6 halves of records, 6 of them sealed anew\n")
    assert (key_versions(sealed_dir, "alpha"), key_versions(sealed_dir, "beta")) == ({2}, {1})
    assert halves(sealed_dir, "beta") == untouched
    done = {
        each["tenant"]: each for each in partywall("keys", "reseal", "--data-dir", sealed_dir, "--format", "json").json
    }
    assert {tenant: each["resealed"] for tenant, each in done.items()} == {"_platform": 2, "alpha": 0, "beta": 6}
    assert key_versions(sealed_dir, None) == key_versions(sealed_dir, "beta") == {2}
    assert {tenant: _events(partywall, sealed_dir, tenant) for tenant in before} == before
    assert not list(sealed_dir.glob("keys/*/reseal*"))


def test_resealing_ends_the_need_of_old_versions(partywall: Command, tmp_path: Path, sealed_dir: Path) -> None:
    partywall("keys", "rotate", "--data-dir", sealed_dir, "--all")
    partywall("keys", "reseal", "--data-dir", sealed_dir, "--tenant", "alpha")
    document_in(tmp_path, rotation_policy={"min_decryption_version": 2})
    assert len(_events(partywall, sealed_dir, "alpha")) == 3
    ended = partywall("events", "export", "--data-dir", sealed_dir, "--tenant", "beta")
    assert (ended.code, ended.out) == (0, "")
    assert "alarm: decisions of tenant `beta`, row 1: the admission doesn't open: version_refused" in ended.err


def test_what_does_not_open_is_left_and_named(partywall: Command, sealed_dir: Path) -> None:
    partywall("keys", "rotate", "--data-dir", sealed_dir, "--all")
    _swap_first_admission(sealed_dir, "alpha", halves(sealed_dir, "beta")[0])
    ended = partywall("keys", "reseal", "--data-dir", sealed_dir, "--tenant", "alpha")
    assert (ended.code, ended.out) == (1, "alpha: 6 halves of records, 5 of them sealed anew\n")
    assert "alarm: alpha: 1 halves don't open and were left alone: dec_" in ended.err
    assert halves(sealed_dir, "alpha")[0] == halves(sealed_dir, "beta")[0]


def test_what_was_never_sealed_stays_as_it_is(partywall: Command, tmp_path: Path) -> None:
    plain = write_document(tmp_path / "doc.yaml", base_document())
    assert ask(plain, tmp_path / "data", "alpha", "beta") == [200, 200]
    before = halves(tmp_path / "data", "alpha")
    sealed_dir = sealed_data(tmp_path)
    partywall("keys", "rotate", "--data-dir", sealed_dir, "--all")
    ended = partywall("keys", "reseal", "--data-dir", sealed_dir, "--tenant", "alpha")
    assert (ended.code, ended.out) == (0, "alpha: 6 halves of records, 6 of them sealed anew\n")
    assert halves(sealed_dir, "alpha")[:2] == before


def test_resealing_beside_a_gateway_that_writes(partywall: Command, tmp_path: Path, sealed_dir: Path) -> None:
    with serve(tmp_path / "doc.yaml", sealed_dir) as served:
        connections = {tenant: RawConnection(served.url) for tenant in KEYS}
        for tenant, connection in connections.items():
            assert _status(connection, tenant) == 200
        partywall("keys", "rotate", "--data-dir", sealed_dir, "--all")
        resealing = spawn("keys", "reseal", "--data-dir", sealed_dir)
        asked = 0
        while resealing.poll() is None:
            for tenant, connection in connections.items():
                assert _status(connection, tenant) == 200
            asked += 1
        out, err = resealing.communicate()
        assert (resealing.returncode, err) == (0, ""), out
        for connection in connections.values():
            connection.close()
    for tenant in KEYS:
        events = _events(partywall, sealed_dir, tenant)
        assert len(events) == 3 + 1 + asked
        assert {event["outcome"] for event in events} == {"completed"}
        assert key_versions(sealed_dir, tenant) == {2}


# -- destroy ---


def test_a_running_gateway_refuses_the_tenant_and_nobody_reads_its_records(
    partywall: Command, tmp_path: Path, sealed_dir: Path
) -> None:
    with serve(tmp_path / "doc.yaml", sealed_dir) as served:
        alpha, beta = (RawConnection(served.url) for _ in KEYS)
        assert (_status(alpha, "alpha"), _status(beta, "beta")) == (200, 200)
        ended = partywall("keys", "destroy", "--data-dir", sealed_dir, "--tenant", "alpha", "--yes")
        assert ended.code == 0
        destroyed = time.monotonic()
        while (answer := _answer(alpha, "alpha")).status == 200:
            assert time.monotonic() - destroyed < 1.0
        assert (answer.status, answer.code) == (503, "trail_unavailable")
        assert _status(beta, "beta") == 200
        for connection in (alpha, beta):
            connection.close()
    gone = _one_line(partywall("events", "export", "--data-dir", sealed_dir, "--tenant", "alpha"))
    assert gone.startswith("decisions are sealed under a key that was destroyed")
    everybodys = partywall("events", "export", "--data-dir", sealed_dir, "--format", "json")
    assert everybodys.code == 0
    assert {orjson.loads(line)["tenant"] for line in everybodys.out.splitlines()} == {"beta", None}
    assert everybodys.err.startswith("alarm: decisions of tenant `alpha`: ")


def test_the_receipt(partywall: Command, tmp_path: Path, sealed_dir: Path) -> None:
    partywall("keys", "rotate", "--data-dir", sealed_dir, "--tenant", "alpha")
    destroying = ("keys", "destroy", "--data-dir", sealed_dir, "--tenant", "alpha", "--yes")
    first = partywall(*destroying, "--receipt", tmp_path / "receipt.json", "--format", "json").json
    assert (tmp_path / "receipt.json").stat().st_mode & 0o777 == 0o600
    written = json.loads((tmp_path / "receipt.json").read_text())
    place = {
        "document": str(tmp_path / "doc.yaml"),
        "keys_dir": str(sealed_dir / "keys"),
        "root_key": str(sealed_dir / "root.key"),
    }
    assert first == written | {"destroyed_before": False} | place
    assert (written["tenant"], written["versions"], written["who"]) == ("alpha", [1, 2], _ME)
    second = partywall(*destroying, "--format", "json").json
    assert second == written | {"destroyed_before": True} | place
    told = partywall(*destroying).out
    assert told.startswith("The key of `alpha` had been destroyed before; this is its receipt.\n")
    assert all(named in told for named in place.values())
    assert all(digest in told for digest in written["wrapped_sha256"])
    states = {each["tenant"]: each["state"] for each in _list(partywall, sealed_dir)}
    assert states == {"_platform": "in use", "alpha": "destroyed", "beta": "in use"}


def test_a_receipt_that_meets_a_full_disk_is_shown_and_the_key_is_said_to_be_destroyed(
    partywall: Command, tmp_path: Path, sealed_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, path = os.fdopen, tmp_path / "receipt.json"

    def full(descriptor: int, *arguments: Any, **options: Any) -> Any:
        if Path(f"/proc/self/fd/{descriptor}").resolve() != path:
            return whole(descriptor, *arguments, **options)
        os.close(descriptor)
        return whole(os.open("/dev/full", os.O_WRONLY), *arguments, **options)

    monkeypatch.setattr(os, "fdopen", full)
    destroying = ("keys", "destroy", "--data-dir", sealed_dir, "--tenant", "alpha", "--yes", "--receipt", path)
    ended = partywall(*destroying)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert ended.out.startswith("The key of `alpha` is destroyed.\n")
    assert ended.err.startswith(f"the key of `alpha` is destroyed, but {path} could not be written: No space left")
    assert f"the shred ledger {sealed_dir / 'keys/destroyed.jsonl'}" in ended.err
    assert not path.exists()
    assert partywall(*destroying[:-2]).code == 0


@pytest.mark.parametrize("step", ["_write", "confirm"])
def test_a_disk_that_fills_up_during_the_destruction_hides_no_destroyed_key(
    partywall: Command, tmp_path: Path, sealed_dir: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise KeyUnavailable("the keys of `alpha` can't be used: No space left on device")

    destroying = ("keys", "destroy", "--data-dir", sealed_dir, "--tenant", "alpha", "--yes")
    with monkeypatch.context() as patched:
        patched.setattr(FileKeyStore, step, full)
        ended = partywall(*destroying, "--receipt", tmp_path / "receipt.json")
    assert ended.code == 2
    assert ended.out.startswith("The key of `alpha` is destroyed.\n")
    assert "the key of `alpha` is destroyed; run this again to finish: the keys of `alpha` can't" in ended.err
    assert json.loads((tmp_path / "receipt.json").read_text())["root_confirmed"] is False
    finished = partywall(*destroying)
    assert (finished.code, finished.err) == (0, "")
    assert '"wrapped"' not in (sealed_dir / "keys/alpha/keys.json").read_text()


def test_a_tenant_whose_folder_is_gone_is_listed_as_destroyed(partywall: Command, sealed_dir: Path) -> None:
    destroying = ("keys", "destroy", "--data-dir", sealed_dir, "--tenant", "alpha", "--yes")
    assert partywall(*destroying).code == 0
    shutil.rmtree(sealed_dir / "keys/alpha")
    states = {each["tenant"]: each["state"] for each in _list(partywall, sealed_dir)}
    assert states == {"_platform": "in use", "alpha": "destroyed", "beta": "in use"}
    assert partywall(*destroying).out.startswith("The key of `alpha` had been destroyed before")


@pytest.mark.parametrize("original", ["there", "gone", "another"])
def test_a_copied_data_directory_does_not_reach_the_originals_keys(
    partywall: Command, tmp_path: Path, original: str
) -> None:
    document = document_in(tmp_path, keys_dir="wrapped")
    assert ask(document, tmp_path / "data", "alpha", "beta") == [200, 200]
    before = (tmp_path / "wrapped/alpha/keys.json").read_bytes()
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "data", copy)
    if original != "there":
        (tmp_path / "data").rename(tmp_path / "away")
    if original == "another":  # at the path that was noted, and not the directory that was there
        copy = copy.rename(tmp_path / "data")
    for command, options in _EACH.items():
        said = _one_line(partywall("keys", command, "--data-dir", copy, *options))
        assert said.startswith(f"{copy}: is a copy, was moved")
        assert said.endswith("name it with --config")
    assert (tmp_path / "wrapped/alpha/keys.json").read_bytes() == before
    named = partywall("keys", "destroy", "--data-dir", copy, "--config", document, "--tenant", "alpha")
    assert named.code == 2
    for path in (document, tmp_path / "wrapped", copy / "root.key"):
        assert str(path) in named.err
    assert (tmp_path / "wrapped/alpha/keys.json").read_bytes() == before


def test_where_the_receipt_cannot_be_written_nothing_is_destroyed(
    partywall: Command, tmp_path: Path, sealed_dir: Path
) -> None:
    (tmp_path / "mine").write_text("mine")
    destroying = ("keys", "destroy", "--data-dir", sealed_dir, "--tenant", "alpha", "--yes", "--receipt")
    assert "mine: exists already" in _one_line(partywall(*destroying, tmp_path / "mine"))
    assert "No such file or directory" in _one_line(partywall(*destroying, tmp_path / "nowhere" / "receipt"))
    assert (tmp_path / "mine").read_text() == "mine"
    assert len(_events(partywall, sealed_dir, "alpha")) == 3


def test_a_destruction_that_fails_leaves_no_receipt(partywall: Command, tmp_path: Path, sealed_dir: Path) -> None:
    (sealed_dir / "keys/alpha/keys.json").chmod(0o644)
    ended = partywall(
        "keys", "destroy", "--data-dir", sealed_dir, "--tenant", "alpha", "--yes", "--receipt", tmp_path / "receipt"
    )
    assert "chmod 600" in _one_line(ended)
    assert not (tmp_path / "receipt").exists()


@pytest.mark.parametrize(("typed", "code"), [("alpha\n", 0), ("beta\n", 2), ("Alpha\n", 2), ("yes\n", 2), ("", 2)])
def test_it_asks_for_the_tenants_id(partywall: Command, sealed_dir: Path, typed: str, code: int) -> None:
    destroying = ("keys", "destroy", "--data-dir", sealed_dir, "--tenant", "alpha")
    with start(destroying, stdin=subprocess.PIPE) as process:
        out, said = process.communicate(typed, timeout=20)
    assert process.returncode == code
    assert bool(out) is (code == 0)
    assert "Type the tenant's id" in said
    assert ("nothing was destroyed" in said) is (code == 2)
    state = {each["tenant"]: each["state"] for each in _list(partywall, sealed_dir)}
    assert state["alpha"] == ("destroyed" if code == 0 else "in use")
    assert state["beta"] == "in use"


def test_nobodys_key_is_not_destroyed(partywall: Command, sealed_dir: Path) -> None:
    for tenant in ("gamma", "alph"):
        ended = partywall("keys", "destroy", "--data-dir", sealed_dir, "--tenant", tenant, "--yes")
        assert f"`{tenant}` has no key" in _one_line(ended)
        assert not (sealed_dir / "keys" / tenant).exists()
    assert partywall("keys", "destroy", "--data-dir", sealed_dir, "--yes").code == 2
    assert partywall("keys", "destroy", "--data-dir", sealed_dir, "--tenant", "_platform", "--yes").code == 2


# -- audit ---


def test_who_used_which_keys_for_what(partywall: Command, sealed_dir: Path) -> None:
    partywall("keys", "rotate", "--data-dir", sealed_dir, "--tenant", "alpha")
    _events(partywall, sealed_dir, "alpha")
    uses = _audit(partywall, sealed_dir, "--tenant", "alpha")
    assert {use["tenant"] for use in uses} == {"alpha"}
    (rotation,) = (use for use in uses if use["operation"] == "rotate")
    assert (rotation["service"], rotation["requestor"], rotation["key_version"]) == ("cli", _ME, 2)
    opened = [use for use in uses if use["operation"] == "open"]
    assert sum(use["count"] for use in opened) == 6
    assert {(use["service"], use["requestor"], use["store"]) for use in opened} == {("cli", _ME, "trail")}
    sealed = [use for use in uses if use["operation"] == "seal"]
    assert {(use["service"], use["requestor"]) for use in sealed} == {("partywall", "trail")}
    assert {use["tenant"] for use in _audit(partywall, sealed_dir)} == {"alpha", "beta", "_platform"}


def test_refusals_and_what_changed_a_key_stand_out(partywall: Command, sealed_dir: Path) -> None:
    partywall("keys", "destroy", "--data-dir", sealed_dir, "--tenant", "alpha", "--yes")
    partywall("events", "export", "--data-dir", sealed_dir, "--tenant", "alpha")
    ended = partywall("keys", "audit", "--data-dir", sealed_dir, "--tenant", "alpha")
    lines = [line.split() for line in ended.out.splitlines()]
    marked = {line[4]: line[0] for line in lines if line and line[0] in ("!", "*")}
    assert marked == {"create": "*", "destroy": "*", "refused": "!"}
    assert "open: key_unavailable" in ended.out
    assert ended.out.splitlines()[-1].endswith(" uses, 1 of them refused")
    betas = partywall("keys", "audit", "--data-dir", sealed_dir, "--tenant", "beta").out
    assert betas.splitlines()[-1].endswith(" uses, 0 of them refused")


def test_since_when(partywall: Command, sealed_dir: Path) -> None:
    assert _audit(partywall, sealed_dir, "--since", "1h") == _audit(partywall, sealed_dir)
    assert _audit(partywall, sealed_dir, "--since", "2100-01-01") == []
    assert "0 uses" in partywall("keys", "audit", "--data-dir", sealed_dir, "--since", "2100-01-01").out


def test_an_audit_needs_no_root_and_tells_of_what_it_cannot_read(partywall: Command, sealed_dir: Path) -> None:
    (sealed_dir / "root.key").unlink()
    with (sealed_dir / "keys/alpha/uses.jsonl").open("a") as file:
        file.write("half a li")
    ended = partywall("keys", "audit", "--data-dir", sealed_dir, "--tenant", "alpha", "--format", "json")
    assert ended.code == 0
    assert ended.err == "alarm: 1 records of uses of `alpha` can't be read\n"
    assert "nobody ever asked for a key of `gamma`" in _one_line(
        partywall("keys", "audit", "--data-dir", sealed_dir, "--tenant", "gamma")
    )
    assert not (sealed_dir / "keys/gamma").exists()


# -- What every one of them says when it can't ---

_EACH = {
    "list": (),
    "rotate": ("--tenant", "alpha"),
    "rewrap": ("--tenant", "alpha"),
    "reseal": ("--tenant", "alpha"),
    "destroy": ("--tenant", "alpha", "--yes"),
    "audit": ("--tenant", "alpha"),
}


@pytest.mark.parametrize("command", _EACH)
def test_a_document_without_encryption(partywall: Command, tmp_path: Path, command: str) -> None:
    document = write_document(tmp_path / "doc.yaml", base_document())
    assert ask(document, tmp_path / "data", "alpha") == [200]
    said = _one_line(partywall("keys", command, "--data-dir", tmp_path / "data", *_EACH[command]))
    assert said == f"{document}: has no `encryption`, so there are no keys; --config names another document"


@pytest.mark.parametrize("command", _EACH)
def test_nothing_is_made_where_there_are_no_keys(partywall: Command, tmp_path: Path, command: str) -> None:
    config = ("--config", document_in(tmp_path))
    said = _one_line(partywall("keys", command, "--data-dir", tmp_path / "data", *config, *_EACH[command]))
    assert "no keys yet" in said
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", ["rotate", "rewrap", "reseal"])
def test_a_root_that_is_down(partywall: Command, sealed_dir: Path, command: str) -> None:
    if command == "reseal":
        partywall("keys", "rotate", "--data-dir", sealed_dir, "--tenant", "alpha")
    (sealed_dir / "root.key").unlink()
    said = _one_line(partywall("keys", command, "--data-dir", sealed_dir, *_EACH[command]))
    assert f"the root key file `{sealed_dir / 'root.key'}` is " in said
    assert said.endswith("put it back from its copy")
    assert not (sealed_dir / "root.key").exists()


def test_without_its_root_a_key_is_destroyed_all_the_same(partywall: Command, sealed_dir: Path) -> None:
    (sealed_dir / "root.key").unlink()
    assert partywall("keys", "destroy", "--data-dir", sealed_dir, "--tenant", "alpha", "--yes").code == 0


@pytest.mark.parametrize("command", [name for name in _EACH if name != "audit"])
def test_keys_that_others_can_read(partywall: Command, sealed_dir: Path, command: str) -> None:
    (sealed_dir / "keys").chmod(0o755)
    said = _one_line(partywall("keys", command, "--data-dir", sealed_dir, *_EACH[command]))
    assert f"run: chmod 700 {sealed_dir / 'keys'}" in said


def test_a_root_key_that_others_can_read(partywall: Command, sealed_dir: Path) -> None:
    (sealed_dir / "root.key").chmod(0o640)
    said = _one_line(partywall("keys", "rotate", "--data-dir", sealed_dir, "--tenant", "alpha"))
    assert said.endswith(f"is open to others (mode 640); run: chmod 600 {sealed_dir / 'root.key'}")


def test_the_document_is_the_one_that_was_served_unless_another_is_named(
    partywall: Command, tmp_path: Path, sealed_dir: Path
) -> None:
    (tmp_path / "doc.yaml").rename(tmp_path / "moved.yaml")
    assert "doc.yaml: no such file" in _one_line(partywall("keys", "list", "--data-dir", sealed_dir))
    assert partywall("keys", "list", "--data-dir", sealed_dir, "--config", tmp_path / "moved.yaml").code == 0
    (sealed_dir / "document.json").unlink()
    (tmp_path / "moved.yaml").rename(tmp_path / "partywall.yaml")
    assert partywall("keys", "list", "--data-dir", sealed_dir).code == 0


def test_a_terminal_gets_colours_and_a_progress_bar(sealed_dir: Path) -> None:
    ours, its = pty.openpty()
    rotating = ("keys", "rotate", "--all", "--data-dir", sealed_dir)
    with start(rotating, stderr=its, environment={"TERM": "xterm-256color"}) as process:
        os.close(its)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # Linux's way to say that the other side has closed
            pass
        finally:
            os.close(ours)
        assert process.wait(20) == 0
        assert process.stdout is not None
        assert len(process.stdout.read().splitlines()) == 3
    assert b"3/3" in shown


# -- Helpers ---


def _list(partywall: Command, sealed_dir: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = partywall("keys", "list", "--data-dir", sealed_dir, "--format", "json").json
    return listed


def _events(partywall: Command, sealed_dir: Path, tenant: str) -> list[dict[str, Any]]:
    ended = partywall("events", "export", "--data-dir", sealed_dir, "--tenant", tenant, "--format", "json")
    assert (ended.code, ended.err) == (0, "")
    return [orjson.loads(line) for line in ended.out.splitlines()]


def _audit(partywall: Command, sealed_dir: Path, *options: str) -> list[dict[str, Any]]:
    ended = partywall("keys", "audit", "--data-dir", sealed_dir, "--format", "json", *options)
    assert (ended.code, ended.err) == (0, "")
    return [orjson.loads(line) for line in ended.out.splitlines()]


def _wrapped(sealed_dir: Path, tenant: str) -> list[str]:
    kept = json.loads((sealed_dir / "keys" / tenant / "keys.json").read_text())
    return [version["wrapped"] for version in kept["versions"]]


def _swap_first_admission(sealed_dir: Path, tenant: str, sealed: bytes) -> None:
    with closing(sqlite3.connect(sealed_dir / "tenants" / tenant / "decisions.db", isolation_level=None)) as file:
        file.execute("UPDATE decisions SET admission = ? WHERE seq = 1", (sealed,))


def _answer(connection: RawConnection, tenant: str) -> Reply:
    connection.send(request(tenant, chat_body(tenant)))
    return connection.answer()


def _status(connection: RawConnection, tenant: str) -> int:
    return _answer(connection, tenant).status
