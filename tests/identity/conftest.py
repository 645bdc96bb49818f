"""Two tenants, their API keys, and identity providers with real keys behind real local HTTP servers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from partywall.errors import PartywallError
from partywall.identity import Authenticator, IdentitySettings, IssuerSettings, KeyEntry
from partywall.identity import authenticator as authenticator_module
from partywall.tenancy import GroupName, TenantId, TenantScope
from partywall.tenancy._mint import mint

ALPHA, BETA = TenantId("alpha"), TenantId("beta")
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Json: TypeAlias = dict[str, Any]
"""Any: tests write malformed claims on purpose."""


def run_in_loop(authenticator: Authenticator, headers: Any) -> TenantScope:
    return asyncio.run(authenticator.authenticate(headers))


# -- API keys ---


@dataclass(frozen=True)
class Keys:
    """Clear text of the keys that the settings know. `alpha` has two groups."""

    alpha: bytes = b"pw_alpha-key"
    alpha_batch: bytes = b"pw_alpha-batch-key"
    beta: bytes = b"pw_beta-key"
    unknown: bytes = b"pw_nobody"


@pytest.fixture
def keys() -> Keys:
    return Keys()


GROUPS = {ALPHA: (GroupName("alpha"), GroupName("alpha-batch")), BETA: (GroupName("beta"),)}


def entries(keys: Keys) -> dict[bytes, KeyEntry]:
    owners = {
        keys.alpha: KeyEntry(ALPHA, GroupName("alpha")),
        keys.alpha_batch: KeyEntry(ALPHA, GroupName("alpha-batch")),
        keys.beta: KeyEntry(BETA, GroupName("beta")),
    }
    return {hashlib.sha256(key).digest(): owner for key, owner in owners.items()}


# -- Signing keys and tokens ---


@dataclass(frozen=True)
class SigningKey:
    kid: str
    algorithm: str
    private: PrivateKey

    def jwk(self, **changes: object) -> Json:
        """The public JWK; `changes` of None leave a member out."""
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            jwk = RSAAlgorithm.to_jwk(public, as_dict=True)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            jwk = ECAlgorithm.to_jwk(public, as_dict=True)
        else:
            jwk = OKPAlgorithm.to_jwk(public, as_dict=True)
        jwk.pop("key_ops", None)
        whole = jwk | {"kid": self.kid, "use": "sig", "alg": self.algorithm} | changes
        return {name: value for name, value in whole.items() if value is not None}

    def sign(self, header: bytes, payload: bytes) -> bytes:
        """A compact token over exactly these bytes, signed truly: only what a test changes can be why it is refused."""
        signing_input = b64(header) + b"." + b64(payload)
        signature = jwt.get_algorithm_by_name(self.algorithm).sign(signing_input, self.private)
        return signing_input + b"." + b64(signature)


def b64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


@pytest.fixture(scope="session")
def rsa_key() -> SigningKey:
    return SigningKey("rsa-1", "RS256", rsa.generate_private_key(public_exponent=65537, key_size=2048))


@pytest.fixture(scope="session")
def ec_key() -> SigningKey:
    return SigningKey("ec-1", "ES256", ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture(scope="session")
def ed_key() -> SigningKey:
    return SigningKey("ed-1", "EdDSA", ed25519.Ed25519PrivateKey.generate())


# -- A real server of key sets ---


class JwksServer:
    """An HTTP server on 127.0.0.1 whose answer a test can change between requests."""

    def __init__(self) -> None:
        self.body: bytes = b'{"keys": []}'
        self.status = 200
        self.headers: dict[str, str] = {}
        self.hits = 0
        self.before_answer: Callable[[], object] = lambda: None
        self.between_bytes_seconds = 0.0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/jwks.json"

    def publish(self, *jwks: object) -> None:
        self.body = json.dumps({"keys": jwks}).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        jwks = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                jwks.hits += 1
                jwks.before_answer()
                self.send_response(jwks.status)
                for name, value in jwks.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(jwks.body)))
                self.end_headers()
                self._send_body()

            def _send_body(self) -> None:
                try:
                    if not jwks.between_bytes_seconds:
                        self.wfile.write(jwks.body)
                        return
                    for byte in jwks.body:
                        self.wfile.write(bytes([byte]))
                        time.sleep(jwks.between_bytes_seconds)
                except OSError:
                    return  # the client gave up, which is what the test is about

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
                return

        return Handler


@pytest.fixture
def new_server() -> Iterator[Callable[[], JwksServer]]:
    servers: list[JwksServer] = []

    def make() -> JwksServer:
        servers.append(JwksServer())
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@dataclass
class Provider:
    """An identity provider: its name, its server, and tokens as it would make them."""

    server: JwksServer
    key: SigningKey
    issuer: str = "https://id.example"
    audience: str = "partywall"
    claims: Json = field(default_factory=lambda: {"org_id": "alpha", "sub": "ann", "group": "alpha"})

    def settings(self, **changes: Any) -> IssuerSettings:
        values = {
            "issuer": self.issuer,
            "audiences": (self.audience,),
            "tenant_claim": "org_id",
            "jwks_url": self.server.url,
        }
        return IssuerSettings(**values | changes)

    def payload(self, **changes: object) -> Json:
        now = int(time.time())
        whole = {"iss": self.issuer, "aud": self.audience, "iat": now, "exp": now + 600} | self.claims | changes
        return {name: value for name, value in whole.items() if value is not None}

    def header(self, **changes: object) -> Json:
        whole = {"alg": self.key.algorithm, "kid": self.key.kid, "typ": "JWT"} | changes
        return {name: value for name, value in whole.items() if value is not None}

    def token(self, header: Json | None = None, key: SigningKey | None = None, **claims: object) -> bytes:
        """A token that verifies, but for what the arguments change; None leaves a member out."""
        header = self.header(**header or {})
        return (key or self.key).sign(json.dumps(header).encode(), json.dumps(self.payload(**claims)).encode())


@pytest.fixture
def provider(new_server: Callable[[], JwksServer], ec_key: SigningKey) -> Provider:
    server = new_server()
    server.publish(ec_key.jwk())
    return Provider(server, ec_key)


# -- Signing in ---


class FakeClock:
    """Monotonic seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Door:
    """One Authenticator, and every scope that was minted behind it."""

    def __init__(self, settings: IdentitySettings, clock: FakeClock, minted: list[TenantScope]) -> None:
        self.authenticator = Authenticator(settings, clock=clock)
        self.minted = minted

    def admit(self, *headers: tuple[bytes, bytes]) -> TenantScope:
        scope = run_in_loop(self.authenticator, list(headers))
        assert self.minted.pop() is scope
        assert not self.minted
        return scope

    def refuse(self, error: type[PartywallError], why: str, *headers: tuple[bytes, bytes]) -> PartywallError:
        """Expect exactly `error`, with `why` in the operator's message, and no scope ever made."""
        with pytest.raises(error, match=why) as caught:
            run_in_loop(self.authenticator, list(headers))
        assert type(caught.value) is error
        assert caught.value.public_message == error.public_message
        assert not self.minted
        return caught.value


OpenDoor: TypeAlias = Callable[..., Door]


@pytest.fixture
def minted(monkeypatch: pytest.MonkeyPatch) -> list[TenantScope]:
    scopes: list[TenantScope] = []

    def recording(**values: Any) -> TenantScope:
        scopes.append(mint(**values))
        return scopes[-1]

    monkeypatch.setattr(authenticator_module, "mint", recording)
    return scopes


@pytest.fixture
def door(keys: Keys, clock: FakeClock, minted: list[TenantScope]) -> OpenDoor:
    """Makes a `Door` for the two tenants; keyword arguments change the settings."""

    def make(*issuers: IssuerSettings, **changes: Any) -> Door:
        values: Json = {"keys": entries(keys), "groups_by_tenant": GROUPS, "issuers": issuers}
        return Door(IdentitySettings(**values | changes), clock, minted)

    return make
