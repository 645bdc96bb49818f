"""Key sets from files and URLs: seldom asked, never trusted for long, and closed when in doubt."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import os
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from partywall.errors import IdentityUnavailable, InvalidCredential
from partywall.identity import IssuerSettings, key_source
from partywall.identity.key_source import KeySource

if TYPE_CHECKING:
    from tests.identity.conftest import FakeClock, JwksServer, SigningKey


def issuer(**changes: Any) -> IssuerSettings:
    values: dict[str, Any] = {"issuer": "https://id.example", "audiences": ("pw",), "tenant_claim": "org"}
    return IssuerSettings(**values | changes)


@pytest.fixture
def server(new_server: Callable[[], JwksServer], ec_key: SigningKey) -> JwksServer:
    server = new_server()
    server.publish(ec_key.jwk())
    return server


def finds(source: KeySource, kid: str = "ec-1") -> bool:
    """Whether the source finds the key; an absent key and an unavailable set stay apart, the latter raises."""
    try:
        asyncio.run(source.find(kid, "ES256"))
    except InvalidCredential:
        return False
    return True


def unavailable(source: KeySource, why: str, kid: str = "ec-1") -> None:
    with pytest.raises(IdentityUnavailable, match=why):
        asyncio.run(source.find(kid, "ES256"))


# -- URLs ---


def test_keys_are_fetched_once_and_again_when_due(server: JwksServer, clock: FakeClock) -> None:
    source = KeySource(issuer(jwks_url=server.url, jwks_refresh_seconds=100), clock)
    assert finds(source)
    clock.now += 99
    assert finds(source)
    assert server.hits == 1
    clock.now += 1
    assert finds(source)
    assert server.hits == 2


def test_a_withdrawn_key_is_gone_after_the_refresh(server: JwksServer, clock: FakeClock) -> None:
    source = KeySource(issuer(jwks_url=server.url, jwks_refresh_seconds=100), clock)
    assert finds(source)
    server.publish()
    clock.now += 100
    assert not finds(source)


def test_an_unknown_kid_buys_one_fetch_in_thirty_seconds(
    server: JwksServer, clock: FakeClock, ec_key: SigningKey
) -> None:
    source = KeySource(issuer(jwks_url=server.url), clock)
    assert finds(source)
    for number in range(20):
        assert not finds(source, f"forged-{number}")
    assert server.hits == 2
    server.publish(ec_key.jwk(), ec_key.jwk(kid="rotated"))
    clock.now += 29.9
    assert not finds(source, "rotated")
    clock.now += 0.1
    assert finds(source, "rotated")
    assert server.hits == 3


def test_a_first_fetch_that_lacks_the_kid_is_not_repeated_at_once(server: JwksServer, clock: FakeClock) -> None:
    source = KeySource(issuer(jwks_url=server.url), clock)
    assert not finds(source, "forged")
    assert server.hits == 1


def test_held_keys_bridge_an_outage_up_to_their_maximum_age(server: JwksServer, clock: FakeClock) -> None:
    settings = issuer(jwks_url=server.url, jwks_refresh_seconds=100, jwks_max_age_seconds=300)
    source = KeySource(settings, clock)
    assert finds(source)
    server.status = 500
    clock.now += 300
    assert finds(source)
    clock.now += 0.1
    unavailable(source, "status 500")
    clock.now += 10
    server.status = 200
    assert finds(source)


def test_an_outage_is_asked_about_seldom(server: JwksServer, clock: FakeClock) -> None:
    server.status = 503
    source = KeySource(issuer(jwks_url=server.url), clock)
    for _ in range(10):
        unavailable(source, "status 503")
    assert server.hits == 1
    clock.now += key_source.RETRY_SECONDS
    server.status = 200
    assert finds(source)


@pytest.mark.parametrize("status", [204, 301, 302, 303, 307, 308, 401, 404, 500])
def test_any_answer_but_200_is_a_failure(server: JwksServer, clock: FakeClock, status: int) -> None:
    server.status = status
    unavailable(KeySource(issuer(jwks_url=server.url), clock), f"status {status}")


def test_redirects_are_not_followed(
    server: JwksServer, new_server: Callable[[], JwksServer], clock: FakeClock, ec_key: SigningKey
) -> None:
    elsewhere = new_server()
    elsewhere.publish(ec_key.jwk())
    server.status, server.headers = 302, {"Location": elsewhere.url}
    unavailable(KeySource(issuer(jwks_url=server.url), clock), "redirects are not followed")
    assert elsewhere.hits == 0


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"keys": 1}', b'{"keys": [], "keys": []}'])
def test_what_is_no_key_set_is_a_failure(server: JwksServer, clock: FakeClock, body: bytes) -> None:
    server.body = body
    unavailable(KeySource(issuer(jwks_url=server.url), clock), "ValueError")


def test_a_set_beyond_one_mebibyte_is_refused(server: JwksServer, clock: FakeClock, ec_key: SigningKey) -> None:
    padding = "x" * (key_source.MAX_DOCUMENT_BYTES - 500)
    server.publish(ec_key.jwk(), padding)
    assert finds(KeySource(issuer(jwks_url=server.url), clock))
    server.publish(ec_key.jwk(), padding, "y" * 500)
    unavailable(KeySource(issuer(jwks_url=server.url), clock), "exceeds")


def test_nobody_listening_is_a_failure(server: JwksServer, clock: FakeClock) -> None:
    server.close()
    unavailable(KeySource(issuer(jwks_url=server.url), clock), "refused")


def test_a_server_that_drips_is_cut_off(server: JwksServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_source, "FETCH_TIMEOUT_SECONDS", 0.2)
    server.between_bytes_seconds = 0.05
    server.body = b" " * 200
    began = time.monotonic()
    unavailable(KeySource(issuer(jwks_url=server.url), clock), "took longer")
    assert time.monotonic() - began < 2


def test_a_silent_server_is_cut_off(server: JwksServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_source, "FETCH_TIMEOUT_SECONDS", 0.2)
    done = threading.Event()

    def hold() -> None:
        done.wait(5)

    server.before_answer = hold
    unavailable(KeySource(issuer(jwks_url=server.url), clock), "imed out")
    done.set()


def test_a_proxy_from_the_environment_never_carries_clear_text(
    server: JwksServer, new_server: Callable[[], JwksServer], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = new_server()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert finds(KeySource(issuer(jwks_url=server.url), clock))
    assert proxy.hits == 0


# -- One fetch, whoever waits and whoever leaves ---


def test_concurrent_requests_share_one_fetch(server: JwksServer, clock: FakeClock) -> None:
    source = KeySource(issuer(jwks_url=server.url), clock)
    server.before_answer = lambda: time.sleep(0.1)

    async def main() -> None:
        found = await asyncio.gather(*(source.find("ec-1", "ES256") for _ in range(50)))
        assert len({id(keys) for _, keys in found}) == 1

    asyncio.run(main())
    assert server.hits == 1


def test_who_hangs_up_does_not_end_the_fetch_for_the_others(server: JwksServer, clock: FakeClock) -> None:
    source = KeySource(issuer(jwks_url=server.url), clock)
    arrived, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        go_on.wait(5)

    server.before_answer = hold

    async def main() -> None:
        first = asyncio.create_task(source.find("ec-1", "ES256"))
        await asyncio.to_thread(arrived.wait, 5)
        second = asyncio.create_task(source.find("ec-1", "ES256"))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go_on.set()
        key, _ = await second
        assert key.key_id == "ec-1"

    asyncio.run(main())
    assert server.hits == 1


def test_closing_ends_the_fetch_and_starts_no_other(server: JwksServer, clock: FakeClock) -> None:
    source = KeySource(issuer(jwks_url=server.url), clock)
    arrived, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        go_on.wait(5)

    server.before_answer = hold

    async def main() -> None:
        waiting = asyncio.create_task(source.find("ec-1", "ES256"))
        await asyncio.to_thread(arrived.wait, 5)
        await source.aclose()
        with pytest.raises(IdentityUnavailable):
            await waiting
        clock.now += 1000
        with pytest.raises(IdentityUnavailable):
            await source.find("ec-1", "ES256")
        go_on.set()
        await source.aclose()

    asyncio.run(main())
    assert server.hits == 1


def test_a_slow_issuer_costs_held_keys_only_a_moment(
    server: JwksServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_source, "PATIENCE_SECONDS", 0.05)
    source = KeySource(issuer(jwks_url=server.url, jwks_refresh_seconds=100), clock)
    go_on = threading.Event()

    async def main() -> None:
        await source.find("ec-1", "ES256")
        server.before_answer = lambda: go_on.wait(5)
        clock.now += 100
        began = time.monotonic()
        await asyncio.gather(*(source.find("ec-1", "ES256") for _ in range(5)))
        assert time.monotonic() - began < 1
        go_on.set()
        await source.aclose()

    asyncio.run(main())
    assert server.hits == 2


# -- Files ---


def write(path: Path, *jwks: object) -> None:
    """Replace a key set as careful tools do, so that no reader sees half of one."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"keys": jwks}))
    fresh.replace(path)


def test_a_changed_file_is_read_again(tmp_path: Path, clock: FakeClock, ec_key: SigningKey) -> None:
    path = tmp_path / "jwks.json"
    write(path, ec_key.jwk())
    source = KeySource(issuer(jwks_file=path), clock)
    assert finds(source)
    write(path, ec_key.jwk(kid="rotated"))
    assert finds(source, "rotated")
    assert not finds(source)


def test_a_key_withdrawn_from_a_file_is_gone_at_once(tmp_path: Path, clock: FakeClock, ec_key: SigningKey) -> None:
    path = tmp_path / "jwks.json"
    write(path, ec_key.jwk())
    source = KeySource(issuer(jwks_file=path), clock)
    assert finds(source)
    write(path)
    assert not finds(source)


def test_a_file_rewritten_in_place_is_read_again(tmp_path: Path, clock: FakeClock, ec_key: SigningKey) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [ec_key.jwk(kid="old")]}))
    source = KeySource(issuer(jwks_file=path), clock)
    assert finds(source, "old")
    path.write_text(json.dumps({"keys": [ec_key.jwk(kid="new")]}))
    os.utime(path, ns=(1, 1))
    assert finds(source, "new")


def test_an_unchanged_file_is_not_read_for_each_token(tmp_path: Path, clock: FakeClock, ec_key: SigningKey) -> None:
    path = tmp_path / "jwks.json"
    write(path, ec_key.jwk())
    source = KeySource(issuer(jwks_file=path), clock)
    assert finds(source)
    before = source.current
    assert finds(source)
    assert source.current is before


def test_a_file_that_goes_bad_is_bridged_and_then_closed(tmp_path: Path, clock: FakeClock, ec_key: SigningKey) -> None:
    path = tmp_path / "jwks.json"
    write(path, ec_key.jwk())
    source = KeySource(issuer(jwks_file=path, jwks_refresh_seconds=10, jwks_max_age_seconds=60), clock)
    assert finds(source)
    path.write_text("{")
    assert finds(source)
    path.unlink()
    clock.now += 60
    assert finds(source)
    clock.now += 1
    unavailable(source, "FileNotFoundError")


def test_a_file_that_never_was_is_unavailable(tmp_path: Path, clock: FakeClock) -> None:
    unavailable(KeySource(issuer(jwks_file=tmp_path / "none.json"), clock), "FileNotFoundError")


# -- TLS ---


def self_signed(directory: Path) -> Path:
    """A certificate for 127.0.0.1 and its key in one PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = directory / "tls.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return pem


def test_https_verifies_the_certificate(
    tmp_path: Path, clock: FakeClock, ec_key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.dumps({"keys": [ec_key.jwk()]}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            return

    pem = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # refused handshakes are what we ask for
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    settings = issuer(jwks_url=f"https://127.0.0.1:{server.server_address[1]}/jwks")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    try:
        unavailable(KeySource(settings, clock), "CERTIFICATE_VERIFY_FAILED")
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        assert finds(KeySource(settings, clock))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
