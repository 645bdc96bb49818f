"""Settings of a keyring: what can't be right is refused before anything is opened."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.keys.rings import ALPHA, BETA

from partywall.errors import ConfigError, InvalidTenantId
from partywall.keys import (
    AwsKmsRootSettings,
    BusinessHours,
    FileRootSettings,
    KeyRingSettings,
    NamedRoot,
    RootSettings,
    TokenAuth,
    VaultRootSettings,
)
from partywall.tenancy import Secret, TenantId

FILE = FileRootSettings(Path("root.key"))


def vault(tenant: TenantId | None = None) -> VaultRootSettings:
    return VaultRootSettings("https://vault.example:8200", TokenAuth(Secret("t")), tenant=tenant)


def kms(tenant: TenantId | None = None) -> AwsKmsRootSettings:
    return AwsKmsRootSettings("alias/k", "eu-central-1", tenant=tenant)


def settings(
    root: NamedRoot | None = None,
    tenant_roots: dict[TenantId, NamedRoot] | None = None,
    former_roots: tuple[NamedRoot, ...] = (),
) -> KeyRingSettings:
    return KeyRingSettings(
        keys_dir=Path("keys"),
        root=root or NamedRoot.platforms(FILE),
        tenant_roots=tenant_roots or {},
        former_roots=former_roots,
    )


def test_roots_have_usual_names() -> None:
    kinds: list[RootSettings] = [FILE, vault(), kms()]
    assert [NamedRoot.platforms(kind).name for kind in kinds] == ["file", "vault", "aws_kms"]
    assert [NamedRoot.of_tenant(ALPHA, kind).name for kind in kinds] == ["alpha:file", "alpha:vault", "alpha:aws_kms"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"hold_seconds": 0},
        {"hold_seconds": -1},
        {"hold_seconds": 3601},
        {"hold_seconds": float("nan")},
        {"hold_uses": 0},
        {"hold_uses": 2**32 + 1},
        {"max_tenants": 0},
        {"auto_rotate_days": 0},
        {"min_decryption_version": 0},
    ],
)
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        KeyRingSettings(keys_dir=Path("keys"), root=NamedRoot.platforms(FILE), **wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_two_roots_of_one_name_are_refused() -> None:
    other = FileRootSettings(Path("other.key"))
    with pytest.raises(ConfigError, match="a name of its own"):
        settings(former_roots=(NamedRoot("file", other),))
    with pytest.raises(ConfigError, match="a name of its own"):
        settings(tenant_roots={ALPHA: NamedRoot("own", other), BETA: NamedRoot("own", other)})
    with pytest.raises(ConfigError, match="a name of its own"):
        settings(root=NamedRoot("", FILE))


@pytest.mark.parametrize("make", [vault, kms])
def test_a_tenants_own_root_is_set_up_for_that_tenant(make: Callable[[TenantId | None], RootSettings]) -> None:
    settings(tenant_roots={ALPHA: NamedRoot.of_tenant(ALPHA, make(ALPHA))})
    for tenant in (None, BETA):
        with pytest.raises(ConfigError, match="is set up for"):
            settings(tenant_roots={ALPHA: NamedRoot.of_tenant(ALPHA, make(tenant))})
    with pytest.raises(ConfigError, match="can't be `alpha`'s own"):
        settings(root=NamedRoot.platforms(make(ALPHA)))


def test_a_root_for_nobody_is_refused() -> None:
    with pytest.raises(InvalidTenantId):
        settings(tenant_roots={TenantId("_platform"): NamedRoot("own", FILE)})


def test_the_roots_cant_be_changed_afterwards() -> None:
    roots = {ALPHA: NamedRoot.of_tenant(ALPHA, FILE)}
    made = settings(tenant_roots=roots)
    roots[BETA] = NamedRoot.of_tenant(BETA, FILE)
    assert set(made.tenant_roots) == {ALPHA}


# -- Business hours --------------------------------------------------------------------------------------------------


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


WEEK = frozenset(range(5))
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-01-05T06:59:59", False),  # a Monday, 07:59:59 in Berlin
        ("2026-01-05T07:00:00", True),
        ("2026-01-05T16:59:59", True),
        ("2026-01-05T17:00:00", False),
        ("2026-01-03T10:00:00", False),  # a Saturday
        ("2026-07-06T06:00:00", True),  # summer time
        ("2026-07-06T16:00:00", False),
    ],
)
def test_business_hours(moment: str, inside: bool) -> None:
    assert BusinessHours(WEEK, time(8), time(18), BERLIN).include(at(moment)) is inside


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-01-05T20:59:00", False),
        ("2026-01-05T21:00:00", True),
        ("2026-01-06T04:59:00", True),
        ("2026-01-06T05:00:00", False),
        ("2026-01-09T23:30:00", True),  # Friday's night shift
        ("2026-01-10T04:00:00", True),  # goes on into Saturday
        ("2026-01-10T22:00:00", False),
        ("2026-01-05T04:00:00", False),  # Sunday's night doesn't
    ],
)
def test_a_night_shift_belongs_to_the_day_it_began(moment: str, inside: bool) -> None:
    assert BusinessHours(WEEK, time(22), time(6), BERLIN).include(at(moment)) is inside


@pytest.mark.parametrize("days", [frozenset[int](), frozenset({7}), frozenset({-1})])
def test_days_that_are_none(days: frozenset[int]) -> None:
    with pytest.raises(ConfigError):
        BusinessHours(days, time(8), time(18), BERLIN)
