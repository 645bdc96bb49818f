"""OpenBao sealed, killed, hanging, moved, or not OpenBao at all; and what is said of it, and what isn't."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
import subprocess
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import requests
from tests.keys.roots.subjects import ALPHA, BETA, opened, random_key
from tests.keys.roots.vaults import Mount, settings_for
from tests.support.engines.impostor import Asked, Impostor, Said
from tests.support.engines.openbao import Bao, SealedBao
from tests.support.engines.proxy import Manner, Proxy

from partywall.errors import KeyUnavailable, SealBroken
from partywall.keys.roots import Root, TokenAuth, VaultRootSettings
from partywall.tenancy import Secret

PLACE = b"place"
TIMEOUT_SECONDS = 1.0


@pytest.fixture
def engine(sealed_bao: SealedBao) -> Iterator[SealedBao]:
    """Serving before and after, whatever the test did."""
    yield sealed_bao
    if sealed_bao.health() == 0:
        sealed_bao.start()
    sealed_bao.unseal()


@asynccontextmanager
async def used(bao: Bao, timeout_seconds: float = TIMEOUT_SECONDS) -> AsyncIterator[tuple[Root, bytes, bytes]]:
    """A root that has worked already, a key and its wrapped form."""
    mount = await asyncio.to_thread(Mount.new, bao)
    async with opened(replace(mount.settings(), timeout_seconds=timeout_seconds)) as root:
        await root.prepare(ALPHA)
        key = random_key()
        yield root, key, await root.wrap(ALPHA, key, PLACE)


async def refused(root: Root, wrapped: bytes) -> str:
    """What unwrapping is refused with, in time."""
    began = time.monotonic()
    with pytest.raises(KeyUnavailable) as caught:
        await root.unwrap(ALPHA, wrapped, PLACE)
    assert time.monotonic() - began < TIMEOUT_SECONDS + 1.0
    return str(caught.value)


def test_a_sealed_engine_says_so_and_serves_again_once_unsealed(engine: SealedBao) -> None:
    async def main() -> None:
        async with used(engine) as (root, key, wrapped):
            await asyncio.to_thread(engine.seal)
            says = "is sealed; unseal it, with: bao operator unseal"
            assert says in await refused(root, wrapped)
            with pytest.raises(KeyUnavailable, match="is sealed"):
                await root.check()
            fresh = settings_for(engine.address, TokenAuth(Secret("s.any")), "transit/keys/{tenant_id}")
            async with opened(fresh) as another:
                with pytest.raises(KeyUnavailable, match="is sealed"):
                    await another.check()
            await asyncio.to_thread(engine.unseal)
            assert await root.unwrap(ALPHA, wrapped, PLACE) == key

    asyncio.run(main())


def test_a_killed_engine_is_down_and_serves_again_once_restarted(engine: SealedBao) -> None:
    async def main() -> None:
        async with used(engine) as (root, key, wrapped):
            await asyncio.to_thread(engine.child.kill)
            assert "is down: no connection" in await refused(root, wrapped)
            await asyncio.to_thread(engine.start)
            assert "is sealed" in await refused(root, wrapped)
            await asyncio.to_thread(engine.unseal)
            assert await root.unwrap(ALPHA, wrapped, PLACE) == key
            await root.check()

    asyncio.run(main())


def test_a_restart_between_two_calls_is_not_noticed(engine: SealedBao) -> None:
    """The connection that was kept is dead, and nobody has said so."""

    async def main() -> None:
        async with used(engine, 10.0) as (root, key, wrapped):
            await asyncio.to_thread(engine.child.kill)
            await asyncio.to_thread(engine.start)
            await asyncio.to_thread(engine.unseal)
            assert await root.unwrap(ALPHA, wrapped, PLACE) == key

    asyncio.run(main())


def test_an_engine_that_is_not_initialised_is_told_how(tmp_path_factory: pytest.TempPathFactory) -> None:
    def answer(asked: Asked) -> Said:
        return Said(501, b'{"errors":["Vault is not initialized"]}', {"Content-Type": "application/json"})

    assert "is not initialised (501); run: bao operator init" in ask_impostor(answer)


async def _once_it_goes_on(root: Root, wrapped: bytes) -> bytes:
    """It has to catch up first, and the machine may be busy."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await root.unwrap(ALPHA, wrapped, PLACE)
            except KeyUnavailable:
                await asyncio.sleep(0.2)


def test_an_engine_that_hangs_is_given_up_on_and_serves_again_once_it_goes_on(engine: SealedBao) -> None:
    async def main() -> None:
        async with used(engine) as (root, key, wrapped):
            engine.child.suspend()
            try:
                for _ in range(3):
                    assert "did not answer within 1 s" in await refused(root, wrapped)
            finally:
                engine.child.resume()
            assert await _once_it_goes_on(root, wrapped) == key

    asyncio.run(main())


def test_a_connection_cut_while_idle_is_replaced_without_a_word(bao: Bao) -> None:
    async def main() -> None:
        with Proxy(bao.port) as proxy:
            mount = Mount.new(bao)
            async with opened(replace(mount.settings(), address=f"http://127.0.0.1:{proxy.port}")) as root:
                await root.prepare(ALPHA)
                wrapped = await root.wrap(ALPHA, b"a" * 32, PLACE)
                for _ in range(5):
                    for end in (proxy.cut_idle, proxy.go_stale):
                        end()
                        assert await root.unwrap(ALPHA, wrapped, PLACE) == b"a" * 32

    asyncio.run(main())


# -- TLS ---


def test_a_certificate_counts_only_with_its_authority(tls_bao: Bao, bao: Bao) -> None:
    mount = Mount.new(tls_bao)
    settings = replace(mount.settings(), ca_file=tls_bao.ca_file)

    async def main() -> None:
        async with opened(settings) as root:
            await root.prepare(ALPHA)
            assert await root.unwrap(ALPHA, await root.wrap(ALPHA, b"a" * 32, b""), b"") == b"a" * 32
        for wrong in (replace(settings, ca_file=None), replace(settings, address=f"https://127.0.0.1:{bao.port}")):
            async with opened(wrong) as root:
                with pytest.raises(KeyUnavailable, match="certificate that is not trusted, or speaks no TLS"):
                    await root.check()

    asyncio.run(main())


# -- Something else at that address ---


def ask_impostor(answer: Callable[[Asked], Said]) -> str:
    """What a root says of a server that answers like that."""

    async def main(address: str) -> str:
        settings = settings_for(address, TokenAuth(Secret("s.impostor")), "transit/keys/{tenant_id}")
        async with opened(settings) as root:
            with pytest.raises(KeyUnavailable) as caught:
                await root.unwrap(ALPHA, b"\1\0\0\0\1" + b"x" * 60, PLACE)
            return str(caught.value)

    with Impostor(answer) as impostor:
        return asyncio.run(main(impostor.address))


NONSENSE = {
    "no JSON": b"<html>log in to the network</html>",
    "no object": b"[1, 2]",
    "no data": b"{}",
    "another type": b'{"data": []}',
    "no plaintext": b'{"data": {"ciphertext": "vault:v1:AAAA"}}',
    "a number": b'{"data": {"plaintext": 1}}',
    "no text": b'{"data": {"plaintext": null}}',
    "no base64": b'{"data": {"plaintext": "-"}}',
    "nothing": b"",
}


@pytest.mark.parametrize("what", NONSENSE)
def test_an_answer_that_is_none_is_no_key(what: str) -> None:
    assert "no transit engine would" in ask_impostor(lambda _: Said(200, NONSENSE[what]))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_the_token_stays(status: int) -> None:
    with Impostor(lambda _: Said(200)) as thief:
        said = ask_impostor(lambda asked: Said(status, headers={"Location": thief.address + asked.path}))
        assert f"redirects elsewhere ({status})" in said
        assert thief.asked == []


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (400, "failed to `decrypt` (status 400)"),
        (405, "failed to `decrypt` (status 405)"),
        (429, "is overloaded (429)"),
        (472, "is a standby"),
        (473, "is a standby"),
        (500, "failed to `decrypt` (status 500)"),
        (502, "failed to `decrypt` (status 502)"),
        (503, "is not ready (503)"),
    ],
)
def test_a_status_is_told_and_never_the_server_s_words(status: int, says: str) -> None:
    words = b'{"errors":["\\u001b[31mwords of the server"]}'

    def answer(asked: Asked) -> Said:
        return Said(200, b'{"data":{"ttl":0}}') if asked.path.endswith("lookup-self") else Said(status, words)

    said = ask_impostor(answer)
    assert says in said
    assert "words" not in said


def test_a_server_that_echoes_keys_and_tokens_gets_nothing_of_them_into_our_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A tenant's own server sees both, and writes what it likes. Our logs, errors and their chains don't repeat it."""
    token, key = "s.super-secret-token", b"k" * 32
    secrets = [token, base64.b64encode(key).decode(), key.decode(), repr(key)]

    def answer(asked: Asked) -> Said:
        words = json.dumps({"errors": [f"{asked.headers.get('X-Vault-Token')} {asked.body.decode()}"]})
        return Said(400, words.encode(), {"Content-Type": "application/json"})

    async def main(address: str) -> BaseException:
        async with opened(settings_for(address, TokenAuth(Secret(token)), "transit/keys/{tenant_id}")) as root:
            with pytest.raises(KeyUnavailable) as caught:
                await root.wrap(ALPHA, key, PLACE)
            return caught.value

    def forget(asked: Asked) -> Said:
        """The look-up says nothing, so that the wrapping itself is refused."""
        return Said(403) if asked.path.endswith("lookup-self") else answer(asked)

    caplog.set_level(logging.DEBUG)
    with Impostor(forget) as impostor:
        error = asyncio.run(main(impostor.address))
        assert any(base64.b64encode(key) in asked.body for asked in impostor.asked)
    said = "".join(traceback.format_exception(error)) + repr(error) + caplog.text
    chain: BaseException | None = error
    while chain is not None:
        said += str(chain) + repr(chain.args)
        assert not isinstance(chain, requests.RequestException)
        chain = chain.__cause__ or chain.__context__
    assert [secret for secret in secrets if secret in said] == []


def test_a_connection_error_carries_no_request(bao: Bao) -> None:
    """What requests raises holds the headers and the body."""

    async def main() -> None:
        with Proxy(bao.port) as proxy:
            mount = Mount.new(bao)
            settings = replace(
                mount.settings(), address=f"http://127.0.0.1:{proxy.port}", timeout_seconds=TIMEOUT_SECONDS
            )
            async with opened(settings) as root:
                await root.prepare(ALPHA)
                for manner in (Manner.REFUSE, Manner.CUT, Manner.SILENT):
                    proxy.behave(manner)
                    with pytest.raises(KeyUnavailable) as caught:
                        await root.wrap(ALPHA, random_key(), PLACE)
                    chain: BaseException | None = caught.value
                    while chain is not None:
                        assert not isinstance(chain, requests.RequestException)
                        chain = chain.__cause__ or chain.__context__
                proxy.behave(Manner.PASS)

    asyncio.run(main())
    gc.collect()


# -- The tenant's own (BYOK) ---


def own(mount: Mount, key: str) -> VaultRootSettings:
    """Alpha's own root: its mount, its key, its credential."""
    return replace(mount.settings(template=key), tenant=ALPHA)


@pytest.mark.parametrize("revoked", ["policy", "token", "key", "mount"])
def test_what_a_tenant_revokes_is_gone_for_it_alone(bao: Bao, revoked: str) -> None:
    theirs, ours = Mount.new(bao), Mount.new(bao)
    settings = own(theirs, "our-own-root")
    revoke: dict[str, Callable[[], object]] = {
        "policy": lambda: bao.write_policy(theirs.name, {"nothing/*": ["read"]}),
        "token": lambda: bao.post("auth/token/revoke", {"token": token_of(settings)}),
        "key": lambda: (
            bao.post(f"{theirs.name}/keys/our-own-root/config", {"deletion_allowed": True}),
            bao.call("DELETE", f"{theirs.name}/keys/our-own-root"),
        ),
        "mount": lambda: bao.call("DELETE", f"sys/mounts/{theirs.name}"),
    }

    async def main() -> None:
        async with opened(settings) as alpha, opened(ours.settings()) as platform:
            await alpha.prepare(ALPHA)
            await alpha.check()
            await platform.prepare(BETA)
            a, b = await alpha.wrap(ALPHA, b"a" * 32, PLACE), await platform.wrap(BETA, b"b" * 32, PLACE)
            revoke[revoked]()
            with pytest.raises(KeyUnavailable):
                await alpha.unwrap(ALPHA, a, PLACE)
            with pytest.raises(KeyUnavailable):
                await alpha.wrap(ALPHA, b"a" * 32, PLACE)
            with pytest.raises((KeyUnavailable, SealBroken)):  # the platform's root holds nothing that would open it
                await platform.unwrap(ALPHA, a, PLACE)
            assert await platform.unwrap(BETA, b, PLACE) == b"b" * 32
            await platform.check()

    asyncio.run(main())


def token_of(settings: VaultRootSettings) -> str:
    assert isinstance(settings.auth, TokenAuth)
    assert settings.auth.token is not None
    return settings.auth.token.reveal()


def test_a_tenant_s_own_root_serves_nobody_else(bao: Bao) -> None:
    mount = Mount.new(bao)

    async def main() -> None:
        async with opened(own(mount, "our-own-root")) as root:
            await root.prepare(ALPHA)
            wrapped = await root.wrap(ALPHA, random_key(), PLACE)
            calls: list[Callable[[], Awaitable[object]]] = [
                lambda: root.prepare(BETA),
                lambda: root.wrap(BETA, random_key(), PLACE),
                lambda: root.unwrap(BETA, wrapped, PLACE),
                lambda: root.rotate(BETA),
                lambda: root.destroy(BETA),
            ]
            for call in calls:
                with pytest.raises(
                    KeyUnavailable, match="is `alpha`'s own root and serves no other tenant; `beta` asked"
                ):
                    await call()
            assert bao.latest_version("our-own-root", mount.name) == 1

    asyncio.run(main())


def test_a_tenant_s_own_key_is_destroyed_with_the_tenant(bao: Bao) -> None:
    mount = Mount.new(bao)

    async def main() -> None:
        async with opened(own(mount, "our-own-root")) as root:
            await root.prepare(ALPHA)
            said = await root.destroy(ALPHA)
            assert said == f"The transit key `{mount.name}/keys/our-own-root` was deleted with all its versions."

    asyncio.run(main())
    assert not bao.has_key("our-own-root", mount.name)


FORK = """
import os, sys
from partywall.keys.roots import TokenAuth, VaultRootSettings
from partywall.keys.roots.vault_wire import VaultWire
from partywall.tenancy import Secret

secret = Secret(sys.argv[2])
wire = VaultWire(VaultRootSettings(sys.argv[1], TokenAuth(secret)))
def ask():
    assert wire.ask(secret, lambda api: api.token.lookup_self()).ok
    return id(wire._idle[-1])
first = ask()
assert ask() == first
child = os.fork()
if child == 0:
    os._exit(0 if ask() != first and ask() != first else 1)
_, status = os.waitpid(child, 0)
assert ask() == first
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_child_speaks_on_connections_of_its_own(bao: Bao) -> None:
    """On its parent's, each could read the other's answer: another tenant's key."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, bao.address, bao.root_token], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
