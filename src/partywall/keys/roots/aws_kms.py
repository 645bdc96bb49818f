"""The root in AWS KMS: one symmetric key, which never leaves it.

Promises: what was wrapped opens for its own tenant and context alone: both are the encryption context, and the key id
is named when unwrapping too, so that a blob made under somebody else's KMS key is refused. A key policy can therefore
hold a credential to one tenant, by the condition `kms:EncryptionContext:partywall:tenant`. A shared key is never
deleted.

The context stands in CloudTrail in clear, as AWS says; it holds a tenant id and what the keyring put there, no secret.

What rotation is: `rotate` asks for RotateKeyOnDemand, which AWS allows 25 times for a key and carries out in its own
time; automatic rotation, once a year or as set, costs nothing of that. Either way the key id stays, older blobs open,
and a ciphertext doesn't say which material made it. With a key of another account neither is possible from here: its
owner rotates and deletes it, or the root is given credentials of that account.

Needs: `kms:Encrypt`, `kms:Decrypt`; for `rotate`, `kms:RotateKeyOnDemand`; for `destroy`, `kms:ScheduleKeyDeletion`;
for both, `kms:DescribeKey` when the key is named by an alias.

Doesn't promise: deletion on the spot. AWS refuses the key's use at once and keeps it for 7 to 30 days, in which its
owner can call the deletion off. Destroying the wrapped keys is what ends the data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final

from partywall.errors import KeyUnavailable
from partywall.keys.roots.aws_wire import Answer, Api, KmsWire, Refused
from partywall.keys.roots.base import admit, broken
from partywall.keys.roots.blocking import BlockingCalls
from partywall.keys.roots.settings import AwsKmsRootSettings
from partywall.tenancy import TenantId

__all__ = ["AwsKmsRoot"]

_BROKEN: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
_CHECKED: Final = TenantId("partywall-check")
_TRIAL_BYTES: Final = 32
_LARGEST_BLOB: Final = 6144
"""The most that KMS takes (API reference, Decrypt)."""


class AwsKmsRoot:
    """`Root` over one KMS key."""

    name: Final = "aws_kms"

    def __init__(self, settings: AwsKmsRootSettings) -> None:
        """Opens no connection.

        Raises:
            ConfigError: boto3 isn't installed.
        """
        self._settings = settings
        self._owner = settings.tenant
        self._key_id = settings.key_id
        self._wire = KmsWire(settings)
        self._service = self._wire.service
        self._calls = BlockingCalls(self._service, settings.timeout_seconds)

    async def prepare(self, tenant: TenantId) -> None:
        """Nothing to make for a tenant; that its keys can be wrapped and unwrapped, is tried."""
        self._admit(tenant)
        await self._calls.within(self._prove(tenant))

    async def wrap(self, tenant: TenantId, key: bytes, context: bytes) -> bytes:
        """Wrap `key` under the KMS key's current material."""
        self._admit(tenant)
        return await self._calls.within(self._wrap(tenant, key, context))

    async def unwrap(self, tenant: TenantId, wrapped: bytes, context: bytes) -> bytes:
        """The key that was wrapped for this `tenant` and `context`."""
        self._admit(tenant)
        return await self._calls.within(self._unwrap(tenant, wrapped, context))

    async def rotate(self, tenant: TenantId) -> None:
        """Ask for new material of the KMS key; of everybody's, where tenants share it."""
        self._admit(tenant)
        await self._calls.within(self._rotate())

    async def destroy(self, tenant: TenantId) -> str:
        """Schedule the deletion of the tenant's own key; one that serves others stays."""
        self._admit(tenant)
        if self._owner is None:
            return f"The KMS key `{self._key_id}` serves every tenant of this root and was left alone."
        return await self._calls.within(self._destroy())

    async def check(self) -> None:
        """Wrap and unwrap something of no worth."""
        await self._calls.within(self._prove(self._owner or _CHECKED))

    async def aclose(self) -> None:
        """Close idle connections, and refuse further use."""
        self._calls.close()
        self._wire.close()

    # -- The steps of each --------------------------------------------------------------------------------------------

    async def _prove(self, tenant: TenantId) -> None:
        trial = os.urandom(_TRIAL_BYTES)
        wrapped = await self._wrap(tenant, trial, b"partywall/trial")
        if await self._unwrap(tenant, wrapped, b"partywall/trial") != trial:
            raise KeyUnavailable(f"{self._service} gave back other bytes than it was given")

    async def _wrap(self, tenant: TenantId, key: bytes, context: bytes) -> bytes:
        answer = await self._ask(
            "kms:Encrypt",
            lambda api: api.encrypt(KeyId=self._key_id, Plaintext=key, EncryptionContext=_bound(tenant, context)),
        )
        return self._bytes(answer.get("CiphertextBlob"))

    async def _unwrap(self, tenant: TenantId, wrapped: bytes, context: bytes) -> bytes:
        if not 0 < len(wrapped) <= _LARGEST_BLOB:
            raise broken(tenant, self._service, "it is none that KMS made")
        try:
            answer = await self._ask(
                "kms:Decrypt",
                lambda api: api.decrypt(
                    KeyId=self._key_id, CiphertextBlob=wrapped, EncryptionContext=_bound(tenant, context)
                ),
            )
        except Refused as refused:
            if refused.aws_code not in _BROKEN:
                raise
            why = "it was changed, or wrapped for another tenant or place, or under another KMS key"
            raise broken(tenant, self._service, why) from None
        return self._bytes(answer.get("Plaintext"))

    async def _rotate(self) -> None:
        key_id = await self._resolved()
        await self._ask("kms:RotateKeyOnDemand", lambda api: api.rotate_key_on_demand(KeyId=key_id))

    async def _destroy(self) -> str:
        key_id, days = await self._resolved(), self._settings.deletion_window_days
        try:
            await self._ask(
                "kms:ScheduleKeyDeletion",
                lambda api: api.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=days),
            )
        except Refused as refused:
            if refused.aws_code in {"NotFoundException", "KMSInvalidStateException"}:
                return f"The KMS key `{self._key_id}` was gone, or waiting for its deletion, already."
            raise
        return f"The KMS key `{self._key_id}` is unusable from now on, and AWS deletes it in {days} days."

    async def _resolved(self) -> str:
        """The key's id. Rotation and deletion take no alias."""
        if "alias/" not in self._key_id:
            return self._key_id
        answer = await self._ask("kms:DescribeKey", lambda api: api.describe_key(KeyId=self._key_id))
        metadata = answer.get("KeyMetadata")
        found = metadata.get("KeyId") if isinstance(metadata, dict) else None
        if not isinstance(found, str):
            raise self._nonsense()
        return found

    async def _ask(self, action: str, call: Callable[[Api], Answer]) -> Answer:
        return await self._calls.run(lambda: self._wire.ask(action, call))

    def _admit(self, tenant: TenantId) -> None:
        admit(self._owner, tenant, self._service)

    def _bytes(self, value: object) -> bytes:
        if not isinstance(value, bytes):
            raise self._nonsense()
        return value

    def _nonsense(self) -> KeyUnavailable:
        return KeyUnavailable(f"{self._service} answered with what KMS would not; is something else there?")


def _bound(tenant: TenantId, context: bytes) -> Mapping[str, str]:
    return {"partywall:tenant": tenant, "partywall:context": context.hex()}
