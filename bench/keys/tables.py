"""The tables of the section `keys`, made of what was measured. Pure: nothing is measured here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bench.keys.records import Sealed
from bench.keys.revocation import HELD_SECONDS, PUSH_SECONDS, Revocation
from bench.keys.sealing import BARE, ENVELOPE, PURPOSE_KEYS, ROUNDS, STORABLE, STORE_KEYS
from bench.keys.unwrapping import CALLS, Unwrapped
from bench.report import TIMES, Part

__all__ = ["RECORDS", "REVOCATION", "SEALING", "UNWRAPPING", "records", "revocation", "sealing", "unwrapping"]

SEALING: Final = "Sealing and opening a record"
UNWRAPPING: Final = "A key that isn't held: asking its root"
REVOCATION: Final = "From revocation to the last success"
RECORDS: Final = "Sealing the decision records"

_AIM: Final = 2.0
_STAND_IN: Final = (
    "moto stands in for AWS KMS on this machine: its rows show our side, boto3 and HTTP, with a server in Python "
    "behind; they are no figures for AWS."
)

# -- Sealing ----------------------------------------------------------------------------------------------------------

_CONTENDERS: Final = {
    BARE: "AES-256-GCM bare: one fixed nonce, bound to nothing",
    STORABLE: "AES-256-GCM made storable: random nonce, put before, cut off",
    ENVELOPE: "`keys.envelope`: header, commitment, bound to tenant, store, purpose, record",
    PURPOSE_KEYS: "`keys.purpose_keys`: the same bytes, made on the path of every record",
    STORE_KEYS: "`StoreKeys.seal` and `.open`: a held key, its bounds, each use counted",
}
_SEALING_METHOD: Final = (
    "Sealing and opening one record. Batches alternate in one process, and the best of "
    f"{ROUNDS:,} of each counts. {TIMES} is against bare AES-256-GCM in the same run; in brackets, µs. "
    "Nobody could store what the bare one makes."
)


def sealing(found: Mapping[str, Mapping[str, float]]) -> Part:
    """`found` holds microseconds by size and contender."""
    rows = [[text, *(_against_bare(us, name) for us in found.values())] for name, text in _CONTENDERS.items()]
    notes = [_SEALING_METHOD, *(_verdict(size, us) for size, us in found.items())]
    return Part(SEALING, ["seal and open", *found], rows, notes)


def _against_bare(us: Mapping[str, float], name: str) -> str:
    return f"{us[name] / us[BARE]:.2f}{TIMES} ({us[name]:,.1f})"


def _verdict(size: str, us: Mapping[str, float]) -> str:
    bare, storable = us[STORE_KEYS] / us[BARE], us[STORE_KEYS] / us[STORABLE]
    met = "met" if storable <= _AIM else "NOT met"
    return (
        f"{size}: the aim, `StoreKeys` within {_AIM:g}{TIMES} of AES-256-GCM that draws its nonce, is {met} "
        f"({storable:.2f}{TIMES}); against a fixed nonce, which nobody may use, it is {bare:.2f}{TIMES}."
    )


# -- Roots ------------------------------------------------------------------------------------------------------------

_UNWRAPPING_COLUMNS: Final = (
    "root",
    "unwrap: median ms",
    "unwrap: p95 ms",
    "first use: median ms",
    "first use: p95 ms",
)
_UNWRAPPING_METHOD: Final = (
    f"{CALLS} calls of each, in turns, over connections that are open; the engines run on another core than the "
    "caller. The first use asks the root, writes the record of that, derives the data key and opens a record; it comes "
    "once in `hold_seconds` for each tenant in use."
)


def unwrapping(found: Sequence[Unwrapped], missing: Sequence[str]) -> Part:
    """`missing` says which roots aren't there, and why."""
    rows = [
        [each.root, *(f"{value:.2f}" for one in (each.alone, each.first_use) for value in (one.median, one.p95))]
        for each in found
    ]
    return Part(UNWRAPPING, _UNWRAPPING_COLUMNS, rows, [_UNWRAPPING_METHOD, _STAND_IN, *missing])


# -- Revocation -------------------------------------------------------------------------------------------------------

_REVOCATION_COLUMNS: Final = (
    "root of both tenants",
    "revoked",
    "held, s",
    "promised, s",
    "last success after, s",
    "then refused with",
    "neighbour: uses, refused",
)
_BOUNDS: Final = (
    f"Destroyed: another process destroys the key on the same key store; that shows within {PUSH_SECONDS:g} s, however "
    "long keys are held. Refused by the root: nobody can know before asking again, so the hold is the bound "
    f"(`hold_seconds`: 60 by default, {HELD_SECONDS:g} here). The first trial revokes right after an unwrap, which is "
    "the worst moment."
)


def revocation(found: Sequence[Revocation], missing: Sequence[str]) -> Part:
    """What is not as promised stands first among the notes."""
    errors = sum(each.neighbour_errors for each in found)
    uses = sum(each.neighbour_uses for each in found)
    trials = max((len(each.trials) for each in found), default=0)
    method = (
        "Seconds from when the revocation was asked for to when the last use of the key succeeded, shortest to longest "
        f"of {trials} trials. A use (seal and open) comes every few milliseconds, and the watch goes on for a second "
        "after the first refusal: no use succeeded after one."
    )
    if any(each.came_back for each in found):
        method = method.removesuffix(": no use succeeded after one.") + "."
    notes = [
        *(f"NOT as promised: {fault}" for each in found for fault in each.faults()),
        f"The neighbour's errors throughout: {errors}, in {uses:,} uses. Its own root key is in the same engine.",
        method,
        _BOUNDS,
        _STAND_IN,
        *missing,
    ]
    return Part(REVOCATION, _REVOCATION_COLUMNS, [_revocation_row(each) for each in found], notes)


def _revocation_row(found: Revocation) -> list[str]:
    return [
        found.root,
        found.how,
        f"{found.held_seconds:g}",
        f"{found.promised_seconds:g}",
        f"{found.shortest:.2f} to {found.longest:.2f}",
        ", ".join(f"`{name}`" for name in found.refused_with) or "nothing: still used",
        f"{found.neighbour_uses:,}, {found.neighbour_errors}",
    ]


# -- Records ----------------------------------------------------------------------------------------------------------

_RECORDS_COLUMNS: Final = ("decision records", "CPU µs per request, best", "in pairs: median", "least to most")


def records(found: Sealed) -> Part:
    """Sealed against clear."""
    sealed = [
        "sealed: `encryption: {encrypted_per_tenant: [audit_logs]}`",
        f"{found.ratio:.2f}{TIMES} ({found.sealed.best_us:,.0f})",
        f"{found.middle:.2f}{TIMES}",
        f"{min(found.pairs):.2f} to {max(found.pairs):.2f}{TIMES}",
    ]
    method = (
        "The gateway of the section `gateways` on its 1 KB chat: 32 kept-alive connections, one core. Each request "
        "seals the two halves of its record, and each use of a key is counted and recorded. "
        f"{len(found.pairs)} pairs of measurements in turns: the first {TIMES} compares the best of each; "
        "the median of the pairs is the one to trust when they lie far apart."
    )
    return Part(
        RECORDS, _RECORDS_COLUMNS, [["in clear", f"1.00{TIMES} ({found.clear.best_us:,.0f})", "", ""], sealed], [method]
    )
