"""The reference of the document, written from the model that validates it, so that neither knows a key the other lacks.

Promises: every key by its path, with type, bounds, default and meaning; the same model gives the same text.

Doesn't promise: what a model's own validators refuse beyond types and bounds; their messages say it.
"""

from __future__ import annotations

import difflib
import json
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Final, Literal, NewType, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from partywall.config.annotations import alternatives, field_keys, item_of, models, value_of

__all__ = ["reference_drift", "render_reference"]

_PREAMBLE: Final = """\
# The document

Every key of the one YAML file. A key that isn't here is refused, with the line and column it stands at. Written from
the model by `partywall.config.reference`; changes made by hand are lost.
"""

_SCALARS: Final[Mapping[object, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    Path: "path",
    object: "anything",
}

_BOUNDS: Final = (
    ("gt", "more than {}"),
    ("ge", "at least {}"),
    ("lt", "less than {}"),
    ("le", "at most {}"),
    ("multiple_of", "a multiple of {}"),
    ("min_length", "length at least {}"),
    ("max_length", "length at most {}"),
    ("pattern", "of the form {}"),
)


def render_reference(model: type[BaseModel]) -> str:
    """The reference of a document whose root is `model`, as Markdown."""
    sections = _Sections(model)
    return _PREAMBLE + "".join(sections.render(path, section) for path, section in sections.by_path.items())


def reference_drift(model: type[BaseModel], path: Path) -> str:
    """How the file at `path` differs from what `render_reference` gives, as a unified diff; empty when it doesn't."""
    written = path.read_text(encoding="utf-8") if path.exists() else ""
    wanted = render_reference(model)
    lines = difflib.unified_diff(written.splitlines(), wanted.splitlines(), str(path), "the model", lineterm="")
    return "\n".join(lines)


class _Sections:
    """The models of a document, each at the first path that leads to it, and how to link to them."""

    def __init__(self, root: type[BaseModel]) -> None:
        self.by_path: dict[str, type[BaseModel]] = {}
        self._path_of: dict[type[BaseModel], str] = {}
        self._collect("", root)
        self._anchors = _anchors(self.by_path)

    def _collect(self, path: str, model: type[BaseModel]) -> None:
        # A model that is used twice is described once; a model without fields has nothing to describe.
        if model in self._path_of or not model.model_fields:
            return
        self._path_of[model] = path
        self.by_path[path] = model
        for key, field in _fields(model):
            for below, one in _models_below(f"{path}.{key}".removeprefix("."), field.annotation):
                self._collect(below, one)

    def render(self, path: str, model: type[BaseModel]) -> str:
        """The heading, the sentence and the table of one section."""
        level = "#" * min(2 + path.count("."), 4)
        heading = f"\n{level} `{path}`\n" if path else ""
        meaning = f"\n{_first_paragraph(model)}\n" if path else ""
        rows = "".join(self._row(model, key, name, field) for key, name, field in _rows(model))
        return f"{heading}{meaning}\n| key | type | default | meaning |\n|---|---|---|---|\n{rows}"

    def _row(self, model: type[BaseModel], key: str, name: str, field: FieldInfo) -> str:
        others = [f"`{other}`" for other in field_keys(model, name, field) if other != key]
        also = f" Also written {', '.join(others)}." if others else ""
        meaning = (field.description or "") + also
        cells = (f"`{key}`", self._type(field.annotation, field.metadata), _default(field), meaning)
        return "| " + " | ".join(_cell(cell) for cell in cells) + " |\n"

    def _type(self, annotation: object, constraints: Sequence[object] = ()) -> str:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self._type(arguments[0], [*constraints, *arguments[1:]])
        if isinstance(annotation, NewType):
            return self._type(annotation.__supertype__, constraints)
        if hasattr(annotation, "__value__"):  # a type alias
            return self._type(annotation.__value__, constraints)
        if origin is Union or origin is types.UnionType:
            members = [self._type(one) for one in arguments if one is not type(None)]
            return _bounded(" or ".join(dict.fromkeys(members)), constraints)
        return _bounded(self._plain_type(annotation), constraints)

    def _plain_type(self, annotation: object) -> str:
        if get_origin(annotation) is Literal:
            return _one_of(get_args(annotation))
        if isinstance(annotation, type) and issubclass(annotation, Enum):
            return _one_of([member.value for member in annotation])
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return self._link(annotation)
        if (item := item_of(annotation)) is not None:
            return f"list of {self._type(item)}"
        if (value := value_of(annotation)) is not None:
            return f"mapping of names to {self._type(value)}"
        return _SCALARS.get(annotation, getattr(annotation, "__name__", "anything").lower().replace("any", "anything"))

    def _link(self, model: type[BaseModel]) -> str:
        path = self._path_of.get(model)
        return f"[`{path}`](#{self._anchors[path]})" if path else "mapping"


def _rows(model: type[BaseModel]) -> Iterator[tuple[str, str, FieldInfo]]:
    for name, field in model.model_fields.items():
        yield field_keys(model, name, field)[0], name, field


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    return ((key, field) for key, _, field in _rows(model))


def _models_below(path: str, annotation: object) -> Iterator[tuple[str, type[BaseModel]]]:
    """The models that the value at `path` may hold, with the paths at which they stand."""
    for model in models(annotation):
        yield path, model
    for one in alternatives(annotation):
        if (item := item_of(one)) is not None:
            yield from _models_below(f"{path}[]", item)
        elif (value := value_of(one)) is not None:
            yield from _models_below(f"{path}.<name>", value)


def _anchors(paths: Iterable[str]) -> dict[str, str]:
    """The anchor that GitHub gives each heading: lower case, without punctuation, numbered when taken."""
    taken: dict[str, int] = {}
    anchors: dict[str, str] = {}
    for path in paths:
        slug = re.sub(r"[^\w-]", "", path.lower())
        number = taken[slug] = taken.get(slug, -1) + 1
        anchors[path] = f"{slug}-{number}" if number else slug
    return anchors


def _first_paragraph(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").strip().split("\n\n")[0].split())


def _one_of(values: Sequence[object]) -> str:
    return ", ".join(_code(str(value)) for value in values)


def _bounded(text: str, constraints: Sequence[object]) -> str:
    bounds: list[str] = []
    for constraint in constraints:
        if isinstance(constraint, FieldInfo):  # `Annotated[int, Field(gt=0)]` keeps its bounds one level down
            bounds.append(_bounded("", constraint.metadata).removeprefix(", "))
        for attribute, words in _BOUNDS:
            value = getattr(constraint, attribute, None)
            if value is not None:
                bounds.append(words.format(_code(value) if attribute == "pattern" else value))
    return ", ".join([text, *filter(None, bounds)])


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None and field.default_factory_takes_validated_data:
        return "from other keys"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return "none"
    if isinstance(value, BaseModel):
        return "its defaults"
    return _code(json.dumps(_plain(value), ensure_ascii=False))


def _plain(value: object) -> object:
    if isinstance(value, set | frozenset):
        return sorted((to_jsonable_python(one) for one in value), key=str)
    return to_jsonable_python(value)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
