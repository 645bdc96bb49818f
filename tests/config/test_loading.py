from __future__ import annotations

import hashlib
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from partywall.config import loading
from partywall.config.loading import DocumentInvalid, Problem, load, load_bytes
from partywall.errors import ConfigError

SOURCE = Path("alpha.yaml")


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Level(StrEnum):
    STRICT = "strict"
    PERMISSIVE = "permissive"


class SecretRef(Strict):
    env: str | None = None
    file: str | None = None


class Static(Strict):
    address: str


class Dynamic(Strict):
    service: str
    port: int = 80


class Entry(Strict):
    kind: Literal["rbac", "audit-logger"]
    when: dict[str, str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"kind": value}
        if isinstance(value, dict) and len(value) == 1 and "kind" not in value:
            ((kind, options),) = value.items()
            return {"kind": kind, **options} if isinstance(options, dict) else {"kind": kind}
        return value


class Group(Strict):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z]+$")] = Field(description="Names the group.")
    upstream: str | None = None
    api_keys: tuple[Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")], ...] = Field(
        default=(), description="Digests of the keys."
    )
    api_key: str | None = Field(default=None, min_length=16)
    api_key_ref: SecretRef | None = None
    level: Level = Level.STRICT
    priority: int = Field(default=0, ge=0, le=10)
    weight: float = Field(default=1.0, gt=0.0)
    enabled: bool = True
    place: Static | Dynamic | None = None
    names: str | list[str] = ()  # type: ignore[assignment]  # never validated: a default
    chain: tuple[Entry, ...] = ()
    limit: int | Literal["none"] = "none"

    @field_validator("upstream")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value == "nowhere":
            raise ValueError(f"no target has the id `{value}`")
        return value

    @field_validator("api_key")
    @classmethod
    def _talkative(cls, value: str | None) -> str | None:
        if value is not None and value.startswith("bad"):
            raise ValueError(f"the key {value} is bad")
        return value


class Groups(Strict):
    groups: tuple[Group, ...] = Field(default=(), min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"groups": value} if isinstance(value, list) else value


class Root(Strict):
    pack: str = Field(description="What it is called.")
    consumer_groups: Groups = Groups(groups=(Group(name="alpha"),))
    tenants: dict[Annotated[str, StringConstraints(pattern=r"^[a-z]+$")], Group] = {}
    audit_logger: bool = Field(default=True, alias="audit-logger")


def _problems(text: str) -> list[Problem]:
    with pytest.raises(DocumentInvalid) as caught:
        load_bytes(Root, text.encode(), SOURCE)
    return list(caught.value.problems)


def _group_problem(line: str) -> Problem:
    """The one problem of a document whose first group has `line`, which is line 4."""
    (problem,) = _problems(f"pack: demo\nconsumer_groups:\n  - name: alpha\n    {line}\n  - name: beta\n")
    return problem


def test_a_valid_document_comes_with_its_source_and_digest(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    data = b"\xef\xbb\xbfpack: demo\nconsumer_groups: [{name: alpha}, {name: beta}]\naudit-logger: yes\n"
    path.write_bytes(data)
    loaded = load(Root, path)
    assert [group.name for group in loaded.document.consumer_groups.groups] == ["alpha", "beta"]
    assert loaded.document.audit_logger
    assert loaded.source == path
    assert loaded.digest == hashlib.sha256(data).hexdigest()


def test_every_problem_is_shown_with_place_reason_and_mend() -> None:
    text = """\
pack: 5
consumer_groups:
  - name: alpha
    upstrem: one
    level: stict
  - nme: beta
tenant: {}
"""
    with pytest.raises(DocumentInvalid) as caught:
        load_bytes(Root, text.encode(), SOURCE)
    assert str(caught.value) == (
        "alpha.yaml:1:7: must be a string, not the number `5` (at `pack`)\n"
        "    1 | pack: 5\n"
        "      |       ^\n"
        "      = put the value in quotes\n"
        "alpha.yaml:4:5: unknown key `upstrem`; did you mean `upstream`? (at `consumer_groups[0].upstrem`)\n"
        "    4 |     upstrem: one\n"
        "      |     ^~~~~~~\n"
        "alpha.yaml:5:12: the string `stict` is not allowed here; did you mean `strict`?"
        " (at `consumer_groups[0].level`)\n"
        "    5 |     level: stict\n"
        "      |            ^~~~~\n"
        "      = allowed: `strict`, `permissive`\n"
        "alpha.yaml:6:5: the key `name` is missing (at `consumer_groups[1]`)\n"
        "    6 |   - nme: beta\n"
        "      |     ^~~~~~~~~\n"
        "      = add `name: …` (Names the group)\n"
        "alpha.yaml:6:5: unknown key `nme`; did you mean `name`? (at `consumer_groups[1].nme`)\n"
        "    6 |   - nme: beta\n"
        "      |     ^~~\n"
        "alpha.yaml:7:1: unknown key `tenant`; did you mean `tenants`? (at `tenant`)\n"
        "    7 | tenant: {}\n"
        "      | ^~~~~~\n"
        "alpha.yaml: 6 problems; nothing of the document is in use"
    )


@pytest.mark.parametrize(
    ("line", "message", "hint", "column"),
    [
        ("zzzzz: 1", "unknown key `zzzzz`", "known here: `name`, `upstream`, `api_keys`", 5),
        ("upstream: 5", "must be a string, not the number `5`", "quotes", 15),
        ("upstream: true", "must be a string, not the boolean `true`", "quotes", 15),
        ("upstream: [a]", "must be a string, not a list", "", 5),
        ("upstream: nowhere", "no target has the id `nowhere`", "", 15),
        ("priority: high", "must be an integer, not the string `high`", "without quotes", 15),
        ("priority: 1.5", "must be a whole number, not the number `1.5`", "", 15),
        ("priority:", "must be an integer, and has no value", "remove the key", 5),
        ("priority: -1", "must be at least 0, not the number `-1`", "", 15),
        ("priority: 11", "must be at most 10, not the number `11`", "", 15),
        ("weight: 0", "must be more than 0, not the number `0`", "", 13),
        ("weight: a", "must be a number, not the string `a`", "without quotes", 13),
        ("enabled: maybe", "must be `true` or `false`, not the string `maybe`", "without quotes", 14),
        ("api_keys: x", "must be a list, not the value `**********`", "write it as a list", 15),
        ("chain: {a: b}", "must be a list, not a mapping", "", 5),
        ("chain: [rabc]", "the string `rabc` is not allowed here; did you mean `rbac`?", "`rbac`, `audit-logger`", 13),
        ("chain: [rbca: {}]", "the string `rbca` is not allowed here; did you mean `rbac`?", "allowed", 13),
        ("chain: [rbac: {wen: {}}]", "unknown key `wen`; did you mean `when`?", "", 20),
        ("chain: [rbac: {when: 5}]", "must be a mapping, not the number `5`", "indented", 26),
        ("api_key_ref: {evn: X}", "unknown key `evn`; did you mean `env`?", "", 19),
        ("api_key_ref: hunter2", "must be a mapping, not the value `**********`", "indented", 18),
        ("names: 5", "must be a string or a list, not the number `5`", "", 12),
        ("names: [5]", "must be a string, not the number `5`", "quotes", 13),
        ("limit: a", "fits none of the forms that are allowed here", "either must be an integer", 12),
        ("place: x", "must be a mapping, not the string `x`", "", 12),
        (
            "place: {addres: x}",
            "fits none of the forms that are allowed here",
            "either the key `address` is missing, or",
            5,
        ),
        ("place: {address: a, service: b}", "fits none", "either unknown key `service`, or unknown key `address`", 5),
        ("place: {service: a, port: b}", "fits none", "`port`: must be an integer, not the string `b`", 5),
    ],
)
def test_each_kind_of_problem_in_plain_words(line: str, message: str, hint: str, column: int) -> None:
    problem = _group_problem(line)
    assert message in problem.message
    assert hint in problem.hint
    assert problem.place is not None
    assert (problem.place.line, problem.place.column) == (4, column)
    assert "pydantic" not in problem.render("alpha.yaml").lower()
    assert not problem.message.endswith(".")


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("consumer_groups: []\n", "the key `pack` is missing", 1),
        ("pack: demo\nconsumer_groups: []\n", "must have at least 1 entry", 2),
        ("pack: demo\ntenants:\n  Alpha: {name: alpha}\n", "the string `Alpha` does not have the form", 3),
        ("pack: demo\ntenants:\n  alpha:\n", "must be a mapping, and has no value", 3),
        ("pack: demo\naudit_logger: true\n", "unknown key `audit_logger`; did you mean `audit-logger`?", 2),
    ],
)
def test_problems_of_the_root_and_of_free_keys(text: str, message: str, line: int) -> None:
    found = {(problem.message, problem.place.line) for problem in _problems(text) if problem.place is not None}
    assert any(message in said and line == at for said, at in found)


def test_refused_entries_do_not_make_a_list_too_short() -> None:
    messages = [problem.message for problem in _problems("pack: demo\nconsumer_groups:\n  - name: 5\n")]
    assert messages == ["must be a string, not the number `5`"]


def test_ten_thousand_problems_are_all_there_and_fifty_are_shown() -> None:
    text = "pack: demo\nconsumer_groups:\n" + "  - nam: alpha\n" * 5_000
    with pytest.raises(DocumentInvalid) as caught:
        load_bytes(Root, text.encode(), SOURCE)
    assert len(caught.value.problems) == 10_000
    assert len(str(caught.value)) < 20_000
    assert "and 9950 more" in str(caught.value)


# -- Secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "api_key: hunter2",  # too short
        "api_key: [hunter2]",
        "api_key: bad-hunter2-hunter2",  # a validator that repeats what it was given
        "api_keys: [hunter2]",
        "api_keys: {hunter2: 1}",
        "api_key_ref: hunter2",
        "api_key_ref: {env: [hunter2]}",
        "api_ky: hunter2",  # not a secret's name, but nearly
        "api_ky: {a: [hunter2]}",
        "password: hunter2",
        "{token: hunter2}",
        "upstream: [sk-live-hunter2hunter2]",
        "level: sk-live-hunter2hunter2",
        "sk-live-hunter2hunter2: x",
        "priority: 'postgres://u:hunter2@db'",
        "place: {token: hunter2}",
    ],
)
def test_no_error_shows_a_secret(line: str) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        load_bytes(Root, f"pack: demo\nconsumer_groups:\n  - name: alpha\n    {line}\n".encode(), SOURCE)
    error = caught.value
    assert "hunter2" not in str(error)
    assert "hunter2" not in repr(error.problems)
    assert error.__context__ is None
    assert error.__cause__ is None


_LINES = st.sampled_from(
    [
        "name: beta",
        "nam: x",
        "level: 5",
        "priority: x",
        "chain: [a, {b: c}]",
        "place: {}",
        "names: {}",
        "upstream: {a: b}",
    ]
)
_SECRETS = st.sampled_from(
    ["api_key: wyvern", "api_keys: [wyvern]", "client_secret: {a: wyvern}", "api_ky: wyvern", "api_key_ref: wyvern"]
)


@given(lines=st.lists(_LINES | _SECRETS, max_size=5, unique_by=lambda line: line.split(":")[0]), flow=st.booleans())
def test_whatever_else_is_wrong_no_secret_is_shown(lines: list[str], flow: bool) -> None:
    group = "{" + ", ".join(lines) + "}" if flow else "\n    ".join(lines)
    text = f"pack: demo\nconsumer_groups:\n  - {group}\n"
    try:
        load_bytes(Root, text.encode(), SOURCE)
    except ConfigError as error:
        assert "wyvern" not in str(error)  # noqa: PT017  # the other outcome is no error at all


# -- Files ------------------------------------------------------------------------------------------------------------


def test_files_that_cant_be_read_make_one_line(tmp_path: Path) -> None:
    for path, said in [
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path, "is a directory"),
        (tmp_path / "none.yaml" / "x", "can't be read|no such file"),
        (Path("nul\0.yaml"), "can't be read"),
    ]:
        with pytest.raises(DocumentInvalid, match=said) as caught:
            load(Root, path)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(str(path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_somebody_elses(tmp_path: Path) -> None:
    path = tmp_path / "theirs.yaml"
    path.write_bytes(b"pack: demo")
    path.chmod(0)
    with pytest.raises(DocumentInvalid, match="may not be read"):
        load(Root, path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "alpha.yaml:1:1: the document is empty"),
        (b"# only a comment\n", "alpha.yaml:1:1: the document is empty"),
        (b"- a\n", "alpha.yaml:1:1: the document must be a mapping of sections, not a list"),
        (b"hello\n", "alpha.yaml:1:1: the document must be a mapping of sections, not a single value"),
        (b"pack: demo\nx: caf\xe9\n", "alpha.yaml:2:7: the byte 0xe9 is not UTF-8"),
        ("pack: demo\r\nx: äö".encode()[:-1], "alpha.yaml:2:5: the byte 0xc3 is not UTF-8"),
        ("pack: demo".encode("utf-16"), "alpha.yaml: is UTF-16; save it as UTF-8"),
        ("pack: demo".encode("utf-32"), "alpha.yaml: is UTF-32; save it as UTF-8"),
    ],
)
def test_bytes_that_are_no_document(data: bytes, said: str) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        load_bytes(Root, data, SOURCE)
    assert str(caught.value).startswith(said)
    assert caught.value.__context__ is None


def test_a_file_longer_than_any_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.yaml"
    path.write_bytes(b"#" * 101)
    monkeypatch.setattr(loading, "MAX_BYTES", 100)
    with pytest.raises(DocumentInvalid, match="is longer than"):
        load(Root, path)


@given(data=st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_document_or_a_config_error(data: bytes) -> None:
    with pytest.raises(ConfigError):
        load_bytes(Root, data, SOURCE)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.sampled_from(["rbac", "alpha", "", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*Root.model_fields, *Group.model_fields, "groups", "kind", "when", "address", "env", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(data=st.dictionaries(st.sampled_from([*Root.model_fields, "audit-logger", "x"]), _VALUES, max_size=4))
def test_any_data_is_a_document_or_explained(emit: Any, data: dict[str, object]) -> None:
    text = emit(data).text
    try:
        load_bytes(Root, text.encode(), SOURCE)
    except DocumentInvalid as error:
        for problem in error.problems:
            assert problem.place is not None
            assert problem.place.line <= text.count("\n") + 1
            assert problem.message
