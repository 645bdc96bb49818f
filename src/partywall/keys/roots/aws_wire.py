"""Talking to AWS KMS through boto3.

Promises: boto3 is imported when such a root is configured, not before. Short time-outs, one repetition. The endpoint
comes from the settings and no proxy is used, whatever the environment says; credentials come from the environment only
where the settings hold none. Each refusal of KMS is told in our own words. A forked child never speaks on its parent's
connections.

Doesn't promise: to know every error code. An unknown one counts as `KeyUnavailable` and is named by its code.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, Protocol

from partywall.errors import ConfigError, KeyUnavailable
from partywall.keys.roots.settings import AwsKmsRootSettings

__all__ = ["Api", "KmsWire", "Refused"]

_ATTEMPTS: Final = 2

_MEANING: Final = {
    "AccessDeniedException": "refuses (AccessDenied): no policy or grant allows `{action}` with `{key}`",
    "AccessDenied": "refuses (AccessDenied): no policy or grant allows `{action}` with `{key}`",
    "UnrecognizedClientException": "refuses: the access key is unknown or was revoked",
    "InvalidClientTokenId": "refuses: the access key is unknown or was revoked",
    "InvalidSignatureException": "refuses: the secret access key is wrong, or this machine's clock is",
    "SignatureDoesNotMatch": "refuses: the secret access key is wrong, or this machine's clock is",
    "ExpiredTokenException": "refuses: the temporary credentials have expired",
    "DisabledException": "refuses: `{key}` is disabled",
    "KMSInvalidStateException": "refuses: `{key}` can't be used in its state, such as pending deletion",
    "NotFoundException": "has no key `{key}` in this region",
    "InvalidKeyUsageException": "refuses: `{key}` is no key for encryption; use a symmetric one",
    "InvalidArnException": "refuses: `{key}` is no key of this account and region",
    "UnsupportedOperationException": "refuses `{action}`: `{key}` is of a kind that can't do it",
    "ConflictException": "refuses `{action}`: an automatic rotation of `{key}` is under way; try again in 20 minutes",
    "LimitExceededException": "refuses `{action}`: a limit is reached (a key can be rotated on demand 25 times)",
    "ThrottlingException": "is overloaded (throttled)",
    "DependencyTimeoutException": "is failing (DependencyTimeout)",
    "KMSInternalException": "is failing (KMSInternal)",
    "KeyUnavailableException": "is failing (KeyUnavailable)",
}


class Api(Protocol):
    """The part of boto3's KMS client that a root uses."""

    def encrypt(self, *, KeyId: str, Plaintext: bytes, EncryptionContext: Mapping[str, str]) -> Answer: ...  # noqa: N803  # AWS's names
    def decrypt(self, *, KeyId: str, CiphertextBlob: bytes, EncryptionContext: Mapping[str, str]) -> Answer: ...  # noqa: N803  # AWS's names
    def describe_key(self, *, KeyId: str) -> Answer: ...  # noqa: N803  # AWS's names
    def rotate_key_on_demand(self, *, KeyId: str) -> Answer: ...  # noqa: N803  # AWS's names
    def schedule_key_deletion(self, *, KeyId: str, PendingWindowInDays: int) -> Answer: ...  # noqa: N803  # AWS's names
    def close(self) -> None: ...


Answer = Mapping[str, object]


class Refused(KeyUnavailable):
    """KMS answered, with an error."""

    def __init__(self, detail: str, code: str) -> None:
        super().__init__(detail)
        self.aws_code = code


class KmsWire:
    """One client of one region, which threads may share (boto3 says so of clients, not of sessions)."""

    def __init__(self, settings: AwsKmsRootSettings) -> None:
        """Raises ConfigError when boto3 isn't installed."""
        where = f" at `{settings.endpoint_url}`" if settings.endpoint_url else ""
        self.service = f"AWS KMS in `{settings.region}`{where}"
        self._settings = settings
        self._connect = _connector(settings)
        self._api: Api | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def ask(self, action: str, call: Callable[[Api], Answer]) -> Answer:
        """Send one request. Blocks.

        Raises:
            Refused: KMS said no.
            KeyUnavailable: KMS said nothing.
        """
        outcome = self._try(action, call)
        if isinstance(outcome, KeyUnavailable):
            raise outcome
        return outcome

    def _try(self, action: str, call: Callable[[Api], Answer]) -> Answer | KeyUnavailable:
        """The answer, or the error to raise: what botocore raises can hold the request, so it ends here."""
        from botocore import exceptions  # type: ignore[import-untyped]  # an extra, without types  # noqa: PLC0415

        try:
            return call(self._client())
        except exceptions.ClientError as error:
            return self._refusal(action, str(error.response.get("Error", {}).get("Code", "")))
        except (exceptions.ConnectTimeoutError, exceptions.ReadTimeoutError):
            return KeyUnavailable(f"{self.service} did not answer within {self._settings.timeout_seconds:g} s")
        except exceptions.SSLError:
            return KeyUnavailable(f"{self.service} shows a certificate that is not trusted, or speaks no TLS")
        except (exceptions.EndpointConnectionError, exceptions.ConnectionClosedError):
            return KeyUnavailable(f"{self.service} is down: no connection")
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError):
            return KeyUnavailable(f"no credentials for {self.service}: none in the settings, none in the environment")
        except Exception as error:  # noqa: BLE001  # whatever a stranger's answer does to the parsers, it is no key
            return KeyUnavailable(f"{self.service} could not be asked: {type(error).__name__}")

    def _refusal(self, action: str, code: str) -> Refused:
        known = _MEANING.get(code)
        shown = code if code.isalnum() and len(code) <= 60 else "an unknown code"
        sentence = (
            known.format(action=action, key=self._settings.key_id) if known else f"failed to `{action}` ({shown})"
        )
        return Refused(f"{self.service} {sentence}", code)

    def _client(self) -> Api:
        with self._lock:
            if self._api is None or self._pid != os.getpid():
                self._api, self._pid = self._connect(), os.getpid()
            return self._api

    def close(self) -> None:
        """Close the connections that lie idle."""
        api, self._api = self._api, None
        if api is not None:
            api.close()


def _connector(settings: AwsKmsRootSettings) -> Callable[[], Api]:
    try:
        import boto3.session  # type: ignore[import-untyped]  # an extra, without types  # noqa: PLC0415
        import botocore.session  # type: ignore[import-untyped]  # boto3 brings it  # noqa: PLC0415
        from botocore.config import Config  # type: ignore[import-untyped]  # an extra likewise  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(f"an AWS KMS root needs `{error.name}`; run: pip install 'partywall[aws]'") from None
    given = settings.credentials

    def connect() -> Api:
        core = botocore.session.Session()
        core.register_component("data_loader", _models())
        session = boto3.session.Session(
            aws_access_key_id=given.access_key_id if given else None,
            aws_secret_access_key=given.secret_access_key.reveal() if given else None,
            aws_session_token=given.session_token.reveal() if given and given.session_token else None,
            region_name=settings.region,
            botocore_session=core,
        )
        config = Config(
            connect_timeout=settings.timeout_seconds,
            read_timeout=settings.timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            proxies={},
            ignore_configured_endpoint_urls=True,
        )
        api: Api = session.client("kms", endpoint_url=settings.endpoint_url, config=config)
        return api

    return connect


@cache
def _models() -> object:
    """AWS's descriptions of its services, read once for all roots: 0.3 s and some megabytes each time."""
    from botocore.loaders import create_loader  # type: ignore[import-untyped]  # see `_connector`  # noqa: PLC0415

    loader: object = create_loader()
    return loader
