"""The roots of a run: a file, OpenBao's own server, and moto in the place of AWS KMS, as the tests start them.

Promises: tenants' own root keys, each with a credential that reaches that key alone, and the ways to take one away. An
engine that can't be started is named with the reason.

Doesn't promise: anything about AWS. moto stands in for it: our side, boto3 and HTTP are real, what answers is not.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.keys.rings import Place
from bench.session import Session
from partywall.keys import FileRoot

__all__ = ["RootKind", "start_roots"]

_MOUNT: Final = "transit"
_KMS_ACTIONS: Final = ("kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:ScheduleKeyDeletion")
_FAILURES: Final = (ImportError, OSError, RuntimeError, ValueError)


@dataclass(frozen=True)
class RootKind:
    """One kind of root. `new_place` makes a key of a tenant's own; `revocations` take it away, by what they do."""

    name: str
    new_place: Callable[[], Place]
    revocations: Mapping[str, Callable[[Place], None]]


def start_roots(session: Session) -> tuple[list[RootKind], list[str]]:
    """Every root that can be had, and why the others can't. Engines run on the gateway's core, until the session ends.

    The file is first: it needs nobody.
    """
    kinds, missing = [], []
    for name, start in (("file", _file), ("OpenBao transit", _openbao), ("AWS KMS (moto)", _kms)):
        session.say(f"starting · {name}")
        try:
            with _on_core(session.cores.gateway):
                kinds.append(start(session, name))
        except _FAILURES as error:
            missing.append(f"{name} could not be started: {session.reason(error)}")
            session.say(missing[-1])
    return kinds, missing


@contextmanager
def _on_core(core: int) -> Iterator[None]:
    """Children that are started in the block inherit its core; we come back to ours."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _file(session: Session, name: str) -> RootKind:
    folder, numbers = session.folder("roots"), itertools.count()

    def new_place() -> Place:
        path = folder / f"own-{next(numbers)}.key"
        FileRoot.create(path)
        return Place("file", str(path))

    return RootKind(name, new_place, {"file removed": lambda place: Path(place.key).unlink()})


def _openbao(session: Session, name: str) -> RootKind:
    from tests.support.engines.openbao import Bao  # noqa: PLC0415  # a wheel with a server in it: for this section only

    bao, numbers = Bao(session.folder("openbao")), itertools.count()
    session.children.callback(bao.child.kill)

    def new_place() -> Place:
        key = f"own-{next(numbers)}"
        may = {
            f"{_MOUNT}/{what}/{key}": ["create", "read", "update", "delete"] for what in ("keys", "encrypt", "decrypt")
        }
        bao.write_policy(key, {**may, f"{_MOUNT}/keys/{key}/config": ["update"]})
        return Place("vault", f"{_MOUNT}/keys/{key}", bao.address, secret=bao.new_token(key))

    def delete_key(place: Place) -> None:
        bao.post(f"{place.key}/config", {"deletion_allowed": True})
        _insist(bao.call("DELETE", place.key)[0])

    def delete_policy(place: Place) -> None:
        _insist(bao.call("DELETE", f"sys/policies/acl/{place.key.rpartition('/')[2]}")[0])

    return RootKind(name, new_place, {"transit key deleted": delete_key, "policy deleted": delete_policy})


def _transit_paths(key: str) -> tuple[str, ...]:
    """What a root touches below its mount."""
    return f"keys/{key}", f"keys/{key}/config", f"encrypt/{key}", f"decrypt/{key}"


def _insist(status: int) -> None:
    if status not in {200, 204}:
        raise RuntimeError(f"OpenBao answered {status}")


def _kms(session: Session, name: str) -> RootKind:
    from tests.support.engines.kms import Kms  # noqa: PLC0415  # moto takes seconds to import: for this section only

    kms, numbers = Kms(session.folder("kms")), itertools.count()
    session.children.callback(kms.stop)

    def new_place() -> Place:
        credentials = kms.new_user(f"own-{next(numbers)}", *_KMS_ACTIONS)
        secret = credentials.secret_access_key.reveal()
        return Place("aws_kms", kms.new_key(), kms.endpoint_url, credentials.access_key_id, secret)

    return RootKind(name, new_place, {"key disabled": lambda place: kms.disable(place.key)})
