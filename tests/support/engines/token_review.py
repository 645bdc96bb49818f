"""The one call of the Kubernetes API that Vault makes: TokenReview, over real signed service-account tokens."""

from __future__ import annotations

import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.engines.certificates import write_certificate

__all__ = ["Cluster"]

_ISSUER = "https://kubernetes.default.svc.cluster.local"
_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"


class Cluster:
    """Issues tokens for service accounts, and reviews them for whoever shows `reviewer_jwt`."""

    def __init__(self, directory: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._revoked: set[str] = set()
        self.reviews = 0
        self.reviewer_jwt = self.new_token("vault", "reviewer")
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # http.server's name
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                allowed = self.headers["Authorization"] == f"Bearer {cluster.reviewer_jwt}" and self.path == _PATH
                status, answer = (201, cluster._review(asked)) if allowed else (403, {"kind": "Status", "code": 403})
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name
                """Nothing: this is a test."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        certificate, key = write_certificate(directory, "kube-apiserver")
        self.ca_certificate = certificate.read_text()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def new_token(self, namespace: str, account: str, *, seconds: float = 600) -> str:
        """A service account's token, as the kubelet projects it into a pod."""
        now = int(time.time())
        claims = {
            "iss": _ISSUER,
            "aud": [_ISSUER],
            "sub": f"system:serviceaccount:{namespace}:{account}",
            "iat": now,
            "nbf": now,
            "exp": int(now + seconds),
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": account, "uid": f"uid-of-{account}"},
            },
        }
        return jwt.encode(claims, self._key, "ES256", headers={"kid": "one"})

    def delete_account(self, namespace: str, account: str) -> None:
        """Its tokens count no more."""
        self._revoked.add(f"system:serviceaccount:{namespace}:{account}")

    def _review(self, asked: dict[str, dict[str, str]]) -> dict[str, object]:
        self.reviews += 1
        try:
            claims = jwt.decode(asked["spec"]["token"], self._key.public_key(), ["ES256"], audience=_ISSUER)
        except jwt.InvalidTokenError as error:
            return _answered({"authenticated": False, "error": str(error)})
        if claims["sub"] in self._revoked:
            return _answered({"authenticated": False, "error": "service account not found"})
        account = claims["kubernetes.io"]["serviceaccount"]
        groups = ["system:serviceaccounts", "system:authenticated"]
        user = {"username": claims["sub"], "uid": account["uid"], "groups": groups}
        return _answered({"authenticated": True, "user": user, "audiences": [_ISSUER]})


def _answered(status: dict[str, object]) -> dict[str, object]:
    return {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": status}
