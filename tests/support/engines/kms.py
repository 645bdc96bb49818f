"""AWS KMS and IAM as moto plays them: real signatures, real policies of users, over HTTP, for the real boto3."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import boto3.session  # type: ignore[import-untyped]  # ships no types
import requests
from botocore.config import Config  # type: ignore[import-untyped]  # ships no types
from tests.support.engines import kms_server

from partywall.keys.roots import AwsCredentials
from partywall.tenancy import Secret

__all__ = ["REGION", "Kms"]

REGION = "eu-central-1"
_ACTIONS = ("kms:Encrypt", "kms:Decrypt")


class _Client(Protocol):
    """Any call of a boto3 client, with keywords."""

    def __getattr__(self, name: str) -> _Call: ...


class _Call(Protocol):
    def __call__(self, **parameters: object) -> dict[str, dict[str, object]]: ...


class Kms:
    """A server with one administrator, who makes keys and users. Everybody is authenticated and authorised."""

    def __init__(self, directory: Path) -> None:
        with (directory / "kms.log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(kms_server.__file__))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
            )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.endpoint_url = f"http://127.0.0.1:{self.port}"
        nobody = AwsCredentials("AKIANOBODY", Secret("nobody"))
        self._iam = self._client("iam", nobody)  # moto asks nobody for a credential until it is told to
        admin = self.new_user("admin", "*")
        requests.post(f"{self.endpoint_url}/moto-api/reset-auth", data="0", timeout=20).raise_for_status()
        self._iam = self._client("iam", admin)
        self._kms = self._client("kms", admin)

    def _client(self, service: str, who: AwsCredentials) -> _Client:
        session = boto3.session.Session(who.access_key_id, who.secret_access_key.reveal(), region_name=REGION)
        client: _Client = session.client(
            service, endpoint_url=self.endpoint_url, config=Config(proxies={}, retries={"total_max_attempts": 1})
        )
        return client

    def new_user(self, name: str, *actions: str) -> AwsCredentials:
        """A user who may do these `actions` (by default, encrypt and decrypt), and an access key of it."""
        self._iam.create_user(UserName=name)
        self.allow(name, *(actions or _ACTIONS))
        key = self._iam.create_access_key(UserName=name)["AccessKey"]
        return AwsCredentials(str(key["AccessKeyId"]), Secret(str(key["SecretAccessKey"])))

    def allow(self, name: str, *actions: str) -> None:
        """Replace what the user may do."""
        policy = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}],
        }
        self._iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))

    def delete_access_key(self, name: str, credentials: AwsCredentials) -> None:
        """Revoke it."""
        self._iam.delete_access_key(UserName=name, AccessKeyId=credentials.access_key_id)

    def new_key(self, **options: object) -> str:
        """A new symmetric key's id."""
        return str(self._kms.create_key(**options)["KeyMetadata"]["KeyId"])

    def new_alias(self, name: str, key_id: str) -> None:
        """Name a key."""
        self._kms.create_alias(AliasName=name, TargetKeyId=key_id)

    def move_alias(self, name: str, key_id: str) -> None:
        """Point the name at another key."""
        self._kms.update_alias(AliasName=name, TargetKeyId=key_id)

    def disable(self, key_id: str) -> None:
        """Disable a key."""
        self._kms.disable_key(KeyId=key_id)

    def enable(self, key_id: str) -> None:
        """Enable it again."""
        self._kms.enable_key(KeyId=key_id)

    def state(self, key_id: str) -> str:
        """`Enabled`, `Disabled` or `PendingDeletion`."""
        return str(self._kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"])

    def rotations(self, key_id: str) -> int:
        """How often the key was rotated."""
        return len(self._kms.list_key_rotations(KeyId=key_id)["Rotations"])

    def suspend(self) -> None:
        """Let it hang."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
