"""What a model allows at a place of a document, read from its annotations.

Promises: unions, `Annotated`, aliases and new types are looked through, so that callers meet only models, containers,
literals, enums and scalars.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Annotated, NewType, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

__all__ = ["alternatives", "below", "field_keys", "fields_by_key", "item_of", "models", "value_of"]


def alternatives(annotation: object) -> Iterator[object]:
    """The members of a union, or `annotation` itself; `NoneType` among them where None is allowed."""
    origin = get_origin(annotation)
    if origin is Union or origin is types.UnionType:
        for member in get_args(annotation):
            yield from alternatives(member)
    elif origin is Annotated:
        yield from alternatives(get_args(annotation)[0])
    elif isinstance(annotation, NewType):
        yield from alternatives(annotation.__supertype__)
    elif hasattr(annotation, "__value__"):  # `type X = …` and typing_extensions' TypeAliasType
        yield from alternatives(annotation.__value__)
    else:
        yield annotation


def models(annotation: object) -> list[type[BaseModel]]:
    """The models among the alternatives of `annotation`."""
    return [one for one in alternatives(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]


def item_of(alternative: object) -> object | None:
    """What a list holds; None for what is no list."""
    origin = get_origin(alternative)
    if isinstance(origin, type) and issubclass(origin, Sequence | AbstractSet):
        return next(iter(get_args(alternative)), None)
    return None


def value_of(alternative: object) -> object | None:
    """What a mapping with free keys holds; None for what is no such mapping."""
    origin = get_origin(alternative)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        arguments = get_args(alternative)
        return arguments[1] if len(arguments) == 2 else None
    return None


def field_keys(model: type[BaseModel], name: str, field: FieldInfo) -> list[str]:
    """How a document may write the field `name`, the usual way first."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        keys = [choice for choice in alias.choices if isinstance(choice, str)]
    else:
        keys = [alias] if isinstance(alias, str) else [name]
    by_name = model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name")
    return [*keys, name] if by_name and name not in keys else keys


@lru_cache(maxsize=512)
def fields_by_key(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of `model` under every key that a document may use for them, in the model's order."""
    return {key: field for name, field in model.model_fields.items() for key in field_keys(model, name, field)}


def below(annotations: Sequence[object], step: str | int) -> list[object]:
    """What is allowed one step further down; empty when no alternative has such a step."""
    found: list[object] = []
    for alternative in (one for annotation in annotations for one in alternatives(annotation)):
        if isinstance(step, int):
            found.append(item_of(alternative))
        elif isinstance(alternative, type) and issubclass(alternative, BaseModel):
            field = fields_by_key(alternative).get(step)
            found.append(field.annotation if field is not None else None)
        else:
            found.append(value_of(alternative))
    return [one for one in found if one is not None]
