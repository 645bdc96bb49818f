from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StringConstraints

from partywall.config.reference import reference_drift, render_reference


class Kind(StrEnum):
    RBAC = "rbac"
    AUDIT = "audit-logger"


class Anything(BaseModel):
    """Whatever stands there."""

    model_config = ConfigDict(extra="allow")


class Condition(BaseModel):
    """When it applies.

    This paragraph is for readers of the code.
    """

    path: str | None = Field(default=None, description="The path | its beginning.")
    nested: tuple[Condition, ...] = Field(default=(), description="Conditions in it.")


class Entry(BaseModel):
    """One policy."""

    kind: Kind = Field(description="The policy.")
    when: Condition = Field(default=Condition(), description="When it applies.")


class Tenant(BaseModel):
    """One organisation."""

    regions: frozenset[str] = Field(default=frozenset({"se", "no"}), description="Where its data may be.")
    header: Annotated[str, StringConstraints(pattern="^[`a|b]$")] = Field(default="a", description="A header.")
    ports: dict[str, list[Annotated[int, Field(ge=1, le=65535)]]] = Field(default={}, description="Ports.")


class Root(BaseModel):
    """The whole."""

    name: str = Field(min_length=1, description="Its name.", validation_alias=AliasChoices("name", "title"))
    level: Literal["strict", "none"] = Field(default="strict", description="How strict.")
    seconds: Annotated[float, Field(gt=0)] | None = Field(default=None, description="How long.")
    chain: list[Entry] = Field(default_factory=list, description="The chain.")
    also: Condition | None = Field(default=None, description="Another.")
    tenants: dict[str, Tenant] = Field(default={}, description="Organisations.")
    free: Anything | None = Field(default=None, alias="free-form", description="Anything.")
    raw: object = Field(default=None, description="As it is.")


EXPECTED = """
| key | type | default | meaning |
|---|---|---|---|
| `name` | string, length at least 1 | required | Its name. Also written `title`. |
| `level` | `strict`, `none` | `"strict"` | How strict. |
| `seconds` | number, more than 0 | none | How long. |
| `chain` | list of [`chain[]`](#chain) | `[]` | The chain. |
| `also` | [`chain[].when`](#chainwhen) | none | Another. |
| `tenants` | mapping of names to [`tenants.<name>`](#tenantsname) | `{}` | Organisations. |
| `free-form` | mapping | none | Anything. |
| `raw` | anything | none | As it is. |

## `chain[]`

One policy.

| key | type | default | meaning |
|---|---|---|---|
| `kind` | `rbac`, `audit-logger` | required | The policy. |
| `when` | [`chain[].when`](#chainwhen) | its defaults | When it applies. |

### `chain[].when`

When it applies.

| key | type | default | meaning |
|---|---|---|---|
| `path` | string | none | The path \\| its beginning. |
| `nested` | list of [`chain[].when`](#chainwhen) | `[]` | Conditions in it. |

### `tenants.<name>`

One organisation.

| key | type | default | meaning |
|---|---|---|---|
| `regions` | list of string | `["no", "se"]` | Where its data may be. |
| `header` | string, of the form `` ^[`a\\|b]$ `` | `"a"` | A header. |
| `ports` | mapping of names to list of integer, at least 1, at most 65535 | `{}` | Ports. |
"""


def test_the_reference_lists_every_key_with_type_default_and_meaning() -> None:
    rendered = render_reference(Root)
    assert rendered.startswith("# The document\n")
    assert rendered[rendered.index("\n| key") :] == EXPECTED


def test_the_same_model_gives_the_same_text() -> None:
    assert render_reference(Root) == render_reference(Root)


def test_two_paths_with_one_slug_get_two_anchors() -> None:
    class Leaf(BaseModel):
        x: int = 1

    class Other(BaseModel):
        x: int = 1

    class Middle(BaseModel):
        b: Leaf = Leaf()

    class Top(BaseModel):
        a: Middle = Middle()
        ab: Other = Other()

    rendered = render_reference(Top)
    assert "[`a.b`](#ab)" in rendered
    assert "[`ab`](#ab-1)" in rendered


def test_drift_is_told_as_a_diff(tmp_path: Path) -> None:
    path = tmp_path / "reference.md"
    assert "+# The document" in reference_drift(Root, path)
    path.write_text(render_reference(Root), encoding="utf-8")
    assert reference_drift(Root, path) == ""
    path.write_text(render_reference(Root).replace("How strict.", "How lax."), encoding="utf-8")
    drift = reference_drift(Root, path)
    assert '-| `level` | `strict`, `none` | `"strict"` | How lax. |' in drift
    assert '+| `level` | `strict`, `none` | `"strict"` | How strict. |' in drift
