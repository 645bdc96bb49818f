"""An error of pydantic's, led back to the document as it was written.

Pydantic locates an error in the model: field names, branches of unions, and fields that a short form leaves out. People
look for it in their file.

Promises: the path of a finding leads through the data that was validated, key by key and index by index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from partywall.config.annotations import alternatives, below, fields_by_key, models

__all__ = ["Finding", "led_back", "models_in"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One error, and where in the document it is."""

    error: ErrorDetails
    path: tuple[str | int, ...]
    """Where in the document; pydantic's own location also names fields and branches that aren't written there."""
    value: object
    holders: list[object]
    """The annotations of the mapping around it."""
    branch: tuple[int, str] | None
    """Of a union: how deep in `path` it stands, and which alternative this error is about."""
    meaning: str
    """What the model says about the field."""

    @property
    def kind(self) -> str:
        """Pydantic's name for the error."""
        return self.error["type"]


def led_back(model: type[BaseModel], data: object, error: ErrorDetails) -> Finding:
    """`error`, which validating `data` against `model` gave, with its path in `data`."""
    path: list[str | int] = []
    here = data
    allowed: list[object] = [model]
    holders = allowed
    branch: tuple[int, str] | None = None
    meaning = ""
    absent = len(error["loc"]) - 1 if error["type"] == "missing" else None
    for position, step in enumerate(error["loc"]):
        down = () if position == absent else _steps_down(here, step)
        within = below(allowed, step)
        if down or within or position == absent:
            meaning = _meaning(allowed, step) or meaning
            holders, allowed = allowed, within
        elif step != "[key]" and _is_union(allowed):
            branch = branch or (len(path), str(step))
            allowed = [one for one in models_in(allowed) if one.__name__ == step] or allowed
        for one in down:
            path.append(one)
            here = here[one]  # type: ignore[index]  # `_steps_down` names only steps that `here` has
    return Finding(error, tuple(path), here, holders, branch, meaning)


def _steps_down(here: object, step: str | int) -> tuple[str | int, ...]:
    """The steps by which the document goes where pydantic says `step`: one, none, or two through a short form."""
    if isinstance(here, list):
        return (step,) if isinstance(step, int) and 0 <= step < len(here) else ()
    if not isinstance(here, dict):
        return ()
    if step in here:
        return (step,)
    inner = next(iter(here.values())) if len(here) == 1 else None
    return (next(iter(here)), step) if isinstance(inner, dict) and step in inner else ()


def _meaning(annotations: Sequence[object], step: str | int) -> str:
    fields = (fields_by_key(one).get(step) for one in models_in(annotations) if isinstance(step, str))
    return next((field.description for field in fields if field is not None and field.description), "").rstrip(".")


def _is_union(annotations: Sequence[object]) -> bool:
    members = [one for annotation in annotations for one in alternatives(annotation) if one is not type(None)]
    return len(members) > 1


def models_in(annotations: Sequence[object]) -> list[type[BaseModel]]:
    """Every model among the alternatives of `annotations`."""
    return [one for annotation in annotations for one in models(annotation)]
