"""Tokens: had by AppRole, by a service account, or given; renewed, replaced, refused, revoked. On a real OpenBao."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from tests.keys.roots.subjects import ALPHA, BETA, opened, random_key
from tests.keys.roots.vaults import Mount
from tests.support.engines.impostor import Asked, Impostor, Said
from tests.support.engines.openbao import Bao
from tests.support.engines.token_review import Cluster

from partywall.errors import KeyUnavailable
from partywall.keys.roots import AppRoleAuth, KubernetesAuth, Root, TokenAuth, VaultAuth, VaultRootSettings
from partywall.tenancy import Secret

PLACE = b"place"
BETWEEN_LOGINS_SECONDS = 1.1


@pytest.fixture
def mount(bao: Bao) -> Mount:
    return Mount.new(bao)


@pytest.fixture
def app_role(mount: Mount) -> AppRoleAuth:
    """A role of the mount's policy, whose tokens live for an hour."""
    return new_app_role(mount, token_ttl="1h")


def new_app_role(mount: Mount, **options: object) -> AppRoleAuth:
    bao, path = mount.bao, f"auth/{mount.name}-role"
    bao.post(f"sys/{path}", {"type": "approle"})
    bao.post(f"{path}/role/gateway", {"token_policies": [mount.name], **options})
    role_id = field(bao, "GET", f"{path}/role/gateway/role-id", "role_id")
    secret_id = field(bao, "POST", f"{path}/role/gateway/secret-id", "secret_id")
    return AppRoleAuth(role_id, Secret(secret_id), mount=f"{mount.name}-role")


def field(bao: Bao, method: str, path: str, name: str) -> str:
    status, document = bao.call(method, path, None if method == "GET" else {})
    data = document["data"]
    assert status == 200
    assert isinstance(data, dict)
    return str(data[name])


def accessors(bao: Bao, mount: Mount) -> list[str]:
    """The tokens that live, of the mount's policy."""
    _, document = bao.call("LIST", "auth/token/accessors")
    data = document["data"]
    assert isinstance(data, dict)
    found = []
    for accessor in data["keys"]:
        status, seen = bao.call("POST", "auth/token/lookup-accessor", {"accessor": accessor})
        if status == 200 and mount.name in json.dumps(seen):
            found.append(str(accessor))
    return found


def revoke_all(bao: Bao, mount: Mount) -> int:
    """Revoke every token of the mount's policy."""
    found = accessors(bao, mount)
    for accessor in found:
        bao.post("auth/token/revoke-accessor", {"accessor": accessor})
    return len(found)


async def works(root: Root) -> None:
    for tenant in (ALPHA, BETA):
        await root.prepare(tenant)
        key = random_key()
        assert await root.unwrap(tenant, await root.wrap(tenant, key, PLACE), PLACE) == key
    await root.check()


def play(settings: VaultRootSettings) -> None:
    async def main() -> None:
        async with opened(settings) as root:
            await works(root)

    asyncio.run(main())


async def says(root: Root) -> str:
    """What the check is refused with."""
    with pytest.raises(KeyUnavailable) as caught:
        await root.check()
    return str(caught.value)


# -- AppRole ---


def test_an_app_role_logs_in_once_and_gives_its_token_back(mount: Mount, app_role: AppRoleAuth) -> None:
    async def main() -> None:
        async with opened(mount.settings(app_role)) as root:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(10):
                    tasks.create_task(root.check())
            await works(root)
            assert len(accessors(mount.bao, mount)) == 1
        assert accessors(mount.bao, mount) == []

    asyncio.run(main())


def test_a_role_bound_without_a_secret_id(mount: Mount) -> None:
    options = {"bind_secret_id": False, "secret_id_bound_cidrs": [], "token_bound_cidrs": ["127.0.0.1/32"]}
    mount.bao.post("sys/auth/plain-role", {"type": "approle"})
    mount.bao.post("auth/plain-role/role/gateway", {"token_policies": [mount.name], **options})
    role_id = field(mount.bao, "GET", "auth/plain-role/role/gateway/role-id", "role_id")
    play(mount.settings(AppRoleAuth(role_id, None, mount="plain-role")))


@pytest.mark.parametrize("wrong", ["role", "secret", "mount"])
def test_a_wrong_login_is_refused_and_shows_no_secret(mount: Mount, app_role: AppRoleAuth, wrong: str) -> None:
    assert app_role.secret_id is not None
    auth = AppRoleAuth(
        "no-such-role" if wrong == "role" else app_role.role_id,
        Secret("no-such-secret") if wrong == "secret" else app_role.secret_id,
        "no-such-mount" if wrong == "mount" else app_role.mount,
    )

    async def main() -> None:
        async with opened(mount.settings(auth)) as root:
            said = await says(root)
            assert "refuses (" in said
            assert "AppRole login" in said
            assert "no-such-secret" not in said
            assert app_role.secret_id is not None
            assert app_role.secret_id.reveal() not in said

    asyncio.run(main())


def test_a_revoked_token_is_replaced_by_one_login_for_all(mount: Mount, app_role: AppRoleAuth) -> None:
    async def main() -> None:
        async with opened(mount.settings(app_role)) as root:
            await works(root)
            wrapped = await root.wrap(ALPHA, b"a" * 32, PLACE)
            await asyncio.sleep(BETWEEN_LOGINS_SECONDS)
            assert revoke_all(mount.bao, mount) == 1
            many = await asyncio.gather(*(root.unwrap(ALPHA, wrapped, PLACE) for _ in range(20)))
            assert set(many) == {b"a" * 32}
            assert len(accessors(mount.bao, mount)) == 1

    asyncio.run(main())


def test_a_revoked_role_is_refused_after_one_login_and_served_again_once_restored(
    mount: Mount, app_role: AppRoleAuth
) -> None:
    path = f"auth/{app_role.mount}/role/gateway"

    async def main() -> None:
        async with opened(mount.settings(app_role)) as root:
            await works(root)
            wrapped = await root.wrap(ALPHA, random_key(), PLACE)
            await asyncio.sleep(BETWEEN_LOGINS_SECONDS)
            mount.bao.post(path, {"token_policies": []})
            revoke_all(mount.bao, mount)
            with pytest.raises(KeyUnavailable, match=r"refuses \(403\)"):
                await root.unwrap(ALPHA, wrapped, PLACE)
            mount.bao.post(path, {"token_policies": [mount.name]})
            await asyncio.sleep(BETWEEN_LOGINS_SECONDS)
            await works(root)

    asyncio.run(main())


def test_a_refusal_by_policy_does_not_hammer_the_login(mount: Mount, app_role: AppRoleAuth) -> None:
    async def main() -> None:
        async with opened(mount.settings(app_role)) as root:
            await works(root)
            wrapped = await root.wrap(ALPHA, random_key(), PLACE)
            mount.allow(decrypt=False)
            began = time.monotonic()
            for _ in range(30):
                with pytest.raises(KeyUnavailable, match=r"refuses \(403\)"):
                    await root.unwrap(ALPHA, wrapped, PLACE)
            logins = len(accessors(mount.bao, mount)) - 1
            assert logins <= (time.monotonic() - began) / 1.0 + 1
            mount.allow()
            await root.unwrap(ALPHA, wrapped, PLACE)

    asyncio.run(main())


# -- The life of a token ---


def test_a_token_is_renewed_in_time_and_stays_the_same(mount: Mount) -> None:
    auth = new_app_role(mount, token_ttl="3s", token_max_ttl="1h")

    async def main() -> None:
        async with opened(mount.settings(auth)) as root:
            await works(root)
            (first,) = accessors(mount.bao, mount)
            end = time.monotonic() + 5
            while time.monotonic() < end:
                await root.check()
                await asyncio.sleep(0.2)
            assert accessors(mount.bao, mount) == [first]

    asyncio.run(main())


@pytest.mark.parametrize("options", [{"token_max_ttl": "3s"}, {"token_type": "batch"}], ids=["max-ttl", "batch"])
def test_a_token_that_can_t_be_renewed_is_replaced_before_it_ends(mount: Mount, options: dict[str, object]) -> None:
    auth = new_app_role(mount, token_ttl="3s", **options)

    async def main() -> None:
        async with opened(mount.settings(auth)) as root:
            end = time.monotonic() + 5
            while time.monotonic() < end:
                await root.check()
                await asyncio.sleep(0.1)

    asyncio.run(main())


def test_a_token_that_ended_unused_is_replaced(mount: Mount) -> None:
    auth = new_app_role(mount, token_ttl="1s", token_max_ttl="1h")

    async def main() -> None:
        async with opened(mount.settings(auth)) as root:
            await works(root)
            await asyncio.sleep(2.2)
            assert accessors(mount.bao, mount) == []
            await works(root)

    asyncio.run(main())


def test_a_given_token_is_renewed_and_not_revoked(mount: Mount) -> None:
    token = mount.bao.new_token(mount.name, ttl="3s", explicit_max_ttl="1h")

    async def main() -> None:
        async with opened(mount.settings(TokenAuth(Secret(token)))) as root:
            end = time.monotonic() + 5
            while time.monotonic() < end:
                await root.check()
                await asyncio.sleep(0.2)
        assert mount.bao.call("GET", "auth/token/lookup-self", token=token)[0] == 200

    asyncio.run(main())


def test_a_given_token_that_is_revoked_is_refused(mount: Mount) -> None:
    token = mount.bao.new_token(mount.name)

    async def main() -> None:
        async with opened(mount.settings(TokenAuth(Secret(token)))) as root:
            await works(root)
            mount.bao.post("auth/token/revoke", {"token": token})
            for _ in range(3):
                said = await says(root)
                assert "refuses (403)" in said
                assert "the token was revoked" in said
                assert token not in said

    asyncio.run(main())


def test_a_token_without_the_default_policy_may_not_look_itself_up_and_works(mount: Mount) -> None:
    token = mount.bao.new_token(mount.name, no_default_policy=True)
    assert mount.bao.call("GET", "auth/token/lookup-self", token=token)[0] == 403
    play(mount.settings(TokenAuth(Secret(token))))


def test_a_token_file_is_read_again_when_its_token_is_refused(mount: Mount, tmp_path: Path) -> None:
    """As an agent keeps it fresh."""
    file, first = tmp_path / "token", mount.bao.new_token(mount.name)
    file.write_text(first + "\n")

    async def main() -> None:
        async with opened(mount.settings(TokenAuth(file=file))) as root:
            await works(root)
            await asyncio.sleep(BETWEEN_LOGINS_SECONDS)
            mount.bao.post("auth/token/revoke", {"token": first})
            await asyncio.to_thread(file.write_text, mount.bao.new_token(mount.name))
            await works(root)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "can't be read: FileNotFoundError"),
        (b"", "holds no token"),
        (b" \n", "holds no token"),
        (b"two words", "holds no token"),
        (b"s.token\r\nX-Vault-Namespace: other", "holds no token"),
        (b"s.\xff", "can't be read: UnicodeDecodeError"),
    ],
)
def test_a_token_file_without_a_token_is_said(mount: Mount, tmp_path: Path, content: bytes | None, why: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)

    async def main() -> None:
        async with opened(mount.settings(TokenAuth(file=file))) as root:
            assert await says(root) == f"the token file `{file}` {why}"

    asyncio.run(main())


# -- Kubernetes ---


@pytest.fixture
def service_account(mount: Mount, cluster: Cluster, tmp_path: Path) -> KubernetesAuth:
    """A pod of the gateway's service account, and a role bound to it."""
    bao, name = mount.bao, f"{mount.name}-k8s"
    bao.post(f"sys/auth/{name}", {"type": "kubernetes"})
    bao.post(
        f"auth/{name}/config",
        {
            "kubernetes_host": cluster.url,
            "token_reviewer_jwt": cluster.reviewer_jwt,
            "kubernetes_ca_cert": cluster.ca_certificate,
            "disable_local_ca_jwt": True,
        },
    )
    bao.post(
        f"auth/{name}/role/gateway",
        {
            "bound_service_account_names": [mount.name],
            "bound_service_account_namespaces": ["partywall"],
            "token_policies": [mount.name],
            "token_ttl": "1h",
        },
    )
    file = tmp_path / "jwt"
    file.write_text(cluster.new_token("partywall", mount.name))
    return KubernetesAuth("gateway", file, name)


def test_a_service_account_logs_in_through_a_token_review(
    mount: Mount, cluster: Cluster, service_account: KubernetesAuth
) -> None:
    before = cluster.reviews
    play(mount.settings(service_account))
    assert cluster.reviews == before + 1
    assert accessors(mount.bao, mount) == []


def test_the_service_account_s_token_is_read_anew_for_each_login(
    mount: Mount, cluster: Cluster, service_account: KubernetesAuth
) -> None:
    async def main() -> None:
        file = service_account.jwt_file
        await asyncio.to_thread(file.write_text, cluster.new_token("partywall", mount.name, seconds=3))
        async with opened(mount.settings(service_account)) as root:
            await works(root)
            await asyncio.sleep(3.1)
            await asyncio.to_thread(file.write_text, cluster.new_token("partywall", mount.name))
            revoke_all(mount.bao, mount)
            await works(root)

    asyncio.run(main())


def test_another_account_a_forged_token_and_a_deleted_account_are_refused(
    mount: Mount, cluster: Cluster, service_account: KubernetesAuth, tmp_path: Path
) -> None:
    async def refused(token: str) -> str:
        await asyncio.to_thread(service_account.jwt_file.write_text, token)
        async with opened(mount.settings(service_account)) as root:
            said = await says(root)
            assert token not in said
            return said

    with Cluster(tmp_path) as another_cluster:
        forged = another_cluster.new_token("partywall", mount.name)
    for token in (
        forged,
        cluster.new_token("partywall", "somebody"),
        cluster.new_token("elsewhere", mount.name),
        cluster.new_token("partywall", mount.name, seconds=-60),
    ):
        assert f"the Kubernetes login as `gateway` at `{service_account.mount}`" in asyncio.run(refused(token))
    good = cluster.new_token("partywall", mount.name)
    cluster.delete_account("partywall", mount.name)
    assert "the Kubernetes login as" in asyncio.run(refused(good))


# -- What must not be used ---


def test_nothing_of_the_environment_is_used(
    mount: Mount, app_role: AppRoleAuth, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """hvac and requests would take a token, an address, a namespace, a proxy and a password from there."""

    def answer(asked: Asked) -> Said:
        return Said(500, b"asked the wrong one")

    with Impostor(answer) as wrong:
        (tmp_path / ".vault-token").write_text(mount.bao.root_token)
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login nobody password nothing")
        (tmp_path / ".netrc").chmod(0o600)
        for name, value in {
            "HOME": str(tmp_path),
            "NETRC": str(tmp_path / ".netrc"),
            "VAULT_TOKEN": mount.bao.root_token,
            "VAULT_ADDR": wrong.address,
            "VAULT_NAMESPACE": "nowhere",
            "VAULT_CACERT": str(tmp_path / "nothing"),
            "REQUESTS_CA_BUNDLE": str(tmp_path / "nothing"),
            "HTTP_PROXY": wrong.address,
            "http_proxy": wrong.address,
            "ALL_PROXY": wrong.address,
            "NO_PROXY": "",
            "no_proxy": "",
        }.items():
            monkeypatch.setenv(name, value)
        play(mount.settings(app_role))
        assert wrong.asked == []

        auths: list[VaultAuth] = [AppRoleAuth("no-such-role", None, app_role.mount), TokenAuth(Secret("s.nothing"))]
        for auth in auths:  # the root token of the environment would have let them in

            async def main(auth: VaultAuth = auth) -> None:
                async with opened(mount.settings(auth)) as root:
                    assert "refuses (" in await says(root)

            asyncio.run(main())
