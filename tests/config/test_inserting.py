"""A group is added to a document by adding lines, or not at all."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import partywall.demo
from partywall.cli.starter import starter_document
from partywall.config.inserting import replace_document, with_group, with_tenant
from partywall.config.yaml import parse
from partywall.errors import ConfigError

SOURCE = Path("doc.yaml")
GROUP: dict[str, str | list[str]] = {"name": "gamma-app", "tenant": "gamma", "api_keys": ["sha256:" + "0" * 64]}
DEMO = Path(partywall.demo.__file__).with_name("two-organisations.yaml").read_text(encoding="utf-8")
STARTER = starter_document(dict.fromkeys(("alpha", "beta", "operator"), "sha256:" + "1" * 64))

DOCUMENTS: dict[str, str] = {
    "the demo's": DEMO,
    "the starter": STARTER,
    "no indentation": "consumer_groups:\n  groups:\n  - name: alpha\n  - name: beta\nserver: {}\n",
    "the short form": "consumer_groups:\n- name: alpha\n- name: beta\n",
    "without a last line end": "consumer_groups:\n  groups:\n    - name: alpha\n    - name: beta",
    "comments behind": "consumer_groups:\n  groups:\n    - name: a # one\n    - name: b # two\n\n# x\nserver: {}\n",
    "keys after the list": "consumer_groups:\n  groups:\n    - name: alpha\n      api_keys:\n        - x\n  other: x\n",
    "a block of text last": "consumer_groups:\n  groups:\n    - name: a\n      d: |\n       1\n\n       2\na: {}\n",
    "a flow list last": "consumer_groups:\n  groups:\n    - name: alpha\n      api_keys: [a,\n        b]\nserver: {}\n",
    "an empty value last": "consumer_groups:\n  groups:\n    - name: alpha\n      api_key:\nserver: {}\n",
    "text over two lines": "consumer_groups:\n  groups:\n    - name: alpha\n      d: one\n        two\nserver: {}\n",
    "lines of Windows": "consumer_groups:\r\n  groups:\r\n    - name: alpha\r\nserver: {}\r\n",
}


@pytest.mark.parametrize("which", DOCUMENTS)
def test_only_lines_are_added_and_they_say_the_group(which: str) -> None:
    before = DOCUMENTS[which]
    after = with_group(before.encode(), SOURCE, GROUP).decode()
    changes = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]
    assert {line[0] for line in changes} == {"+"}
    assert len(changes) == 4
    was, now = parse(before, "before"), parse(after, "after")
    assert isinstance(was, dict)
    assert isinstance(now, dict)
    groups = [each["consumer_groups"] for each in (was, now)]
    old, new = [each["groups"] if isinstance(each, dict) else each for each in groups]
    assert isinstance(old, list)
    assert new == [*old, GROUP]
    assert {k: v for k, v in was.items() if k != "consumer_groups"} == {
        k: v for k, v in now.items() if k != "consumer_groups"
    }
    if "\r\n" in before:
        assert "\n" not in after.replace("\r\n", "")


def test_twice_is_two(tmp_path: Path) -> None:
    once = with_group(STARTER.encode(), SOURCE, GROUP)
    twice = with_group(once, SOURCE, GROUP | {"name": "delta"})
    assert twice.startswith(once[: once.index(b"gamma-app")])
    assert twice.count(b"api_keys:") == STARTER.count("api_keys:") + 2


@pytest.mark.parametrize("text", [DEMO, STARTER, "tenants:\n  alpha: {}\n  beta:\n    name: B # b\n# end\na: {}\n"])
def test_a_tenant_is_declared_behind_the_others(text: str) -> None:
    after = with_tenant(text.encode(), SOURCE, "gamma").decode()
    changes = [line for line in difflib.ndiff(text.splitlines(), after.splitlines()) if line[0] in "+-"]
    assert changes == ["+   gamma: {}"]
    was, now = parse(text, "before"), parse(after, "after")
    assert isinstance(was, dict)
    assert isinstance(was["tenants"], dict)
    assert now == {**was, "tenants": {**was["tenants"], "gamma": {}}}


@pytest.mark.parametrize("text", ["server: {}\n", "tenants: {}\n", "tenants: {alpha: {}}\n", "tenants:\n  gamma: {}\n"])
def test_a_tenant_that_cannot_be_declared_by_a_line(text: str) -> None:
    with pytest.raises(ConfigError):
        with_tenant(text.encode(), SOURCE, "gamma")


def test_a_byte_order_mark_stays() -> None:
    marked = b"\xef\xbb\xbf" + STARTER.encode()
    assert with_group(marked, SOURCE, GROUP) == b"\xef\xbb\xbf" + with_group(STARTER.encode(), SOURCE, GROUP)


@pytest.mark.parametrize(
    "text",
    [
        "pack: {}\n",
        "consumer_groups:\n",
        "consumer_groups: []\n",
        "consumer_groups: [{name: alpha}]\n",
        "consumer_groups: {groups: [{name: alpha}]}\n",
        "consumer_groups:\n  key_header: X-Key\n",
        "- consumer_groups\n",
    ],
)
def test_what_would_take_more_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="by hand"):
        with_group(text.encode(), SOURCE, GROUP)


_NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(_NAMES, st.integers(0, 4), st.sampled_from(["", " # note", "\n\n# below"]))
def test_it_never_says_something_else(value: str, indent: int, after: str) -> None:
    quoted = "'" + value.replace("'", "''") + "'"
    text = f"consumer_groups:\n  groups:\n{' ' * (2 + indent)}- name: {quoted}{after}\nserver: {{}}\n"
    changed = with_group(text.encode(), SOURCE, GROUP).decode()
    assert parse(changed, "after") == {"consumer_groups": {"groups": [{"name": value}, GROUP]}, "server": {}}


# -- Replacing the file ---


def test_a_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "doc.yaml"
    path.write_bytes(b"before")
    path.chmod(0o640)
    replace_document(path, b"before", b"after")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"after", 0o640)
    assert list(tmp_path.iterdir()) == [path]


def test_what_somebody_else_wrote_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "doc.yaml"
    path.write_bytes(b"theirs")
    with pytest.raises(ConfigError, match="somebody else"):
        replace_document(path, b"before", b"after")
    assert path.read_bytes() == b"theirs"
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    with pytest.raises(ConfigError, match="is a link"):
        replace_document(link, b"theirs", b"after")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["doc.yaml", "link.yaml"]
