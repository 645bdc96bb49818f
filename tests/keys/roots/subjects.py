"""One of each root, for tests of what they all promise."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tests.support.engines.kms import REGION, Kms
from tests.support.engines.openbao import Bao
from tests.support.engines.proxy import Manner, Proxy

from partywall.errors import KeyUnavailable
from partywall.keys.roots import (
    AwsKmsRootSettings,
    FileRoot,
    FileRootSettings,
    Root,
    RootSettings,
    TokenAuth,
    VaultRootSettings,
    open_root,
)
from partywall.tenancy import Secret, TenantId

__all__ = [
    "ALPHA",
    "BETA",
    "Fault",
    "Subject",
    "file_subject",
    "kms_subject",
    "new_name",
    "opened",
    "patient",
    "random_key",
    "run",
    "shared_vault_subject",
    "transit_policy",
    "vault_subject",
    "warmed",
]

ALPHA, BETA = TenantId("alpha"), TenantId("beta")
TIMEOUT_SECONDS = 1.0
"""Long enough for a slow machine, short enough to be waited for."""
_AWS_TIMEOUT_SECONDS = 2.0
"""boto3 takes its time to make a client, and that counts."""

Result = TypeVar("Result")
Fault = tuple[Callable[[], AbstractContextManager[None]], str]
"""Puts the engine into a state for the length of a block; and what the error says of it."""

_names = itertools.count()


@dataclass(frozen=True)
class Subject:
    """A root, and how to spoil its engine."""

    settings: RootSettings
    faults: Mapping[str, Fault]
    version: Callable[[TenantId], int]
    """The newest version of the root key that serves a tenant, as the engine says."""
    one_key: bool = True
    """Whether every tenant's keys are wrapped under the same root key."""


@asynccontextmanager
async def opened(settings: RootSettings) -> AsyncIterator[Root]:
    """A root, closed at the end."""
    root = open_root(settings)
    try:
        yield root
    finally:
        await root.aclose()


def run(settings: RootSettings, scenario: Callable[[Root], Coroutine[object, object, Result]]) -> Result:
    """Play a scenario on a fresh root that is prepared for both tenants."""

    async def main() -> Result:
        async with opened(settings) as root:
            await warmed(root.check)
            await root.prepare(ALPHA)
            await root.prepare(BETA)
            return await scenario(root)

    return asyncio.run(main())


async def warmed(call: Callable[[], Coroutine[object, object, None]]) -> None:
    """Make a first call, which also loads libraries: on a machine that is busy, that may outlast a short time-out."""
    for _ in range(5):
        try:
            return await call()
        except KeyUnavailable as error:
            if "did not answer" not in str(error):
                raise
    return await call()


def new_name(what: str) -> str:
    """A name that no other test of this process uses."""
    return f"{what}-{next(_names)}"


# -- File ------------------------------------------------------------------------------------------------------------


def file_subject(directory: Path) -> Subject:
    path = directory / "root.key"
    FileRoot.create(path)

    @contextmanager
    def missing() -> Iterator[None]:
        away = path.rename(directory / "away.key")
        yield
        away.rename(path)

    @contextmanager
    def open_to_others() -> Iterator[None]:
        path.chmod(0o640)
        yield
        path.chmod(0o600)

    @contextmanager
    def damaged() -> Iterator[None]:
        before = path.read_bytes()
        path.write_bytes(before[:-9])
        yield
        path.write_bytes(before)

    return Subject(
        FileRootSettings(path, timeout_seconds=TIMEOUT_SECONDS),
        {
            "missing": (missing, "is not there; put it back from its copy"),
            "open to others": (open_to_others, f"run: chmod 600 {path}"),
            "damaged": (damaged, "is damaged"),
        },
        lambda _: len(path.read_text().splitlines()) - 1,
    )


# -- OpenBao ---------------------------------------------------------------------------------------------------------


def transit_policy(mount: str, key: str = "*", *, decrypt: bool = True) -> dict[str, list[str]]:
    """What a root needs on the keys that match."""
    policy = {
        f"{mount}/keys/{key}": ["create", "read", "update", "delete"],
        f"{mount}/encrypt/{key}": ["update"],
        f"{mount}/keys/{key}/rotate": ["update"],
        f"{mount}/keys/{key}/config": ["update"],
    }
    return policy | ({f"{mount}/decrypt/{key}": ["update"]} if decrypt else {})


def vault_subject(bao: Bao, stack: ExitStack, template: str = "{mount}/keys/tenant-{{tenant_id}}") -> Subject:
    mount, proxy = new_name("transit"), stack.enter_context(Proxy(bao.port))
    bao.post(f"sys/mounts/{mount}", {"type": "transit"})
    stack.callback(lambda: bao.call("DELETE", f"sys/mounts/{mount}"))
    bao.write_policy(mount, transit_policy(mount))
    token = bao.new_token(mount)

    @contextmanager
    def refusing() -> Iterator[None]:
        bao.write_policy(mount, transit_policy(mount, decrypt=False))
        yield
        bao.write_policy(mount, transit_policy(mount))

    settings = VaultRootSettings(
        address=f"http://127.0.0.1:{proxy.port}",
        auth=TokenAuth(Secret(token)),
        key_path_template=template.format(mount=mount),
        timeout_seconds=TIMEOUT_SECONDS,
    )
    shared = "{tenant_id}" not in settings.key_path_template
    return Subject(
        settings,
        {
            **_network_faults(proxy, settings.timeout_seconds),
            "refusing": (refusing, "refuses (403): no policy allows `decrypt`"),
        },
        lambda tenant: bao.latest_version("all" if shared else f"tenant-{tenant}", mount),
        one_key=shared,
    )


def shared_vault_subject(bao: Bao, stack: ExitStack) -> Subject:
    return vault_subject(bao, stack, "{mount}/keys/all")


# -- KMS -------------------------------------------------------------------------------------------------------------


def kms_subject(kms: Kms, stack: ExitStack) -> Subject:
    key_id, name, proxy = kms.new_key(), new_name("user"), stack.enter_context(Proxy(kms.port))
    may = ("kms:Encrypt", "kms:Decrypt", "kms:RotateKeyOnDemand", "kms:ScheduleKeyDeletion", "kms:DescribeKey")
    credentials = kms.new_user(name, *may)

    @contextmanager
    def refusing() -> Iterator[None]:
        kms.allow(name, *(action for action in may if action != "kms:Decrypt"))
        yield
        kms.allow(name, *may)

    @contextmanager
    def disabled() -> Iterator[None]:
        kms.disable(key_id)
        yield
        kms.enable(key_id)

    settings = AwsKmsRootSettings(
        key_id, REGION, f"http://127.0.0.1:{proxy.port}", credentials, timeout_seconds=_AWS_TIMEOUT_SECONDS
    )
    return Subject(
        settings,
        {
            **_network_faults(proxy, settings.timeout_seconds),
            "refusing": (refusing, "refuses (AccessDenied): no policy or grant allows `kms:Decrypt`"),
            "disabled": (disabled, f"refuses: `{key_id}` is disabled"),
        },
        lambda _: 1 + kms.rotations(key_id),
    )


def _network_faults(proxy: Proxy, timeout_seconds: float) -> dict[str, Fault]:
    def behaving(manner: Manner) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def fault() -> Iterator[None]:
            proxy.behave(manner)
            yield
            proxy.behave(Manner.PASS)

        return fault

    late = f"did not answer within {timeout_seconds:g} s"
    return {
        "down": (behaving(Manner.REFUSE), "is down: no connection"),
        "slow": (behaving(Manner.SILENT), late),
        "dripping": (behaving(Manner.DRIP), late),
        "cut": (behaving(Manner.CUT), "is down: no connection"),
    }


def patient(settings: RootSettings) -> RootSettings:
    """The same with the default time-out, where time is not what is tested."""
    return replace(settings, timeout_seconds=10.0)


def random_key() -> bytes:
    """As the keyring makes them."""
    return os.urandom(32)
