"""moto's AWS server as a program, with five answers put right that AWS's API reference documents and moto lacks.

- Encrypt, Decrypt: a disabled key gives DisabledException, one that awaits deletion KMSInvalidStateException.
- Decrypt with a `KeyId` that isn't the ciphertext's: IncorrectKeyException. A ciphertext that names no key at all:
  InvalidCiphertextException. moto answers both with AccessDeniedException.
- RotateKeyOnDemand: an alias is refused.
- ScheduleKeyDeletion of a key that awaits deletion: KMSInvalidStateException.
- IAM's refusals (which moto decides) reach a KMS client in KMS's protocol, with the codes of its "Common Errors":
  AccessDeniedException, UnrecognizedClientException, InvalidSignatureException.

Prints its port, and ends when its standard input does.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import NoReturn, TypeVar, cast

from moto.core.exceptions import JsonRESTError
from moto.iam.access_control import IAMRequest
from moto.kms.models import KmsBackend
from moto.kms.responses import KmsResponse
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

_Method = TypeVar("_Method", bound=Callable[..., object])
_KEY_ID_BYTES = 36


def _refuse_unusable(backend: KmsBackend, key_id: str) -> None:
    key = backend.keys[key_id]
    if key.key_state == "Disabled":
        raise JsonRESTError("DisabledException", f"{key.arn} is disabled.")
    if key.key_state == "PendingDeletion":
        raise JsonRESTError("KMSInvalidStateException", f"{key.arn} is pending deletion.")


def _put_right() -> None:
    encrypt, decrypt = KmsBackend.encrypt, KmsBackend.decrypt
    rotate, schedule = KmsResponse.rotate_key_on_demand, KmsResponse.schedule_key_deletion

    def checked_encrypt(
        self: KmsBackend, key_id: str, plaintext: bytes, encryption_context: dict[str, str]
    ) -> tuple[bytes, str]:
        _refuse_unusable(self, self.any_id_to_key_id(key_id))
        return encrypt(self, key_id, plaintext, encryption_context)

    def checked_decrypt(
        self: KmsBackend, ciphertext_blob: bytes, encryption_context: dict[str, str], key_id: str | None = None
    ) -> tuple[bytes, str]:
        named = ciphertext_blob[:_KEY_ID_BYTES].decode("utf-8", "replace")
        if named not in self.keys:
            raise JsonRESTError("InvalidCiphertextException", "")
        if key_id is not None and self.any_id_to_key_id(key_id) != named:
            raise JsonRESTError("IncorrectKeyException", "The key ID in the request does not identify a CMK")
        _refuse_unusable(self, named)
        return decrypt(self, ciphertext_blob, encryption_context, key_id)

    def checked_rotate(self: KmsResponse) -> str:
        self._validate_cmk_id(self._get_param("KeyId"))
        return rotate(self)

    def checked_schedule(self: KmsResponse) -> str:
        key = self.kms_backend.keys.get(self.kms_backend.get_key_id(self._get_param("KeyId")))
        if key is not None and key.key_state == "PendingDeletion":
            raise JsonRESTError("KMSInvalidStateException", f"{key.arn} is pending deletion.")
        return schedule(self)

    def denied(self: IAMRequest) -> NoReturn:
        raise JsonRESTError("AccessDeniedException", f"User: {self._access_key.arn} may not perform {self._action}")

    def unknown(self: IAMRequest, _reason: str) -> NoReturn:
        raise JsonRESTError("UnrecognizedClientException", "The security token included in the request is invalid.")

    def unsigned(self: IAMRequest) -> NoReturn:
        raise JsonRESTError("InvalidSignatureException", "The request signature does not conform to AWS standards.")

    _replace(IAMRequest, "_raise_access_denied", denied)
    _replace(IAMRequest, "_raise_invalid_access_key", unknown)
    _replace(IAMRequest, "_raise_signature_does_not_match", unsigned)
    _replace(KmsBackend, "encrypt", checked_encrypt)
    _replace(KmsBackend, "decrypt", checked_decrypt)
    _replace(KmsResponse, "rotate_key_on_demand", checked_rotate)
    _replace(KmsResponse, "schedule_key_deletion", checked_schedule)


def _replace(where: type, name: str, method: _Method) -> None:
    assert callable(cast("object", getattr(where, name)))
    setattr(where, name, method)


def main() -> None:
    """Serve until the input ends."""
    _put_right()
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
