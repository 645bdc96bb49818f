"""Transit keys of tenants: made, refused, destroyed; on a real OpenBao."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace

import pytest
import requests
from tests.keys.roots.subjects import ALPHA, BETA, new_name, opened, random_key, run, transit_policy
from tests.keys.roots.vaults import Mount, settings_for
from tests.support.engines.impostor import Asked, Impostor, Said
from tests.support.engines.openbao import Bao

from partywall.errors import BrokenSeal, KeyUnavailable, SealBroken
from partywall.keys.roots import Root, TokenAuth, VaultRootSettings
from partywall.tenancy import Secret, TenantId


@pytest.fixture
def mount(bao: Bao) -> Mount:
    return Mount.new(bao)


def refused(settings: VaultRootSettings, call: Callable[[Root], Coroutine[object, object, object]]) -> str:
    """What a call on a fresh root says when it is refused."""

    async def main() -> str:
        async with opened(settings) as root:
            with pytest.raises(KeyUnavailable) as caught:
                await call(root)
            return str(caught.value)

    return asyncio.run(main())


# -- Making ---


def test_preparing_makes_a_key_that_can_t_leave_the_server(mount: Mount) -> None:
    run(mount.settings(), lambda root: root.wrap(ALPHA, random_key(), b""))
    _, document = mount.bao.call("GET", f"{mount.name}/keys/tenant-alpha")
    data = document["data"]
    assert isinstance(data, dict)
    assert data["type"] == "aes256-gcm96"
    assert [data[name] for name in ("exportable", "allow_plaintext_backup", "derived", "deletion_allowed")] == [
        False
    ] * 4
    assert mount.bao.has_key("tenant-beta", mount.name)


def test_the_engine_sees_the_tenant_and_the_context(mount: Mount) -> None:
    """Whoever holds the root key can do without partywall, and nobody can with another context."""

    async def scenario(root: Root) -> tuple[bytes, bytes]:
        key = random_key()
        return key, await root.wrap(ALPHA, key, b"place")

    key, wrapped = run(mount.settings(), scenario)
    version = int.from_bytes(wrapped[1:5], "big")
    body = {"ciphertext": f"vault:v{version}:{base64.b64encode(wrapped[5:]).decode()}"}
    right = base64.b64encode(b"partywall/root/vault/v1\0alpha\0place").decode()
    path = f"{mount.name}/decrypt/tenant-alpha"
    answer = mount.bao.post(path, {**body, "associated_data": right})["data"]
    assert isinstance(answer, dict)
    assert base64.b64decode(answer["plaintext"]) == key
    for wrong in ("", base64.b64encode(b"partywall/root/vault/v1\0beta\0place").decode()):
        assert mount.bao.call("POST", path, {**body, "associated_data": wrong})[0] == 400


def test_version_zero_which_transit_reads_as_one_is_refused(mount: Mount) -> None:
    async def scenario(root: Root) -> None:
        wrapped = await root.wrap(ALPHA, random_key(), b"")
        assert wrapped[1:5] == b"\0\0\0\1"
        with pytest.raises(SealBroken):
            await root.unwrap(ALPHA, wrapped[:1] + b"\0\0\0\0" + wrapped[5:], b"")

    run(mount.settings(), scenario)


@pytest.mark.parametrize("tenant", ["a", "0", "a-", "a_", "a--", "-".join("abc"), "z" * 63, "a" + "-" * 62])
def test_every_tenant_id_has_a_key(mount: Mount, tenant: str) -> None:
    async def scenario(root: Root) -> None:
        key = random_key()
        await root.prepare(TenantId(tenant))
        assert await root.unwrap(TenantId(tenant), await root.wrap(TenantId(tenant), key, b""), b"") == key
        assert "was deleted" in await root.destroy(TenantId(tenant))

    run(mount.settings(), scenario)


def test_a_mount_for_each_tenant(bao: Bao) -> None:
    base = new_name("tenants")
    for tenant in (ALPHA, BETA):
        bao.post(f"sys/mounts/{base}/{tenant}", {"type": "transit"})
    settings = settings_for(bao.address, TokenAuth(Secret(bao.root_token)), f"{base}/{{tenant_id}}/keys/root")

    async def scenario(root: Root) -> None:
        wrapped = await root.wrap(ALPHA, random_key(), b"")
        with pytest.raises(SealBroken):
            await root.unwrap(BETA, wrapped, b"")
        assert bao.has_key("root", f"{base}/alpha")

    run(settings, scenario)


def test_a_key_that_is_there_serves_a_root_that_may_only_use_it(mount: Mount) -> None:
    """As a customer grants it on a key of its own."""
    mount.bao.post(f"{mount.name}/keys/tenant-alpha", {"type": "chacha20-poly1305"})
    paths = (f"{mount.name}/encrypt/tenant-alpha", f"{mount.name}/decrypt/tenant-alpha")
    mount.bao.write_policy(mount.name, {path: ["update"] for path in paths})

    async def main() -> None:
        async with opened(mount.settings()) as root:
            await root.prepare(ALPHA)
            key = random_key()
            assert await root.unwrap(ALPHA, await root.wrap(ALPHA, key, b""), b"") == key
            for call in (root.rotate(ALPHA), root.destroy(ALPHA), root.prepare(BETA)):
                with pytest.raises(KeyUnavailable, match=r"refuses \(403\)"):
                    await call

    asyncio.run(main())
    assert mount.bao.has_key("tenant-alpha", mount.name)
    assert not mount.bao.has_key("tenant-beta", mount.name)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"type": "rsa-2048"}, "is of a type that can't be used; make it `aes256-gcm96`"),
        ({"type": "aes128-gcm96"}, "is of a type that can't be used"),
        ({"type": "ed25519"}, "is of a type that can't be used"),
        ({"type": "aes256-gcm96", "derived": True}, "is of a type that can't be used"),
        ({"type": "aes256-gcm96", "exportable": True}, "can be exported"),
        ({"type": "aes256-gcm96", "allow_plaintext_backup": True}, "can be exported"),
    ],
)
def test_a_key_that_is_no_root_is_refused(mount: Mount, options: dict[str, object], says: str) -> None:
    mount.bao.post(f"{mount.name}/keys/tenant-alpha", options)
    assert says in refused(mount.settings(), lambda root: root.prepare(ALPHA))


def test_a_server_that_ignores_the_context_is_refused(mount: Mount) -> None:
    """Vault before 1.10 knows no `associated_data`: the same, played by a server that leaves it out."""

    def forward(asked: Asked) -> Said:
        body = json.loads(asked.body) if asked.body else {}
        body.pop("associated_data", None)
        token = {"X-Vault-Token": asked.headers["X-Vault-Token"]}
        answer = requests.request(
            asked.method, mount.bao.address + asked.path, data=json.dumps(body), headers=token, timeout=20
        )
        return Said(answer.status_code, answer.content)

    with Impostor(forward) as old:
        settings = replace(mount.settings(), address=old.address)
        assert "ignores `associated_data`" in refused(settings, lambda root: root.prepare(ALPHA))


# -- Destroying ---


def test_a_destroyed_key_is_gone_and_its_neighbour_is_not(mount: Mount) -> None:
    async def scenario(root: Root) -> None:
        alpha, beta, key = (
            await root.wrap(ALPHA, b"a" * 32, b""),
            await root.wrap(BETA, b"b" * 32, b""),
            f"{mount.name}/keys",
        )
        assert await root.destroy(ALPHA) == f"The transit key `{key}/tenant-alpha` was deleted with all its versions."
        with pytest.raises(KeyUnavailable, match=r"has no key `.*tenant-alpha`: it was destroyed, or never prepared"):
            await root.unwrap(ALPHA, alpha, b"")
        with pytest.raises(KeyUnavailable, match="has no key"):
            await root.rotate(ALPHA)
        assert await root.unwrap(BETA, beta, b"") == b"b" * 32
        assert await root.destroy(ALPHA) == f"The transit key `{key}/tenant-alpha` did not exist any more."

    run(mount.settings(), scenario)
    assert not mount.bao.has_key("tenant-alpha", mount.name)
    assert mount.bao.has_key("tenant-beta", mount.name)


@pytest.mark.parametrize("may_create", [False, True])
def test_wrapping_never_brings_a_destroyed_key_back(mount: Mount, may_create: bool) -> None:
    """Where the policy allows `create`, transit makes a missing key when something is encrypted with it."""
    if may_create:
        mount.bao.write_policy(
            mount.name, transit_policy(mount.name) | {f"{mount.name}/encrypt/*": ["create", "update"]}
        )

    async def scenario(root: Root) -> None:
        await root.destroy(ALPHA)
        with pytest.raises(KeyUnavailable, match="has no key" if may_create else "or the key is gone"):
            await root.wrap(ALPHA, random_key(), b"")

    run(mount.settings(), scenario)
    assert not mount.bao.has_key("tenant-alpha", mount.name)


def test_a_new_key_of_the_same_name_does_not_open_what_the_old_one_wrapped(mount: Mount) -> None:
    async def scenario(root: Root) -> None:
        wrapped = await root.wrap(ALPHA, random_key(), b"")
        await root.destroy(ALPHA)
        await root.prepare(ALPHA)
        with pytest.raises(SealBroken):
            await root.unwrap(ALPHA, wrapped, b"")

    run(mount.settings(), scenario)


def test_a_shared_key_is_left_alone(mount: Mount) -> None:
    settings = mount.settings(template="all")

    async def scenario(root: Root) -> None:
        beta = await root.wrap(BETA, b"b" * 32, b"")
        assert await root.destroy(ALPHA) == (
            f"The transit key `{mount.name}/keys/all` serves every tenant of this root and was left alone."
        )
        assert await root.unwrap(BETA, beta, b"") == b"b" * 32

    run(settings, scenario)


def test_the_server_s_minimum_version_refuses_and_is_no_broken_seal(mount: Mount) -> None:
    async def scenario(root: Root) -> None:
        wrapped = await root.wrap(ALPHA, random_key(), b"")
        await root.rotate(ALPHA)
        mount.bao.post(f"{mount.name}/keys/tenant-alpha/config", {"min_decryption_version": 2})
        with pytest.raises(KeyUnavailable, match="below the `min_decryption_version`"):
            await root.unwrap(ALPHA, wrapped, b"")

    run(mount.settings(), scenario)


def test_a_soft_deleted_key_is_no_broken_seal(mount: Mount) -> None:
    async def scenario(root: Root) -> None:
        wrapped = await root.wrap(ALPHA, b"a" * 32, b"")
        path = f"{mount.name}/keys/tenant-alpha/soft-delete"
        assert mount.bao.call("DELETE", path)[0] == 200
        with pytest.raises(KeyUnavailable, match="is deleted, and can be had back"):
            await root.unwrap(ALPHA, wrapped, b"")
        with pytest.raises(KeyUnavailable, match="is deleted, and can be had back"):
            await root.wrap(ALPHA, b"a" * 32, b"")
        mount.bao.post(f"{path}-restore")
        assert await root.unwrap(ALPHA, wrapped, b"") == b"a" * 32

    run(mount.settings(), scenario)


# -- What isn't there ---


def test_a_mount_that_is_not_there_is_said_with_the_mend(bao: Bao) -> None:
    settings = settings_for(bao.address, TokenAuth(Secret(bao.root_token)), "nowhere/keys/{tenant_id}")
    says = "has no engine at `nowhere`; run: bao secrets enable -path=nowhere transit"
    assert says in refused(settings, lambda root: root.check())
    assert says in refused(settings, lambda root: root.prepare(ALPHA))
    assert says in refused(settings, lambda root: root.unwrap(ALPHA, b"\1\0\0\0\1" + b"x" * 60, b""))


def test_an_engine_that_is_none_is_said(bao: Bao) -> None:
    bao.post("sys/mounts/kv", {"type": "kv"})
    settings = settings_for(bao.address, TokenAuth(Secret(bao.root_token)), "kv/keys/{tenant_id}")
    for call in (lambda root: root.prepare(ALPHA), lambda root: root.check()):
        assert refused(settings, call).startswith("`kv/keys/") or "no transit engine would" in refused(settings, call)


def test_a_namespace_keeps_to_itself(bao: Bao) -> None:
    one, other = new_name("ns"), new_name("ns")
    for namespace in (one, other):
        bao.post(f"sys/namespaces/{namespace}")
        bao.post("sys/mounts/transit", {"type": "transit"}, namespace=namespace)
        bao.write_policy("keys", transit_policy("transit"), namespace=namespace)
    first, second = (
        replace(
            settings_for(
                bao.address, TokenAuth(Secret(bao.new_token("keys", namespace=namespace))), "transit/keys/{tenant_id}"
            ),
            namespace=namespace,
        )
        for namespace in (one, other)
    )
    wrapped = run(first, lambda root: root.wrap(ALPHA, random_key(), b""))
    with pytest.raises(SealBroken) as caught:
        run(second, lambda root: root.unwrap(ALPHA, wrapped, b""))
    assert caught.value.reason is BrokenSeal.WRAPPED_KEY
    assert "has no such namespace" in refused(replace(first, namespace="nowhere"), lambda root: root.prepare(ALPHA))
    crossed = replace(first, namespace=other)
    assert "refuses (403)" in refused(crossed, lambda root: root.unwrap(ALPHA, wrapped, b""))
