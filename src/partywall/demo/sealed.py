"""What a decision record is without its tenant's key: on the disk, under the neighbour's key, and once it is destroyed.

Promises: every row works on the bytes that the gateway has written, with the keyring that the gateway's document names.
The last rows destroy alpha's key, so they come last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from partywall.demo.outcome import Outcome
from partywall.errors import KeyDestroyed, KeyUnavailable, SealBroken
from partywall.platform.opening import RecordOpener
from partywall.tenancy import TenantId
from partywall.trail import DecisionRecord
from partywall.trail.resealing import SealedHalf, sealed_halves

__all__ = ["sealed_rows"]

_THEME: Final = "Keys"
_ALPHA: Final = TenantId("alpha")
_BETA: Final = TenantId("beta")
_OPENS: Final = "opens"
_SEALED: Final = "no user, model, reason"
_NEVER_OPENS: Final = "doesn't open: "

_TOLD: Final = ("user", "role", "path", "model", "upstream", "group", "reason", "credential_id")
"""What records say of a request that is nobody else's business."""


def sealed_rows(
    data_dir: Path, opener: RecordOpener, decisions: Mapping[str | None, tuple[DecisionRecord, ...]]
) -> Iterator[Outcome]:
    """The rows, in their order. `decisions` are what the records hold, by tenant."""
    alphas, betas = _first_half(data_dir, _ALPHA), _first_half(data_dir, _BETA)
    on_disk = _on_disk(data_dir, _ALPHA, decisions[_ALPHA])
    yield Outcome(_THEME, "nobody", "alpha's file on the disk", _SEALED, on_disk, ())
    yield _row("beta", "its key, alpha's record", f"{_NEVER_OPENS}wrong_key", _opened(opener, _BETA, alphas))
    yield _row("alpha", "its key, its record", _OPENS, _opened(opener, _ALPHA, alphas))
    opener.run(opener.keys.life.destroy(_ALPHA, who="demo"))
    yield _row("alpha", "the same, key destroyed", f"{_NEVER_OPENS}destroyed", _opened(opener, _ALPHA, alphas))
    yield _row("beta", "its key, its record", _OPENS, _opened(opener, _BETA, betas))


def _row(who: str, what: str, expected: str, got: str) -> Outcome:
    return Outcome(_THEME, who, what, expected, got, ())


def _first_half(data_dir: Path, tenant: TenantId) -> SealedHalf | None:
    with sealed_halves(data_dir, tenant) as stored:
        return next(iter(stored.page(0).halves), None)


def _opened(opener: RecordOpener, key_of: TenantId, stored: SealedHalf | None) -> str:
    """What comes of opening a half with that tenant's key."""
    if stored is None:
        return "nothing is sealed"
    try:
        plain = opener(key_of, stored.half, stored.record_id, stored.sealed)
    except SealBroken as error:
        return f"{_NEVER_OPENS}{error.reason}"
    except KeyDestroyed:
        return f"{_NEVER_OPENS}destroyed"
    except KeyUnavailable as error:
        return str(error)
    return _OPENS if stored.record_id.encode() in plain else "something else"


def _on_disk(data_dir: Path, tenant: TenantId, records: tuple[DecisionRecord, ...]) -> str:
    """What can be read of a tenant's records in its files, its database's log among them."""
    files = b"".join(path.read_bytes() for path in sorted((data_dir / "tenants" / tenant).iterdir()))
    if not records or not all(record.id.encode() in files for record in records):
        return "not where it should be"
    readable = [name for name in _TOLD if any(_told(record, name, files) for record in records)]
    return ", ".join(readable) or _SEALED


def _told(record: DecisionRecord, name: str, files: bytes) -> bool:
    value: str | None = getattr(record, name)
    return bool(value) and str(value).encode() in files
