"""The root in a transit engine of OpenBao or Vault: it wraps and unwraps there, and its key never comes here.

Promises: what was wrapped opens for its own tenant and context alone. Where the template holds `{tenant_id}` each
tenant has a transit key of its own, and the associated data binds tenant and context besides. A key is made by
`prepare` alone, never by wrapping; `prepare` proves that the server refuses another context before it succeeds (and so
leaves one refused decryption in that server's audit log). A tenant's own root (another server, mount, namespace or
credential) fails by itself and for that tenant only.

A wrapped key is 0x01 | transit key version (u32 big-endian) | transit's own bytes. Transit's text would be
malleable: it reads `vault:v0:` as version 1, and ignores the spare bits at the end of base64.

Needs on `<mount>`: `update` on `encrypt/<key>` and `decrypt/<key>`; for `prepare` also `create` on `keys/<key>` unless
the key is there; for `rotate`, `update` on `keys/<key>/rotate`; for `destroy`, `update` on `keys/<key>/config` and
`delete` on `keys/<key>`.

Doesn't promise: that a deleted key is in no snapshot or backup of that server. A request that met a closed connection
is sent again, so that one rotation may make two versions.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable
from typing import Final

from partywall.errors import KeyUnavailable, SealBroken
from partywall.keys.roots.base import admit, bind, broken
from partywall.keys.roots.blocking import BlockingCalls
from partywall.keys.roots.key_path import KeyPath, TransitKey
from partywall.keys.roots.settings import VaultRootSettings
from partywall.keys.roots.vault_errors import FORBIDDEN, is_broken, is_keyless, refusal
from partywall.keys.roots.vault_login import VaultLogin
from partywall.keys.roots.vault_wire import Answer, Api, VaultWire
from partywall.tenancy import Secret, TenantId

__all__ = ["VaultRoot"]

_FORMAT: Final = b"\x01"
_HEADER_BYTES: Final = 5
_LABEL: Final = b"partywall/root/vault/v1"
_CIPHERTEXT: Final = re.compile(r"vault:v([1-9][0-9]{0,9}):([A-Za-z0-9+/]+={0,2})", re.ASCII)
_KEY_TYPE: Final = "aes256-gcm96"
_KEY_TYPES: Final = frozenset({_KEY_TYPE, "chacha20-poly1305", "xchacha20-poly1305"})
_NO_SUCH_TYPE: Final = "partywall-makes-no-key-here"
"""Sent as the type with each wrap. Transit ignores it for a key that is there, and can't make one that isn't: where the
policy allows `create`, wrapping for a destroyed tenant would otherwise bring its key back."""
_CHECKED: Final = TenantId("partywall-check")
_TRIAL_BYTES: Final = 32
_NOT_FOUND: Final = 404


class VaultRoot:
    """`Root` over one transit engine."""

    name: Final = "vault"

    def __init__(self, settings: VaultRootSettings) -> None:
        """Opens no connection.

        Raises:
            ConfigError: hvac isn't installed.
        """
        self._owner = settings.tenant
        self._path = KeyPath.parse(settings.key_path_template)
        self._wire = VaultWire(settings)
        self._service = self._wire.service
        self._calls = BlockingCalls(self._service, settings.timeout_seconds)
        self._login = VaultLogin(settings.auth, self._wire, self._calls)

    async def prepare(self, tenant: TenantId) -> None:
        """Make the tenant's transit key unless it is there, and prove that it binds a context."""
        key = self._key(tenant)
        await self._calls.within(self._prepare(tenant, key))

    async def wrap(self, tenant: TenantId, key: bytes, context: bytes) -> bytes:
        """Wrap `key` under the newest version of the tenant's transit key."""
        return await self._calls.within(self._wrap(self._key(tenant), key, bind(_LABEL, tenant, context)))

    async def unwrap(self, tenant: TenantId, wrapped: bytes, context: bytes) -> bytes:
        """The key that was wrapped for this `tenant` and `context`."""
        key = self._key(tenant)
        return await self._calls.within(self._unwrap(tenant, key, wrapped, context))

    async def rotate(self, tenant: TenantId) -> None:
        """A new version of the tenant's transit key; of everybody's, where the template names one key for all."""
        key = self._key(tenant)
        await self._calls.within(
            self._do(lambda api: api.transit.rotate_key(key.name, mount_point=key.mount), key, "rotate")
        )

    async def destroy(self, tenant: TenantId) -> str:
        """Delete the tenant's transit key with all its versions; one that serves others too stays."""
        key = self._key(tenant)
        if self._owner is None and not self._path.per_tenant:
            return f"The transit key `{key}` serves every tenant of this root and was left alone."
        return await self._calls.within(self._destroy(key))

    async def check(self) -> None:
        """Log in, and ask for what every unwrap asks for. Makes nothing."""
        await self._calls.within(self._check())

    async def aclose(self) -> None:
        """Revoke the token that a login gave us, if the server answers in time, and close."""
        try:
            await self._calls.within(self._login.revoke())
        except KeyUnavailable:
            pass  # it ends by itself, at the end of its lease
        finally:
            self._calls.close()
            self._wire.close()

    # -- The steps of each --------------------------------------------------------------------------------------------

    async def _prepare(self, tenant: TenantId, key: TransitKey) -> None:
        seen = await self._ask(lambda api: api.transit.read_key(key.name, mount_point=key.mount))
        if seen.status == _NOT_FOUND and not seen.says("no handler"):
            made = await self._do(
                lambda api: api.transit.create_key(key.name, key_type=_KEY_TYPE, mount_point=key.mount), key, "create"
            )
            self._require_type(made, key)
        elif seen.ok:
            self._require_type(seen, key)
        elif seen.status != FORBIDDEN:  # whoever may not read it may still use it
            raise refusal(self._service, seen, key, "read")
        await self._prove(tenant, key)

    def _require_type(self, answer: Answer, key: TransitKey) -> None:
        data = answer.part("data")
        if data.get("type") not in _KEY_TYPES or data.get("derived") is True:
            raise KeyUnavailable(f"`{key}` of {self._service} is of a type that can't be used; make it `{_KEY_TYPE}`")
        if data.get("exportable") is True or data.get("allow_plaintext_backup") is True:
            raise KeyUnavailable(f"`{key}` of {self._service} can be exported; a root key must stay where it is")

    async def _prove(self, tenant: TenantId, key: TransitKey) -> None:
        """Wrap and unwrap something of no worth: both are allowed, and the context counts (old servers ignore it)."""
        trial, right, wrong = os.urandom(_TRIAL_BYTES), b"partywall/trial", b"partywall/another"
        wrapped = await self._wrap(key, trial, bind(_LABEL, tenant, right))
        if await self._unwrap(tenant, key, wrapped, right) != trial:
            raise KeyUnavailable(f"{self._service} gave back other bytes than it was given")
        try:
            await self._unwrap(tenant, key, wrapped, wrong)
        except SealBroken:
            return
        raise KeyUnavailable(f"{self._service} ignores `associated_data`; it is too old to be a root")

    async def _wrap(self, key: TransitKey, plaintext: bytes, associated: bytes) -> bytes:
        text, data = _base64(plaintext), _base64(associated)
        answer = await self._do(
            lambda api: api.transit.encrypt_data(
                key.name, plaintext=text, type=_NO_SUCH_TYPE, associated_data=data, mount_point=key.mount
            ),
            key,
            "encrypt",
        )
        match = _CIPHERTEXT.fullmatch(str(answer.part("data").get("ciphertext")))
        if match is None or int(match[1]) >= 1 << 32:
            raise self._nonsense()
        return _FORMAT + int(match[1]).to_bytes(4, "big") + self._decoded(match[2])

    async def _unwrap(self, tenant: TenantId, key: TransitKey, wrapped: bytes, context: bytes) -> bytes:
        version = int.from_bytes(wrapped[1:_HEADER_BYTES], "big")
        if len(wrapped) <= _HEADER_BYTES or wrapped[:1] != _FORMAT or version == 0:
            raise broken(tenant, self._service, "it is none that was made for a transit engine")
        ciphertext = f"vault:v{version}:{_base64(wrapped[_HEADER_BYTES:])}"
        data = _base64(bind(_LABEL, tenant, context))
        answer = await self._ask(
            lambda api: api.transit.decrypt_data(
                key.name, ciphertext=ciphertext, associated_data=data, mount_point=key.mount
            )
        )
        if is_broken(answer):
            raise broken(tenant, self._service, "it was changed, or wrapped for another tenant, version or place")
        if not answer.ok:
            raise refusal(self._service, answer, key, "decrypt")
        return self._decoded(answer.part("data").get("plaintext"))

    async def _destroy(self, key: TransitKey) -> str:
        gone = f"The transit key `{key}` did not exist any more."
        allowed = await self._ask(
            lambda api: api.transit.update_key_configuration(key.name, deletion_allowed=True, mount_point=key.mount)
        )
        if is_keyless(allowed):
            return gone
        if not allowed.ok:
            raise refusal(self._service, allowed, key, "delete")
        deleted = await self._ask(lambda api: api.transit.delete_key(key.name, mount_point=key.mount))
        if is_keyless(deleted):
            return gone
        if not deleted.ok:
            raise refusal(self._service, deleted, key, "delete")
        return f"The transit key `{key}` was deleted with all its versions."

    async def _check(self) -> None:
        tenant = self._owner or _CHECKED
        key = self._path.key(tenant)
        one_key = self._owner is not None or not self._path.per_tenant
        answer = await self._ask(
            lambda api: api.transit.decrypt_data(key.name, ciphertext="-", associated_data="", mount_point=key.mount)
        )
        if is_keyless(answer):
            return  # it was let through to the engine; `prepare` makes the key
        if is_broken(answer) and one_key:
            await self._prove(tenant, key)
        elif answer.ok:
            raise self._nonsense()  # no transit engine decrypts that; a key-value engine would have stored it
        elif not is_broken(answer):
            if not one_key and self._says_nothing(answer):
                answer = await self._ask(lambda api: api.token.lookup_self())
            if not answer.ok:
                raise refusal(self._service, answer, key, "decrypt")

    def _says_nothing(self, answer: Answer) -> bool:
        """Whether a refusal of one tenant's key may hold for that tenant alone, which nobody is. The token then counts.

        A policy may name each tenant's key, and each tenant may have a mount.
        """
        return answer.status == FORBIDDEN or (answer.status == _NOT_FOUND and self._path.per_tenant_mount)

    # -- One request --------------------------------------------------------------------------------------------------

    async def _do(self, call: Callable[[Api], object], key: TransitKey, action: str) -> Answer:
        answer = await self._ask(call)
        if not answer.ok:
            raise refusal(self._service, answer, key, action)
        return answer

    async def _ask(self, call: Callable[[Api], object]) -> Answer:
        """Send a request with our token; with another one, once, when it is refused."""
        held = await self._login.token()
        answer = await self._send(held.secret, call)
        if answer.status == FORBIDDEN:
            other = await self._login.replacement(held)
            if other is not None:
                answer = await self._send(other.secret, call)
        return answer

    async def _send(self, token: Secret, call: Callable[[Api], object]) -> Answer:
        return await self._calls.run(lambda: self._wire.ask(token, call))

    def _key(self, tenant: TenantId) -> TransitKey:
        admit(self._owner, tenant, self._service)
        return self._path.key(tenant)

    def _decoded(self, text: object) -> bytes:
        if not isinstance(text, str):
            raise self._nonsense()
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise self._nonsense() from None

    def _nonsense(self) -> KeyUnavailable:
        return KeyUnavailable(f"{self._service} answered with what no transit engine would; is something else there?")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
