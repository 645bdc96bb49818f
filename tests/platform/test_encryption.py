"""`encryption` of the document: what it says is what the keyring is told, and what lies on the disk."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import shutil
import sqlite3
import time
from contextlib import closing
from datetime import time as clock_time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.cli.sealed import SEALING, ask, document_in, halves, sealed_data
from tests.support.documents import KEYS, base_document, headers_of, merged, write_document
from tests.support.inprocess import Client, gateway
from tests.trail.records import run_sql

from partywall.errors import ConfigError, CredentialUnavailable, PartywallError
from partywall.keys import (
    AppRoleAuth,
    AwsKmsRootSettings,
    BusinessHours,
    FileRoot,
    FileRootSettings,
    KeyRingSettings,
    KubernetesAuth,
    TokenAuth,
    VaultRootSettings,
)
from partywall.platform import Platform
from partywall.platform.encryption import Encrypted
from partywall.platform.opening import record_opener
from partywall.tenancy import TenantId
from partywall.trail import Alarm, TrailReader

ALPHA, BETA = TenantId("alpha"), TenantId("beta")


def settings(folder: Path, encryption: dict[str, Any], tenants: dict[str, Any] | None = None) -> KeyRingSettings:
    document = merged(base_document(), encryption=SEALING | encryption, tenants=tenants or {})
    encrypted = Encrypted.load(write_document(folder / "doc.yaml", document))
    assert encrypted is not None
    return encrypted.settings(base=folder, data_dir=folder / "data")


# -- From the document to the keyring ---


def test_what_nobody_says(tmp_path: Path) -> None:
    told = settings(tmp_path, {})
    assert told.keys_dir == tmp_path / "data/keys"
    assert (told.root.name, told.root.settings) == ("file", FileRootSettings(tmp_path / "data/root.key"))
    assert (told.tenant_roots, told.former_roots) == ({}, ())
    assert (told.hold_seconds, told.hold_uses) == (60, 1_000_000)
    assert (told.auto_rotate_days, told.min_decryption_version) == (90, 1)
    assert (told.log_uses, told.expected_services, told.business_hours) == (True, None, None)


def test_every_field_arrives(tmp_path: Path) -> None:
    told = settings(
        tmp_path,
        {
            "root_key_file": "here.key",
            "keys_dir": "wrapped",
            "shred_ledger": "ledger/destroyed.jsonl",
            "rotation_policy": {"auto_rotate_days": 7, "min_decryption_version": 3},
            "hold_seconds": 5,
            "hold_uses": 500,
            "key_access_logging": False,
            "key_access_alerts": {
                "expected_services": ["partywall", "cli"],
                "business_hours": {
                    "days": ["mon", "sun"],
                    "start": "07:30",
                    "end": "19:00",
                    "timezone": "Europe/Berlin",
                },
            },
        },
    )
    assert told.keys_dir == tmp_path / "wrapped"
    assert told.shred_ledger == tmp_path / "ledger/destroyed.jsonl"
    assert told.root.settings == FileRootSettings(tmp_path / "here.key")
    assert (told.hold_seconds, told.hold_uses) == (5, 500)
    assert (told.auto_rotate_days, told.min_decryption_version) == (7, 3)
    assert (told.log_uses, told.expected_services) == (False, frozenset({"partywall", "cli"}))
    zone = ZoneInfo("Europe/Berlin")
    assert told.business_hours == BusinessHours(frozenset({0, 6}), clock_time(7, 30), clock_time(19), zone)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("s3cret")
    path.chmod(0o600)
    return path


def test_vault_and_each_login(tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = {
        "address": "https://vault.example.com",
        "namespace": "platform",
        "ca_file": "ca.pem",
        "timeout_seconds": 3,
        "key_path_template": "kv/keys/t-{tenant_id}",
        "rotation_policy": {"auto_rotate_days": 30},
    }

    def root(auth: dict[str, Any] | None, **changes: Any) -> VaultRootSettings:
        said = vault | ({} if auth is None else {"auth": auth}) | changes
        told = settings(tmp_path, {"vault_config": {name: value for name, value in said.items() if value is not None}})
        assert (told.root.name, told.auto_rotate_days) == ("vault", 30)
        assert isinstance(told.root.settings, VaultRootSettings)
        return told.root.settings

    found = root({"token_ref": {"file": "secret"}})
    assert (found.address, found.namespace, found.ca_file) == (
        "https://vault.example.com",
        "platform",
        tmp_path / "ca.pem",
    )
    assert (found.timeout_seconds, found.key_path_template, found.tenant) == (3, "kv/keys/t-{tenant_id}", None)
    assert found.auth == TokenAuth(file=secret)
    approle = root({"approle": {"role_id": "r", "secret_id_ref": {"file": str(secret)}, "mount": "m"}}).auth
    assert isinstance(approle, AppRoleAuth)
    assert approle.secret_id is not None
    assert (approle.role_id, approle.secret_id.reveal(), approle.mount) == ("r", "s3cret", "m")
    pod = root({"kubernetes": {"role": "gw", "mount": "k8s", "token_file": "token"}}).auth
    assert pod == KubernetesAuth("gw", tmp_path / "token", "k8s")
    monkeypatch.setenv("OTHER_TOKEN", "other")
    monkeypatch.setenv("VAULT_TOKEN", "usual")
    for auth, token in (({"token_ref": {"env": "OTHER_TOKEN"}}, "other"), (None, "usual")):
        login = root(auth).auth
        assert isinstance(login, TokenAuth)
        assert login.token is not None
        assert login.token.reveal() == token
    monkeypatch.setenv("VAULT_ADDR", "https://elsewhere.example.com")
    assert root(None, address=None).address == "https://elsewhere.example.com"


def test_kms_and_roots_of_tenants_own(tmp_path: Path) -> None:
    kms = {
        "key_id": "alias/p",
        "region": "eu-central-1",
        "endpoint_url": "https://kms.example.com",
        "timeout_seconds": 4,
    }
    vault = {"address": "https://beta.example.com", "auth": {"token_ref": {"file": "secret"}}}
    own = {
        "alpha": {"root_key": {"aws_kms_config": kms | {"key_id": "alias/a"}}},
        "beta": {"root_key": {"vault_config": vault}},
    }
    told = settings(tmp_path, {"aws_kms_config": kms}, own)
    assert told.root.name == "aws_kms"
    assert told.root.settings == AwsKmsRootSettings(
        key_id="alias/p", region="eu-central-1", endpoint_url="https://kms.example.com", timeout_seconds=4
    )
    alphas, betas = told.tenant_roots[ALPHA], told.tenant_roots[BETA]
    assert (alphas.name, betas.name) == ("alpha:aws_kms", "beta:vault")
    assert isinstance(alphas.settings, AwsKmsRootSettings)
    assert (alphas.settings.key_id, alphas.settings.tenant) == ("alias/a", ALPHA)
    assert isinstance(betas.settings, VaultRootSettings)
    assert betas.settings.tenant == BETA


def test_the_file_that_was_the_root_unwraps_while_it_lies_there(tmp_path: Path) -> None:
    kms = {"aws_kms_config": {"key_id": "alias/p", "region": "eu-central-1"}}
    assert settings(tmp_path, kms).former_roots == ()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/root.key").touch()
    (former,) = settings(tmp_path, kms).former_roots
    assert (former.name, former.settings) == ("file", FileRootSettings(tmp_path / "data/root.key"))
    assert settings(tmp_path, {}).former_roots == settings(tmp_path, {"root_key_file": "other"}).former_roots == ()


def test_what_cannot_be_used_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    hours = {"key_access_alerts": {"business_hours": {"timezone": "Mars/Olympus"}}}
    with pytest.raises(ConfigError, match="no time zone `Mars/Olympus`"):
        settings(tmp_path, hours)
    with pytest.raises(ConfigError, match="VAULT_ADDR is not set"):
        settings(tmp_path, {"vault_config": {}})
    with pytest.raises(CredentialUnavailable):
        settings(tmp_path, {"vault_config": {"address": "https://vault.example.com"}})


# -- The root key ---


def opens(document: Path, data_dir: Path) -> None:
    async def main() -> None:
        async with Platform.open(document, data_dir=data_dir):
            pass

    asyncio.run(main())


def test_a_root_key_is_made_once(tmp_path: Path) -> None:
    document, root = document_in(tmp_path), tmp_path / "data/root.key"
    opens(document, tmp_path / "data")
    first = root.read_bytes()
    assert root.stat().st_mode & 0o777 == 0o600
    opens(document, tmp_path / "data")
    assert root.read_bytes() == first


def test_no_root_key_is_made_in_the_place_of_one_that_is_gone(tmp_path: Path) -> None:
    data_dir = sealed_data(tmp_path)
    (data_dir / "root.key").unlink()
    with pytest.raises(ConfigError, match=r"is gone, and .* holds what it wrapped; put it back") as refused:
        opens(tmp_path / "doc.yaml", data_dir)
    assert "\n" not in str(refused.value)
    assert not (data_dir / "root.key").exists()


@pytest.mark.parametrize("served_before", [False, True])
def test_one_that_the_document_names_is_never_made(tmp_path: Path, served_before: bool) -> None:
    if served_before:
        sealed_data(tmp_path)
    document = document_in(tmp_path, root_key_file="named.key")
    with pytest.raises(PartywallError, match=r"named\.key` is not there") as refused:
        opens(document, tmp_path / "data")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "named.key").exists()
    assert (tmp_path / "data/root.key").exists() is served_before


def test_another_root_key_than_wrapped_the_keys_starts_nothing(tmp_path: Path) -> None:
    data_dir = sealed_data(tmp_path)
    root, tenants = data_dir / "root.key", ("_platform", *KEYS)
    right = root.read_bytes()
    root.unlink()
    FileRoot.create(root)
    for gone in (None, *tenants):  # whoever's keys are left, they tell
        if gone is not None and gone != tenants[-1]:
            (data_dir / "keys" / gone).rename(tmp_path / gone)
        with pytest.raises(ConfigError, match="put back the root key that belongs to these keys") as refused:
            opens(tmp_path / "doc.yaml", data_dir)
        assert str(root) in str(refused.value)
        assert "\n" not in str(refused.value)
    root.write_bytes(right)
    opens(tmp_path / "doc.yaml", data_dir)


def test_one_tenants_broken_key_does_not_keep_the_rest_from_starting(tmp_path: Path) -> None:
    data_dir = sealed_data(tmp_path)
    path = data_dir / "keys/_platform/keys.json"
    (data_dir / "keys/alpha/keys.json").write_text("{}")
    kept = json.loads(path.read_text())
    broken = bytearray(base64.b64decode(kept["versions"][0]["wrapped"]))
    broken[-1] ^= 1
    kept["versions"][0] |= {
        "wrapped": base64.b64encode(broken).decode(),
        "wrapped_sha256": hashlib.sha256(broken).hexdigest(),
    }
    path.write_text(json.dumps(kept))
    opens(tmp_path / "doc.yaml", data_dir)


@pytest.mark.parametrize("first", [{}, {"keys_dir": "wrapped"}])
def test_an_empty_folder_of_keys_is_not_served_in_the_place_of_a_full_one(
    tmp_path: Path, first: dict[str, Any]
) -> None:
    data_dir, root = tmp_path / "data", tmp_path / "root.key"
    FileRoot.create(root)
    document = document_in(tmp_path, root_key_file="root.key", **first)
    former = tmp_path / "wrapped" if first else data_dir / "keys"
    assert ask(document, data_dir, *KEYS) == [200, 200]
    write_document(document, base_document())  # a start without encryption forgets nothing
    opens(document, data_dir)
    (tmp_path / "elsewhere/lost+found").mkdir(parents=True, mode=0o700)
    (tmp_path / "elsewhere").chmod(0o700)
    for named in ("elsewhere", "new"):
        document_in(tmp_path, root_key_file="root.key", keys_dir=named)
        with pytest.raises(ConfigError, match="move the folder there, or set") as refused:
            opens(document, data_dir)
        assert f"`{former}`" in str(refused.value)
        assert "\n" not in str(refused.value)
    assert not (tmp_path / "new").exists()
    former.rename(tmp_path / "new")
    assert ask(document, data_dir, *KEYS) == [200, 200]


def test_a_destroyed_tenant_does_not_come_back_with_another_folder(tmp_path: Path) -> None:
    data_dir = sealed_data(tmp_path)
    for folder in (data_dir / "keys").iterdir():
        shutil.rmtree(folder)
    (data_dir / "keys/destroyed.jsonl").touch(0o600)
    with pytest.raises(ConfigError, match="move the folder there"):
        opens(document_in(tmp_path, keys_dir="new"), data_dir)


def test_while_it_is_gone_keys_are_used_for_their_time_and_then_refused(tmp_path: Path) -> None:
    document, root = document_in(tmp_path, hold_seconds=1), tmp_path / "data/root.key"

    async def status(client: Client, tenant: str) -> tuple[int, str | None]:
        body = {"model": f"{tenant}-model", "messages": [{"role": "user", "content": "hello"}]}
        reply = await client.post("/v1/chat/completions", headers_of(tenant), body)
        return reply.status, reply.code

    async def until(client: Client, wanted: tuple[int, str | None]) -> float:
        began = time.monotonic()
        for tenant in KEYS:
            while await status(client, tenant) != wanted:
                assert time.monotonic() - began < 4
                await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def main() -> None:
        async with gateway(document, tmp_path / "data") as client:
            await until(client, (200, None))
            root.rename(tmp_path / "away")
            for tenant in KEYS:
                assert await status(client, tenant) == (200, None)
            assert await until(client, (503, "trail_unavailable")) < 1.5
            (tmp_path / "away").rename(root)
            await until(client, (200, None))

    asyncio.run(main())


def test_a_reload_that_changes_encryption_is_refused(tmp_path: Path) -> None:
    document = document_in(tmp_path)
    served = merged(base_document(), encryption=SEALING)
    others = {
        "gone": base_document(),
        "held for longer": merged(base_document(), encryption=SEALING | {"hold_seconds": 61}),
        "a root of beta's": merged(
            served,
            tenants={"alpha": {}, "beta": {"root_key": {"aws_kms_config": {"key_id": "k", "region": "eu-west-1"}}}},
        ),
    }

    async def main() -> None:
        async with Platform.open(document, data_dir=tmp_path / "data") as platform:
            for other in others.values():
                write_document(document, other)
                with pytest.raises(ConfigError, match="needs a restart"):
                    await platform.reload()
            write_document(document, served | {"pack": {"name": "renamed", "version": "1.0.0", "enabled": True}})
            await platform.reload()
            assert platform.reload_error is None

    asyncio.run(main())


# -- What lies on the disk ---


def read(data_dir: Path, tenant: str) -> tuple[int, list[str]]:
    """How many of a tenant's decisions open, and the alarms."""
    encrypted = Encrypted.load(data_dir.parent / "doc.yaml")
    assert encrypted is not None
    alarms: list[Alarm] = []
    opening = record_opener(
        encrypted,
        base=data_dir.parent,
        data_dir=data_dir,
        service="test",
        requestor="test",
        on_alarm=lambda _: None,
    )
    with opening as opener:
        reader = TrailReader(data_dir, on_alarm=alarms.append, opener=opener)
        found = list(reader.of_tenant(TenantId(tenant)).events())
    assert all(record.tenant == tenant for record in found)
    return len(found), [str(alarm) for alarm in alarms]


def file_of(data_dir: Path, tenant: str) -> Path:
    return data_dir / "tenants" / tenant / "decisions.db"


def test_each_tenant_is_sealed_under_its_own_key(tmp_path: Path) -> None:
    data_dir = sealed_data(tmp_path)
    for tenant in (*KEYS, None):
        assert {half[:1] for half in halves(data_dir, tenant)} == {b"\x01"}
    for tenant in KEYS:
        assert read(data_dir, tenant) == (3, [])
    # With beta's wrapped key in the place of alpha's, nothing of alpha's opens, nor is it used at all.
    (data_dir / "keys/alpha/keys.json").write_bytes((data_dir / "keys/beta/keys.json").read_bytes())
    with pytest.raises(PartywallError, match="can't be had"):
        read(data_dir, "alpha")
    assert read(data_dir, "beta") == (3, [])


def test_without_audit_logs_records_stay_in_clear(tmp_path: Path) -> None:
    document = document_in(tmp_path, encrypted_per_tenant=["cache"])
    assert ask(document, tmp_path / "data", *KEYS) == [200, 200]
    for tenant in KEYS:
        assert {half[:1] for half in halves(tmp_path / "data", tenant)} == {b"["}


@pytest.mark.parametrize("disguised", [False, True])
def test_a_row_of_alphas_in_betas_file_is_dropped_with_an_alarm(tmp_path: Path, disguised: bool) -> None:
    data_dir = sealed_data(tmp_path)
    run_sql(
        file_of(data_dir, "beta"),
        f"ATTACH '{file_of(data_dir, 'alpha')}' AS other",
        "INSERT INTO decisions (id, tenant, time, verdict, admission, completion) "
        "SELECT id, tenant, time, verdict, admission, completion FROM other.decisions WHERE seq = 1",
        "UPDATE decisions SET tenant = 'beta' WHERE seq = 4" if disguised else "SELECT 1",
    )
    why = "the admission doesn't open: wrong_key" if disguised else "the row belongs to another tenant"
    assert read(data_dir, "beta") == (3, [f"decisions of tenant `beta`, row 4: {why}"])
    assert read(data_dir, "alpha") == (3, [])


@pytest.mark.parametrize(
    ("half", "at", "why"),
    [
        ("admission", -1, "not_authentic"),
        ("completion", -1, "not_authentic"),
        ("completion", 40, "wrong_key"),
        ("admission", 2, "unknown_key"),
    ],
)
def test_a_flipped_bit_is_an_alarm(tmp_path: Path, half: str, at: int, why: str) -> None:
    data_dir = sealed_data(tmp_path)
    stored = halves(data_dir, "alpha")[2 if half == "admission" else 3]
    flipped = bytearray(stored)
    flipped[at] ^= 1
    with closing(sqlite3.connect(file_of(data_dir, "alpha"), isolation_level=None)) as file:
        statement = {
            "admission": "UPDATE decisions SET admission = ? WHERE admission = ?",
            "completion": "UPDATE decisions SET completion = ? WHERE completion = ?",
        }[half]
        assert file.execute(statement, (bytes(flipped), stored)).rowcount == 1
    assert read(data_dir, "alpha") == (2, [f"decisions of tenant `alpha`, row 2: the {half} doesn't open: {why}"])
    assert read(data_dir, "beta") == (3, [])


def test_a_half_in_the_place_of_the_other_or_of_another_record_does_not_open(tmp_path: Path) -> None:
    data_dir = sealed_data(tmp_path)
    run_sql(
        file_of(data_dir, "alpha"),
        "UPDATE decisions SET completion = admission WHERE seq = 1",
        "UPDATE decisions SET completion = (SELECT completion FROM decisions WHERE seq = 3) WHERE seq = 2",
    )
    opened, alarms = read(data_dir, "alpha")
    assert opened == 1
    assert [alarm.partition(", ")[2] for alarm in alarms] == [
        f"row {row}: the completion doesn't open: not_authentic" for row in (1, 2)
    ]
