"""What the settings of a root refuse, and which transit key is whose."""

from __future__ import annotations

import builtins
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from partywall.errors import ConfigError
from partywall.keys.roots import (
    AwsCredentials,
    AwsKmsRoot,
    AwsKmsRootSettings,
    FileRoot,
    FileRootSettings,
    RootSettings,
    TokenAuth,
    VaultRoot,
    VaultRootSettings,
    open_root,
)
from partywall.keys.roots.key_path import KeyPath
from partywall.tenancy import TENANT_ID_PATTERN, Secret, TenantId

TENANTS = st.from_regex(TENANT_ID_PATTERN, fullmatch=True).map(TenantId)
SECRET = "s.this-is-a-token"
VAULT = VaultRootSettings("https://vault.example:8200", TokenAuth(Secret(SECRET)))
KMS = AwsKmsRootSettings("alias/partywall", "eu-central-1", credentials=AwsCredentials("AKIA", Secret(SECRET)))


# -- Which key is whose -----------------------------------------------------------------------------------------------

TEMPLATES = [
    "transit/keys/tenant-{tenant_id}",
    "transit/keys/{tenant_id}",
    "{tenant_id}/keys/root",
    "tenants/{tenant_id}/transit/keys/root",
    "transit/keys/{tenant_id}.v1",
]


@pytest.mark.parametrize("template", TEMPLATES)
@given(one=TENANTS, other=TENANTS)
def test_two_tenants_have_two_keys(template: str, one: TenantId, other: TenantId) -> None:
    assume(one != other)
    path = KeyPath.parse(template)
    assert path.per_tenant
    assert str(path.key(one)) != str(path.key(other))


@pytest.mark.parametrize("template", TEMPLATES)
@given(tenant=TENANTS)
def test_a_key_s_name_is_one_that_transit_takes_and_stays_in_its_mount(template: str, tenant: TenantId) -> None:
    key = KeyPath.parse(template).key(tenant)
    assert re.fullmatch(r"\w(([\w.-]+)?\w)?", key.name, re.ASCII)  # OpenBao's framework.GenericNameRegex
    assert key.mount == template.partition("/keys/")[0].replace("{tenant_id}", tenant)


def test_the_usual_names() -> None:
    path = KeyPath.parse("transit/keys/tenant-{tenant_id}")
    assert str(path.key(TenantId("acme"))) == "transit/keys/tenant-acme"
    assert str(path.key(TenantId("acme-"))) == "transit/keys/tenant-acme-.0"
    assert str(KeyPath.parse("a/b/keys/keys/keys/one").key(TenantId("acme"))) == "a/b/keys/keys/keys/one"
    assert not KeyPath.parse("transit/keys/all").per_tenant


@pytest.mark.parametrize(
    "template",
    [
        "",
        "tenant-{tenant_id}",
        "transit/tenant-{tenant_id}",
        "/keys/{tenant_id}",
        "transit/keys/",
        "/transit/keys/{tenant_id}",
        "transit/keys/{tenant_id}/",
        "transit//keys/{tenant_id}",
        "transit/keys/{tenant_id}/../../sys",
        "../transit/keys/{tenant_id}",
        "transit/../sys/keys/{tenant_id}",
        "transit/./keys/{tenant_id}",
        "transit/keys/..",
        "transit/keys/{tenant_id}-",
        "transit/keys/{tenant_id}-{tenant_id}",
        "{tenant_id}/keys/{tenant_id}",
        "transit/keys/{tenant}",
        "transit/keys/{tenant_id}?x=1",
        "transit/keys/{tenant_id}#x",
        "transit/keys/{tenant_id}%2f",
        "transit/keys/a b",
        "transit/keys/ä",
        "transit\n/keys/a",
        "transit/keys/a\n",
        "https://vault.example/v1/transit/keys/{tenant_id}",
    ],
)
def test_a_template_that_leaves_its_mount_is_refused(template: str) -> None:
    with pytest.raises(ConfigError, match="`key_path_template` is written `<mount>/keys/<name>`"):
        VaultRootSettings("https://vault.example", TokenAuth(Secret(SECRET)), key_path_template=template)


# -- Addresses --------------------------------------------------------------------------------------------------------

BAD = {
    "http://vault.example:8200": "would carry keys in clear",
    "http://10.0.0.1:8200": "would carry keys in clear",
    "http://localhost.example:8200": "would carry keys in clear",
    "vault.example:8200": "is written `https://host:port`",
    "https://": "is written `https://host:port`",
    "ftp://vault.example": "is written `https://host:port`",
    "unix:///vault.sock": "is written `https://host:port`",
    "https://vault.example?x=1": "is written `https://host:port`",
    "https://vault.example#x": "is written `https://host:port`",
    "https://user:hunter2@vault.example": "holds no user or password",
    "https://@vault.example": "holds no user or password",
}


@pytest.mark.parametrize("address", BAD)
def test_an_address_that_would_betray_keys_is_refused(address: str) -> None:
    makers: list[Callable[[], RootSettings]] = [
        lambda: replace(VAULT, address=address),
        lambda: replace(KMS, endpoint_url=address),
    ]
    for make in makers:
        with pytest.raises(ConfigError) as caught:
            make()
        assert BAD[address] in str(caught.value)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:8200", "http://[::1]:8200", "http://localhost:8200"])
def test_plain_http_to_this_machine_is_fine(address: str) -> None:
    assert replace(VAULT, address=address).address == replace(KMS, endpoint_url=address).endpoint_url


def test_plain_http_elsewhere_has_a_name_that_warns() -> None:
    assert replace(VAULT, address="http://vault:8200", unsafe_plain_http=True).unsafe_plain_http


# -- The rest ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, -1, 61, float("nan"), float("inf")])
def test_a_time_out_is_a_time_out(seconds: float) -> None:
    for settings in (VAULT, KMS, FileRootSettings(Path("root.key"))):
        with pytest.raises(ConfigError, match="timeout_seconds"):
            replace(settings, timeout_seconds=seconds)


def test_a_token_comes_from_one_place() -> None:
    for both in ((None, None), (Secret("a"), Path("b"))):
        with pytest.raises(ConfigError, match="one of the two"):
            TokenAuth(*both)


def test_a_kms_key_is_named_in_full() -> None:
    for key_id, region in (("", "eu-central-1"), ("alias/partywall", "")):
        with pytest.raises(ConfigError, match="needs `key_id` and `region`"):
            AwsKmsRootSettings(key_id, region)
    for days in (0, 6, 31):
        with pytest.raises(ConfigError, match="7 to 30 days"):
            replace(KMS, deletion_window_days=days)


def test_settings_are_frozen_and_show_no_secret() -> None:
    for settings in (VAULT, KMS, FileRootSettings(Path("root.key"))):
        assert SECRET not in repr(settings)
        with pytest.raises(FrozenInstanceError):
            setattr(settings, fields(settings)[0].name, "another")


def test_each_settings_open_their_own_root(tmp_path: Path) -> None:
    for settings, kind, name in (
        (FileRootSettings(tmp_path / "root.key"), FileRoot, "file"),
        (VAULT, VaultRoot, "vault"),
        (KMS, AwsKmsRoot, "aws_kms"),
    ):
        root = open_root(settings)
        assert isinstance(root, kind)
        assert root.name == name


def test_a_ca_file_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there"):
        open_root(replace(VAULT, ca_file=tmp_path / "ca.pem"))


# -- Extras -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "missing", "extra"), [(VAULT, "hvac", "vault"), (KMS, "boto3", "aws")], ids=["vault", "aws"]
)
def test_a_missing_extra_names_the_command(
    monkeypatch: pytest.MonkeyPatch, settings: RootSettings, missing: str, extra: str
) -> None:
    real = builtins.__import__

    def without(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002  # __import__'s name
        locals: Mapping[str, object] | None = None,  # noqa: A002  # __import__'s name
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> object:
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named '{missing}'", name=missing)
        return real(name, globals, locals, fromlist or (), level)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=re.escape(f"pip install 'partywall[{extra}]'")):
        open_root(settings)


def test_no_client_library_is_loaded_before_its_root_is_configured() -> None:
    check = (
        "import sys, pathlib; from partywall.keys.roots import FileRootSettings, open_root; "
        "open_root(FileRootSettings(pathlib.Path('root.key'))); "
        "sys.exit(', '.join({'hvac', 'boto3', 'botocore', 'requests', 'urllib3'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
