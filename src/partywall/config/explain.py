"""What pydantic found wrong, in words for whoever wrote the document.

Promises: one problem for each thing that is wrong, with its path in the document as it was written; the alternatives of
a union make one problem, not one each; no value that could be a secret is repeated.

Doesn't promise: to know every kind of pydantic's errors. Of one that isn't listed here it repeats pydantic's sentence,
with what looks like a credential masked.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from partywall.config.annotations import fields_by_key
from partywall.config.findings import Finding, led_back, models_in
from partywall.config.masking import (
    MASK,
    could_be_secret,
    credential_spans,
    masked_path,
    masks_key,
    names_secret,
    under_secret,
)
from partywall.config.places import PlaceIndex
from partywall.config.problems import Problem, dotted, problem_at
from partywall.config.snippets import excerpt

__all__ = ["explain"]

_LISTED: Final = 12
_QUOTED: Final = re.compile(r"'([^']*)'")

_WANTED: Final = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "`true` or `false`",
    "bool_parsing": "`true` or `false`",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "left empty",
}
"""Errors of the wrong type, and what was wanted instead."""

_SCALAR_HINTS: Final = {
    "a string": "put the value in quotes",
    "a list": "write it as a list: `[…]`, or a line with `- ` for each entry",
    "a mapping": "its own keys belong below it, indented",
    "an integer": "write a number, without quotes",
    "a number": "write a number, without quotes",
    "`true` or `false`": "write one of the two, without quotes",
}
"""What to do when a scalar stands there."""

_BOUNDS: Final = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
    "multiple_of": ("a multiple of", "multiple_of"),
}

_LENGTHS: Final = {
    "string_too_short": ("at least", "min_length", "character"),
    "string_too_long": ("at most", "max_length", "character"),
    "too_short": ("at least", "min_length", "entry"),
    "too_long": ("at most", "max_length", "entry"),
}


def explain(model: type[BaseModel], data: object, errors: Iterable[ErrorDetails], index: PlaceIndex) -> list[Problem]:
    """The problems behind `errors`, which validating `data` against `model` gave; `index` is of the text of `data`."""
    plain: list[Finding] = []
    unions: dict[tuple[str | int, ...], list[Finding]] = {}
    for finding in (led_back(model, data, error) for error in errors):
        if _is_echo(finding):
            continue
        if finding.kind == "extra_forbidden" and any(map(names_secret, _close_keys(finding))):
            index.hide(finding.path)  # `api_ky: …` holds a key all the same
        if finding.branch is None:
            plain.append(finding)
        else:
            unions.setdefault(finding.path[: finding.branch[0]], []).append(finding)
    problems = [_problem(finding, index) for finding in plain]
    for path, findings in unions.items():
        problems += _union_problems(path, findings, index)
    return problems


def _is_echo(finding: Finding) -> bool:
    """Whether pydantic calls a list too short only because it left out the entries that it has refused already."""
    value = finding.value
    return (
        finding.kind == "too_short"
        and isinstance(value, list | dict)
        and len(value) >= finding.error["ctx"]["min_length"]
    )


# -- One problem ------------------------------------------------------------------------------------------------------


def _problem(finding: Finding, index: PlaceIndex) -> Problem:
    message, hint = _message(finding)
    path, at_key = finding.path, finding.kind in ("extra_forbidden", "missing") or finding.value is None
    if finding.error["loc"][-1:] == ("[key]",):
        at_key = True
    elif isinstance(finding.value, dict) and (wrong_key := _wrong_key(finding)) is not None:
        path, at_key = (*path, wrong_key), True
    return problem_at(index, path, message, hint, key=at_key)


def _wrong_key(finding: Finding) -> str | None:
    """The key that a short form makes a value of: `rabc` of `{rabc: {…}}`, read as `{kind: rabc, …}`."""
    given = finding.error["input"]
    value = finding.value
    return given if isinstance(given, str) and isinstance(value, dict) and given in value else None


def _message(finding: Finding) -> tuple[str, str]:
    """What is wrong and what to do about it."""
    kind = finding.kind
    if kind == "extra_forbidden":
        return _unknown_key(finding)
    if kind == "missing":
        return _missing_key(finding)
    if kind in _WANTED:
        return _wrong_type(finding)
    if kind in ("literal_error", "enum"):
        return _not_allowed(finding)
    meant = f"meaning: {finding.meaning}" if finding.meaning else ""
    if kind in _BOUNDS or kind in _LENGTHS:
        return _out_of_bounds(finding), meant
    if kind == "string_pattern_mismatch":
        form = f"the form is `{finding.error['ctx']['pattern']}`"
        return f"{_described(finding)} does not have the form that is wanted here", "; ".join(
            filter(None, (form, meant))
        )
    return _own_words(finding), ""


def _unknown_key(finding: Finding) -> tuple[str, str]:
    key = str(finding.error["loc"][-1])
    known = _known_keys(finding)
    if masks_key(key, below_secret=under_secret(finding.path[:-1])):
        return f"unknown key `{MASK}`", _choice("known here", known)
    if close := _close_keys(finding):
        return f"unknown key `{excerpt(key)}`; did you mean `{close[0]}`?", ""
    return f"unknown key `{excerpt(key)}`", _choice("known here", known)


def _known_keys(finding: Finding) -> list[str]:
    return [name for one in models_in(finding.holders) for name in fields_by_key(one)]


def _close_keys(finding: Finding) -> list[str]:
    return _close(str(finding.error["loc"][-1]), tuple(_known_keys(finding)))


@lru_cache(maxsize=256)
def _close(word: str, known: tuple[str, ...]) -> list[str]:
    # Remembered because one slip in a generated document is made ten thousand times.
    return difflib.get_close_matches(word, known)


def _missing_key(finding: Finding) -> tuple[str, str]:
    key = str(finding.error["loc"][-1])
    meaning = f" ({finding.meaning})" if finding.meaning else ""
    return f"the key `{key}` is missing", f"add `{key}: …`{meaning}"


def _wrong_type(finding: Finding) -> tuple[str, str]:
    wanted = _WANTED[finding.kind]
    if finding.error["input"] is None:
        return f"must be {wanted}, and has no value", "give it a value, or remove the key"
    is_scalar = not isinstance(finding.value, dict | list)
    return f"must be {wanted}, not {_described(finding)}", _SCALAR_HINTS.get(wanted, "") if is_scalar else ""


def _not_allowed(finding: Finding) -> tuple[str, str]:
    expected = finding.error["ctx"]["expected"]
    allowed = _QUOTED.findall(expected) or [expected]
    given = finding.error["input"]
    close = _close(given, tuple(allowed)) if isinstance(given, str) else []
    meant = f"; did you mean `{close[0]}`?" if close else ""
    return f"{_described(finding)} is not allowed here{meant}", _choice("allowed", allowed)


def _out_of_bounds(finding: Finding) -> str:
    context = finding.error["ctx"]
    if finding.kind in _BOUNDS:
        words, key = _BOUNDS[finding.kind]
        bound = context[key]
        bound = int(bound) if isinstance(bound, float) and bound.is_integer() else bound
        return f"must be {words} {bound}, not {_described(finding)}"
    words, key, unit = _LENGTHS[finding.kind]
    count = context[key]
    plural = unit if count == 1 else unit.replace("entry", "entrie") + "s"
    return f"must have {words} {count} {plural}"


def _own_words(finding: Finding) -> str:
    """The sentence of a validator or of pydantic, without values that could be secrets."""
    said = finding.error["msg"]
    for prefix in ("Value error, ", "Assertion failed, "):
        said = said.removeprefix(prefix)
    said = said.replace("Input should be", "must be").replace("Input should", "must")
    given = finding.value
    if isinstance(given, str) and given and under_secret(finding.path):
        said = said.replace(given, MASK)
    for start, end in reversed(credential_spans(said)):
        said = said[:start] + MASK + said[end:]
    return excerpt(said[:1].lower() + said[1:], 400).rstrip(".")


def _described(finding: Finding) -> str:
    """The value that was given, as far as it may be shown."""
    given = finding.error["input"]
    if given is None:
        return "nothing"
    if isinstance(given, bool):
        return f"the boolean `{str(given).lower()}`"
    if isinstance(given, dict | list | tuple):
        return "a mapping" if isinstance(given, dict) else "a list"
    if under_secret(finding.path) or could_be_secret(str(given)):
        return f"the value `{MASK}`"
    return f"the {'string' if isinstance(given, str) else 'number'} `{excerpt(str(given))}`"


def _choice(label: str, words: Sequence[str]) -> str:
    if not words:
        return ""
    listed = ", ".join(f"`{word}`" for word in words[:_LISTED])
    more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    return f"{label}: {listed}{more}"


# -- Unions -----------------------------------------------------------------------------------------------------------


def _union_problems(path: tuple[str | int, ...], findings: list[Finding], index: PlaceIndex) -> list[Problem]:
    branches: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.branch is not None:
            branches.setdefault(finding.branch[1], []).append(finding)
    # An alternative of another shape than what is written was not meant; a string is no mapping with missing keys.
    meant = {label: of_it for label, of_it in branches.items() if not _is_other_shape(path, of_it)}
    if len(meant) == 1:
        return [_problem(finding, index) for of_it in meant.values() for finding in of_it]
    first = findings[0]
    if not meant:
        wanted = list(dict.fromkeys(_WANTED[of_it[0].kind] for of_it in branches.values()))
        return [problem_at(index, path, f"must be {' or '.join(wanted)}, not {_described(first)}")]
    reasons = list(dict.fromkeys(_reason(path, of_it[0]) for of_it in meant.values()))
    hint = "either " + ", or ".join(reasons[:3])
    return [problem_at(index, path, "fits none of the forms that are allowed here", hint)]


def _is_other_shape(path: tuple[str | int, ...], findings: Sequence[Finding]) -> bool:
    return all(
        finding.path == path and finding.kind in _WANTED and finding.kind.endswith("_type") for finding in findings
    )


def _reason(path: tuple[str | int, ...], finding: Finding) -> str:
    message, _ = _message(finding)
    # The message names an unknown key itself.
    below_it = finding.path[len(path) : -1 if finding.kind == "extra_forbidden" else None]
    return f"`{dotted(masked_path(below_it))}`: {message}" if below_it else message
