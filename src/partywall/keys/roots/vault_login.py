"""The token that a Vault root presents: from where, until when, and what happens when it is refused.

Promises: a token is renewed when two thirds of its life are over and it is used; when that is refused, or it can't be
renewed, a new login replaces it before it ends. A token that the server refuses is replaced by one login, made once for
all calls that met the refusal, and at most once a second, so that a revoked role isn't hammered. Tokens that we logged
in for are revoked on close. Token files and service-account tokens are read anew for each login.

Doesn't promise: to renew while nobody calls. `Root.check` calls; whoever holds a bare token that may expire calls it
more often than once in a third of the token's life.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Final

from partywall.errors import KeyUnavailable
from partywall.keys.roots.blocking import BlockingCalls
from partywall.keys.roots.settings import AppRoleAuth, TokenAuth, VaultAuth
from partywall.keys.roots.vault_errors import FORBIDDEN, of_the_server
from partywall.keys.roots.vault_wire import Answer, VaultWire
from partywall.tenancy import Secret

__all__ = ["HeldToken", "VaultLogin"]

_RENEW_AFTER: Final = 2 / 3
_RENEW_AGAIN_SECONDS: Final = 1.0
_SECONDS_BETWEEN_LOGINS: Final = 1.0
_LONGEST_TOKEN_FILE: Final = 1 << 16


@dataclass(frozen=True)
class HeldToken:
    """A token, and when (on the monotonic clock) it was had, is to be renewed, and ends."""

    secret: Secret
    since: float
    renew_at: float
    ends: float
    lease_seconds: float
    renewable: bool
    ours: bool
    """Whether a login of ours made it, so that it is ours to revoke."""


class VaultLogin:
    """Holds one token for one root."""

    def __init__(self, auth: VaultAuth, wire: VaultWire, calls: BlockingCalls) -> None:
        self._auth = auth
        self._wire = wire
        self._calls = calls
        self._held: HeldToken | None = None
        self._lock = asyncio.Lock()

    async def token(self) -> HeldToken:
        """A token to present now.

        Raises:
            KeyUnavailable: none can be had.
        """
        held = self._held
        if held is not None and time.monotonic() < held.renew_at:
            return held
        async with self._lock:
            held, now = self._held, time.monotonic()
            if held is not None and now < held.renew_at:
                return held  # another call was first
            renewing = held if held is not None and now < held.ends else None
            self._held = await self._calls.run(lambda: self._renew(renewing) if renewing else self._log_in())
            return self._held

    async def replacement(self, refused: HeldToken) -> HeldToken | None:
        """Another token than the one that was `refused`, or None when another login would not help.

        Raises:
            KeyUnavailable: the login is refused too.
        """
        async with self._lock:
            held = self._held
            if held is not None and held is not refused:
                return held  # another call met the refusal first
            if time.monotonic() - refused.since < _SECONDS_BETWEEN_LOGINS:
                return None
            self._held = None
            self._held = await self._calls.run(self._log_in)
            return self._held

    async def revoke(self) -> None:
        """Give the token back, if we logged in for it. Failing that, it ends by itself."""
        held, self._held = self._held, None
        if held is not None and held.ours:
            await self._calls.run(lambda: self._wire.ask(held.secret, lambda api: api.token.revoke_self()))

    # -- In a thread -------------------------------------------------------------------------------------------------

    def _log_in(self) -> HeldToken:
        auth = self._auth
        if isinstance(auth, TokenAuth):
            return self._adopt(auth.token or Secret(_read(auth.file)))
        if isinstance(auth, AppRoleAuth):
            secret_id = auth.secret_id.reveal() if auth.secret_id is not None else None
            answer = self._wire.ask(
                None,
                lambda api: api.approle.login(
                    auth.role_id, secret_id=secret_id, use_token=False, mount_point=auth.mount
                ),
            )
            return self._issued(answer, f"AppRole login at `{auth.mount}`")
        jwt = _read(auth.jwt_file)
        answer = self._wire.ask(
            None, lambda api: api.kubernetes.login(auth.role, jwt=jwt, use_token=False, mount_point=auth.mount)
        )
        return self._issued(answer, f"Kubernetes login as `{auth.role}` at `{auth.mount}`")

    def _adopt(self, secret: Secret) -> HeldToken:
        """A token that we were given. How long it lives, it may not be allowed to ask: then we learn it by use."""
        answer = self._wire.ask(secret, lambda api: api.token.lookup_self())
        if not answer.ok and answer.status != FORBIDDEN:
            raise _refused(self._wire.service, answer, "look-up of its own token")
        data = answer.part("data")
        return _hold(secret, data.get("ttl"), renewable=data.get("renewable") is True, ours=False)

    def _issued(self, answer: Answer, what: str) -> HeldToken:
        auth = answer.part("auth")
        token = auth.get("client_token")
        if not answer.ok or not isinstance(token, str) or not token:
            raise _refused(self._wire.service, answer, what)
        return _hold(Secret(token), auth.get("lease_duration"), renewable=auth.get("renewable") is True, ours=True)

    def _renew(self, held: HeldToken) -> HeldToken:
        """`held` with a longer life, or its successor; while no server answers, `held` for the time it has."""
        try:
            if held.renewable:
                answer = self._wire.ask(held.secret, lambda api: api.token.renew_self())
                lease = _seconds(answer.part("auth").get("lease_duration"))
                # Near its maximum life a token is given less and less.
                if answer.ok and lease > held.lease_seconds / 2:
                    renewed = _hold(held.secret, lease, renewable=True, ours=held.ours)
                    return replace(renewed, since=held.since, lease_seconds=held.lease_seconds)
            return self._log_in()
        except KeyUnavailable:
            return replace(held, renew_at=min(time.monotonic() + _RENEW_AGAIN_SECONDS, held.ends))


def _hold(secret: Secret, lease: object, *, renewable: bool, ours: bool) -> HeldToken:
    now, seconds = time.monotonic(), _seconds(lease)
    return HeldToken(secret, now, now + seconds * _RENEW_AFTER, now + seconds, seconds, renewable, ours)


def _seconds(lease: object) -> float:
    """A lease as Vault writes it: 0, like none at all, is one without an end."""
    return float(lease) if isinstance(lease, int | float) and lease > 0 else inf


def _refused(service: str, answer: Answer, what: str) -> KeyUnavailable:
    return KeyUnavailable(f"{service} {of_the_server(answer) or f'refuses ({answer.status}) the {what}'}")


def _read(path: Path | None) -> str:
    """The token in a file.

    Raises:
        KeyUnavailable: it can't be read, or holds nothing that could be a token.
    """
    if path is None:
        raise KeyUnavailable("no token is configured")
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_TOKEN_FILE).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyUnavailable(f"the token file `{path}` can't be read: {type(error).__name__}") from None
    if not text or not text.isprintable() or " " in text:
        raise KeyUnavailable(f"the token file `{path}` holds no token")
    return text
