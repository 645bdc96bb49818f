"""https: the certificate is checked against the name in the document, and the wall stands there too."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from partywall.errors import UpstreamUnavailable
from partywall.upstream.client import Origin, PoolKey

if TYPE_CHECKING:
    from tests.upstream.client.conftest import MakePool, Peer, PeerSocket, Run, Send

_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "upstream for a test")])


def _server_context(folder: Path, *names: x509.GeneralName) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def _hello(conn: PeerSocket) -> None:
    while True:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d" % conn.number)


@pytest.fixture
def server(tmp_path: Path) -> ssl.SSLContext:
    return _server_context(tmp_path, x509.DNSName("localhost"))


@pytest.fixture
def trusting(server: ssl.SSLContext, tmp_path: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=tmp_path / "cert.pem")


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", x509.DNSName("localhost")),
        ("127.0.0.1", x509.IPAddress(ipaddress.ip_address("127.0.0.1"))),
    ],
)
def test_over_tls(
    run: Run,
    peer: type[Peer],
    pool: MakePool,
    send: Send,
    keys: tuple[PoolKey, PoolKey],
    tmp_path: Path,
    host: str,
    name: x509.GeneralName,
) -> None:
    server = _server_context(tmp_path, name)
    trusting = ssl.create_default_context(cafile=tmp_path / "cert.pem")

    async def main() -> None:
        async with peer(_hello, server) as upstream, pool(ssl_context=trusting) as upstreams:
            origin = Origin("https", host, upstream.port)
            answers = []
            for key in (keys[0], keys[1], keys[0], keys[1]):
                async with await send(upstreams, origin, key) as response:
                    answers.append(await response.read(10))
            assert answers == [b"0", b"1", b"0", b"1"]

    run(main)


def test_an_unknown_authority_is_refused(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, server: ssl.SSLContext
) -> None:
    async def main() -> None:
        async with peer(_hello, server) as upstream, pool() as upstreams:
            with pytest.raises(UpstreamUnavailable, match="certificate verify failed") as caught:
                await send(upstreams, upstream.origin)
            assert caught.value.status == 502

    run(main)


def test_another_servers_certificate_is_refused(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, tmp_path: Path
) -> None:
    other = _server_context(tmp_path, x509.DNSName("other.example"))
    trusting = ssl.create_default_context(cafile=tmp_path / "cert.pem")

    async def main() -> None:
        async with peer(_hello, other) as upstream, pool(ssl_context=trusting) as upstreams:
            for host in ("localhost", "127.0.0.1"):
                with pytest.raises(UpstreamUnavailable, match="certificate verify failed"):
                    await send(upstreams, Origin("https", host, upstream.port))

    run(main)


def test_http_behind_https_and_https_behind_http(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, server: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        pools = pool(ssl_context=trusting, connect_timeout_seconds=0.3)
        async with peer(_hello) as plain, peer(_hello, server) as tls, pools as upstreams:
            for origin in (Origin("https", "localhost", plain.port), Origin("http", "localhost", tls.port)):
                with pytest.raises(UpstreamUnavailable) as caught:
                    await send(upstreams, origin, head_timeout_seconds=1)
                assert caught.value.status in (502, 504)

    run(main)


def test_a_body_that_anyone_on_the_path_could_cut_is_refused(
    run: Run, peer: type[Peer], pool: MakePool, send: Send, server: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def handler(conn: PeerSocket) -> None:
        await conn.request()
        await conn.send(b"HTTP/1.1 200 OK\r\n\r\n{}")
        conn.writer.close()

    async def main() -> None:
        async with peer(handler, server) as upstream, pool(ssl_context=trusting) as upstreams:
            with pytest.raises(UpstreamUnavailable, match="declared no length"):
                await send(upstreams, Origin("https", "localhost", upstream.port))

    run(main)
