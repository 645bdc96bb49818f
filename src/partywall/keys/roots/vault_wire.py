"""Talking to OpenBao or Vault through hvac, one client for each call that runs.

Promises: hvac is imported when such a root is configured, not before. Nothing comes from the environment: no token, no
proxy, no `.netrc`. A redirect isn't followed, so that the token goes to the configured address alone. A connection that
the server closed while it lay idle is replaced without a word. A forked child never speaks on its parent's connections.
What a server says of an error is matched against known phrases and never repeated.

Doesn't promise: an end. The waiting is `BlockingCalls`' part; a socket that stays silent gives up at the time-out too.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from partywall.errors import ConfigError, KeyUnavailable
from partywall.keys.roots.settings import VaultRootSettings
from partywall.tenancy import Secret

__all__ = ["Answer", "Api", "VaultWire"]

_OK: Final = 200
_NO_CONTENT: Final = 204
_LONGEST_ERROR: Final = 4096


class Transit(Protocol):
    """The part of `hvac.api.secrets_engines.Transit` that a root uses."""

    def create_key(self, name: str, *, key_type: str, mount_point: str) -> object: ...
    def read_key(self, name: str, *, mount_point: str) -> object: ...
    def rotate_key(self, name: str, *, mount_point: str) -> object: ...
    def update_key_configuration(self, name: str, *, deletion_allowed: bool, mount_point: str) -> object: ...
    def delete_key(self, name: str, *, mount_point: str) -> object: ...
    def encrypt_data(
        self,
        name: str,
        *,
        plaintext: str,
        type: str,  # noqa: A002  # hvac's name
        associated_data: str,
        mount_point: str,
    ) -> object: ...
    def decrypt_data(self, name: str, *, ciphertext: str, associated_data: str, mount_point: str) -> object: ...


class Token(Protocol):
    """The part of `hvac.api.auth_methods.Token` that a root uses."""

    def lookup_self(self) -> object: ...
    def renew_self(self) -> object: ...
    def revoke_self(self) -> object: ...


class AppRole(Protocol):
    """The part of `hvac.api.auth_methods.AppRole` that a root uses."""

    def login(self, role_id: str, *, secret_id: str | None, use_token: bool, mount_point: str) -> object: ...


class Kubernetes(Protocol):
    """The part of `hvac.api.auth_methods.Kubernetes` that a root uses."""

    def login(self, role: str, *, jwt: str, use_token: bool, mount_point: str) -> object: ...


class Adapter(Protocol):
    """The part of `hvac.adapters.JSONAdapter` that a root uses."""

    token: str

    def close(self) -> None: ...


@dataclass(frozen=True)
class Api:
    """hvac's classes over one connection."""

    adapter: Adapter
    transit: Transit
    token: Token
    approle: AppRole
    kubernetes: Kubernetes


@dataclass(frozen=True)
class Answer:
    """What the server said: a status, the fields of its document, and its errors, which are never shown."""

    status: int
    document: Mapping[str, object]
    errors: str

    @property
    def ok(self) -> bool:
        """Whether it did what was asked."""
        return self.status in {_OK, _NO_CONTENT}

    def says(self, phrase: str) -> bool:
        """Whether the phrase stands in its errors."""
        return phrase in self.errors

    def part(self, name: str) -> Mapping[str, object]:
        """An object of the document (`data`, `auth`); empty when there is none."""
        found = self.document.get(name)
        return found if isinstance(found, dict) else {}


class VaultWire:
    """Clients of one server, each used by one thread at a time: requests promises no more."""

    def __init__(self, settings: VaultRootSettings) -> None:
        """Raises ConfigError when hvac isn't installed."""
        self.service = f"the transit engine at `{settings.address}`"
        self._settings = settings
        self._connect = _connector(settings)
        self._idle: deque[Api] = deque()
        self._pid = os.getpid()
        self._closed = False

    def ask(self, token: Secret | None, call: Callable[[Api], object]) -> Answer:
        """Send one request. Blocks.

        Raises:
            KeyUnavailable: no answer, or none that Vault would give.
        """
        api, kept = self._take()
        outcome = self._try(api, token, call)
        if outcome is None and kept:  # closed while it lay idle, or the server was restarted
            api.adapter.close()
            api = self._connect()
            outcome = self._try(api, token, call)
        if isinstance(outcome, Answer) and not self._closed:
            self._idle.append(api)
            return outcome
        api.adapter.close()
        if isinstance(outcome, Answer):
            return outcome
        raise outcome or KeyUnavailable(f"{self.service} is down: no connection")

    def _take(self) -> tuple[Api, bool]:
        """A client, and whether its connection may be an old one."""
        if self._pid != os.getpid():
            self._idle, self._pid = deque(), os.getpid()
        try:
            return self._idle.pop(), True
        except IndexError:
            return self._connect(), False

    def _try(self, api: Api, token: Secret | None, call: Callable[[Api], object]) -> Answer | KeyUnavailable | None:
        """The answer, or the error to raise; None when there was no connection.

        What requests raises holds the request with its headers and body, so it ends here and is chained to nothing.
        """
        import requests  # noqa: PLC0415  # hvac brought it

        api.adapter.token = token.reveal() if token is not None else ""
        try:
            return _answer(call(api))
        except requests.Timeout:
            return KeyUnavailable(f"{self.service} did not answer within {self._settings.timeout_seconds:g} s")
        except requests.exceptions.SSLError:
            return KeyUnavailable(
                f"{self.service} shows a certificate that is not trusted, or speaks no TLS; name its CA in `ca_file`"
            )
        except requests.ConnectionError:
            return None
        except Exception as error:  # noqa: BLE001  # whatever a stranger's answer does to the parsers, it is no key
            return KeyUnavailable(f"{self.service} could not be asked: {type(error).__name__}")
        finally:
            api.adapter.token = ""

    def close(self) -> None:
        """Close idle connections. One that is in use is closed when its call returns."""
        self._closed = True
        while self._idle:
            self._idle.pop().adapter.close()


def _connector(settings: VaultRootSettings) -> Callable[[], Api]:
    try:
        import hvac.adapters  # type: ignore[import-untyped]  # an extra, without types  # noqa: PLC0415
        import hvac.api.auth_methods  # type: ignore[import-untyped]  # an extra likewise  # noqa: PLC0415
        import hvac.api.secrets_engines  # type: ignore[import-untyped]  # an extra likewise  # noqa: PLC0415
        import requests  # noqa: PLC0415  # hvac brings it
    except ModuleNotFoundError as error:
        raise ConfigError(f"a Vault root needs `{error.name}`; run: pip install 'partywall[vault]'") from None
    if settings.ca_file is not None and not settings.ca_file.is_file():
        raise ConfigError(f"`ca_file` `{settings.ca_file}` of the Vault root is not there")

    def connect() -> Api:
        session = requests.Session()
        session.trust_env = False
        session.verify = str(settings.ca_file) if settings.ca_file is not None else True
        adapter = hvac.adapters.JSONAdapter(
            base_uri=settings.address,
            token="",
            session=session,
            namespace=settings.namespace,
            timeout=settings.timeout_seconds,
            allow_redirects=False,
            ignore_exceptions=True,  # the status decides; hvac's exceptions would carry the body
        )
        auth, engines = hvac.api.auth_methods, hvac.api.secrets_engines
        return Api(
            adapter, engines.Transit(adapter), auth.Token(adapter), auth.AppRole(adapter), auth.Kubernetes(adapter)
        )

    return connect


def _answer(raw: object) -> Answer:
    """hvac returns the document of a 200, and requests' response for everything else."""
    status = getattr(raw, "status_code", None)
    if isinstance(status, int):
        return Answer(status, {}, str(getattr(raw, "text", ""))[:_LONGEST_ERROR])
    return Answer(_OK, raw if isinstance(raw, dict) else {}, "")
