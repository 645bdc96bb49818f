"""The two stored halves of a decision record, as bytes.

Promises: the admission half (who asked for what, and the verdict then) is written once and never rewritten; the
completion half (how it ended) lies beside it, and wins where both speak, so that a verdict changed by the answer shows
as it ended. A value that JSON can't carry (a lone surrogate, an integer of 70 digits from a lying upstream) or that is
absurdly long is tamed and clipped: it must not stop a record, nor fill a disk.

Doesn't promise: secrecy or tamper evidence. The halves are opaque to the database, which is where sealing goes.

Format 1, in JSON: `[1, [values in the order of _ADMISSION], [policies]]` and `[1, [values in the order of _COMPLETION],
[policies] or null when they are those of the admission]`; a policy is `[kind, stage, verdict, reason]`. Arrays, because
naming the fields in each row made it half as long again, and writing a row costs what its bytes cost.
"""

from __future__ import annotations

from operator import attrgetter
from types import NoneType
from typing import Any, Final

import orjson

from partywall.trail.record import DecisionRecord, PolicyResult, Verdict

__all__ = ["decode", "encode_admission", "encode_completion"]

_FORMAT: Final = 1
_ADMISSION: Final = (
    *("id", "tenant", "time", "method", "path", "verdict", "code", "reason", "endpoint", "group", "route", "model"),
    *("upstream", "user", "role", "credential_id"),
)
_COMPLETION: Final = (
    *("id", "verdict", "code", "reason", "model", "upstream", "status", "tokens_in", "tokens_out", "latency_ms"),
    *("outcome", "streamed"),
)
_POLICY: Final = ("kind", "stage", "verdict", "reason")
_admission_of = attrgetter(*_ADMISSION)
_completion_of = attrgetter(*_COMPLETION)
_policy_of = attrgetter(*_POLICY)

_TEXT: Final[tuple[type, ...]] = (str,)
_KINDS: Final[dict[str, tuple[type, ...]]] = {
    **dict.fromkeys(("id", "method", "path", "verdict", "reason"), _TEXT),
    "time": (float, int),
    "latency_ms": (float, int, NoneType),
    **dict.fromkeys(("status", "tokens_in", "tokens_out"), (int, NoneType)),
    "streamed": (bool,),
}
"""What each value may be when it is read back; those not named are text or null."""

_MAX_BYTES: Final = 16_384
_MAX_TEXT: Final = 512
_MAX_ITEMS: Final = 64
_MAX_INT: Final = 2**53 - 1
"""The largest that every reader of JSON gets right."""


def encode_admission(record: DecisionRecord) -> bytes:
    """The half that is known before anything leaves the gateway."""
    return _dump([_FORMAT, _admission_of(record), [*map(_policy_of, record.policies)]])


def encode_completion(record: DecisionRecord) -> bytes:
    """The half that is known at the end. A fall-back may have changed the upstream, a scan the verdict."""
    unchanged = record.policies == record.admitted_policies
    return _dump([_FORMAT, _completion_of(record), None if unchanged else [*map(_policy_of, record.policies)]])


def decode(admission: bytes, completion: bytes | None) -> DecisionRecord:
    """The record that the two halves make.

    Raises:
        ValueError: they aren't halves of one record, or not in this format.
    """
    try:
        merged, policies = _half(admission, _ADMISSION)
        if completion is not None:
            ended, later = _half(completion, _COMPLETION)
            if ended["id"] != merged["id"]:
                raise ValueError("the completion belongs to another record")
            merged |= ended
            policies = policies if later is None else later
        for name, value in merged.items():
            _check(name, value, _KINDS.get(name, (str, NoneType)))
        merged["verdict"] = _verdict(merged["verdict"])
        said = tuple(_policy(*each) for each in policies)
        record = DecisionRecord(**merged, policies=said)
    except (KeyError, TypeError) as error:
        raise ValueError(f"the stored halves are not in the format of decision records: {error}") from error
    record.admitted_policies = said
    return record


def _policy(kind: str, stage: str, verdict: str, reason: str) -> PolicyResult:
    for each in (kind, stage, reason):
        _check("policies", each, _TEXT)
    return PolicyResult(kind, stage, _verdict(verdict), reason)


def _verdict(text: str) -> Verdict:
    try:
        return Verdict(text)
    except ValueError:
        # Python's own message would carry the stored text into a log.
        raise TypeError("a verdict is none of those known") from None


def _check(name: str, value: object, kinds: tuple[type, ...]) -> None:
    """A planted row may be well-formed and still hold anything; readers get what the types promise."""
    if not isinstance(value, kinds):
        raise TypeError(f"`{name}` is stored as {type(value).__name__}")


def _half(stored: bytes, names: tuple[str, ...]) -> tuple[dict[str, Any], Any]:
    """The named values and the policies of one half. JSON can hold anything; `decode` is where it is looked at."""
    version, values, policies = orjson.loads(stored)
    if version != _FORMAT:
        raise ValueError(f"format `{str(version)[:20]}` of decision records is unknown")
    return dict(zip(names, values, strict=True)), policies


def _dump(half: list[object]) -> bytes:
    """As JSON; the odd half that can't be, or is too long, is tamed first."""
    try:
        stored = orjson.dumps(half)
        if len(stored) <= _MAX_BYTES:
            return stored
    except TypeError:  # orjson's word for surrogates and for integers past 64 bits
        pass
    return orjson.dumps(_tame(half))


def _tame(value: object) -> object:
    """The nearest value that JSON can hold, its text and its lists clipped."""
    if isinstance(value, str):
        return value[:_MAX_TEXT].encode("utf-8", "backslashreplace").decode()
    if isinstance(value, int):
        return max(-_MAX_INT, min(value, _MAX_INT))
    if isinstance(value, list | tuple):
        return [_tame(item) for item in value[:_MAX_ITEMS]]
    return value
