from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from partywall.config import events
from partywall.config.problems import DocumentInvalid
from partywall.config.yaml import MAX_BYTES, parse
from partywall.errors import ConfigError

_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT
)
_DATA = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=25,
)


def _problem(text: str) -> tuple[str, str, int, int]:
    with pytest.raises(DocumentInvalid) as caught:
        parse(text, "alpha.yaml")
    (problem,) = caught.value.problems
    assert problem.place is not None
    return problem.message, problem.hint, problem.place.line, problem.place.column


# YAML 1.2.2, section 10.3.2, and what YAML 1.1 made of the same text.
@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("Null", None),
        ("NULL", None),
        ("nULL", "nULL"),
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("false", False),
        ("tRUE", "tRUE"),
        ("no", "no"),
        ("No", "No"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("0", 0),
        ("-17", -17),
        ("+3", 3),
        ("017", 17),
        ("0o17", 15),
        ("0xfF", 255),
        ("-0x1", "-0x1"),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("9223372036854775807", 9223372036854775807),
        ("1.5", 1.5),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("1e3", 1000.0),
        ("1.2E-3", 0.0012),
        ("1.2.3", "1.2.3"),
        ("2026-01-31", "2026-01-31"),
        (".", "."),
        ("-", [None]),
        ("'true'", "true"),
        ('"5"', "5"),
        ("|\n  5\n", "5\n"),
        ("sha256:00ff", "sha256:00ff"),
        ("=", "="),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    found = parse(text, "alpha.yaml")
    assert (found, type(found)) == (value, type(value))


def test_norway_stays_a_country() -> None:
    assert parse("regions: [se, no, fi]", "alpha.yaml") == {"regions": ["se", "no", "fi"]}


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(
    ("text", "said", "line", "column"),
    [
        ("a: 1\nb: 2\na: 3\n", "the key `a` is given twice", 3, 1),
        ("a: 1\n'a': 3\n", "the key `a` is given twice", 2, 1),
        ("x: {b: 1, b: 2}", "the key `b` is given twice", 1, 11),
        ("a: &x [1]\nb: *x\n", "anchors", 1, 4),
        ("a: &x 1\n", "anchors", 1, 4),
        ("a: *x\n", "aliases", 1, 4),
        ("a: 1\n<<: {b: 1}\n", "merge keys", 2, 1),
        ("a: !!python/object/apply:os.system [x]", "tags", 1, 4),
        ("a: !!str 5", "tags", 1, 4),
        ("a: ! 5", "tags", 1, 4),
        ("a: !mine {}", "tags", 1, 4),
        ("a: 1\n---\nb: 2\n", "second document", 2, 1),
        ("~\n---\nb: 2\n", "second document", 2, 1),
        ("a: 1\n5: x\n", "`5` is a number", 2, 1),
        ("true: x\n", "`true` is a boolean", 1, 1),
        ("~: x\n", "`~` is nothing", 1, 1),
        ("?\n: x\n", "is nothing", 1, None),
        ("? [a]\n: x\n", "not a mapping or a list", 1, 3),
        ("? {a: b}\n: x\n", "not a mapping or a list", 1, 3),
        ("a: .nan", "not finite", 1, 4),
        ("a: -.INF", "not finite", 1, 4),
        ("a: 1e999", "not finite", 1, 4),
        ("a: 9223372036854775808", "64 bits", 1, 4),
        ("a: " + "9" * 5000, "64 bits", 1, 4),
        ("a: 0x" + "f" * 5000, "64 bits", 1, 4),
        ("%YAML 1.1\n---\na: no\n", "YAML 1.1", 1, 1),
        ('a: "x\\0y"', "NUL", 1, 4),
        ("a:\n\t- b\n", "a tab where", 2, 1),
        ("a:\n  b: 1\n\tc: 2\n", "a tab where", 3, 1),
        ("a: b\tc\n", "a tab where", 1, None),
        ("a: b: c\n", "no key can stand", 1, 5),
        ("a: 1\nb: 'x\nc: 2\n", "never closed", 2, 4),
        ("a: 1\nb: [1, 2\n", "never closed", 2, 4),
        ("a: [1 2, {x: y]", "closing bracket", 1, 15),
        ("a: @b", "can't begin a value", 1, 4),
        ("a: b\n- c\n", "indentation", 2, 1),
        ("a: 'b' c\n", "indentation", 1, 8),
        ("a: 1\n...\nb: 2\n", "follows the end", 3, 1),
        ("a: }", "should begin here", 1, 4),
    ],
)
def test_refusals_say_what_and_where(text: str, said: str, line: int, column: int | None) -> None:
    message, hint, found_line, found_column = _problem(text)
    assert said in message
    assert hint
    assert found_line == line
    assert column in (None, found_column)
    assert not message.endswith(".")
    assert message[0] == message[0].lower()


def test_a_key_given_twice_names_both_places() -> None:
    text = "groups:\n  - name: alpha\n    upstream: one\n    upstream: two\n"
    with pytest.raises(DocumentInvalid) as caught:
        parse(text, "alpha.yaml")
    assert str(caught.value) == (
        "alpha.yaml:4:5: the key `upstream` is given twice\n"
        "    4 |     upstream: two\n"
        "      |     ^~~~~~~~\n"
        "      = the first is at line 3 column 5; keep one, whose value then counts"
    )


def test_an_expansion_bomb_is_refused_before_it_expands() -> None:
    layers = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10)]
    message, _, line, _ = _problem("\n".join(["l0: &l0 [x, x]", *layers]))
    assert "anchors" in message
    assert line == 1


@pytest.mark.usefixtures("either_parser")
def test_depth_is_bounded() -> None:
    assert parse("[" * 64 + "]" * 64, "alpha.yaml")
    for bomb in ("[" * 5000, "{a: " * 5000, "- " * 5000, "[" * 65 + "]" * 65):
        message, _, line, _ = _problem(bomb)
        assert message == "nested deeper than 64"
        assert line == 1


def test_length_is_bounded() -> None:
    with pytest.raises(DocumentInvalid, match="longer than"):
        parse("#" * (MAX_BYTES + 1), "alpha.yaml")


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(
    "character",
    ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\u202e", "\u2066", "\ufeff", "\ufffe", "\ud800"],
)
def test_characters_that_deceive_a_reader_are_refused(character: str) -> None:
    message, _, line, column = _problem(f"a: 1\nb: 'x{character}y'\n")
    assert message == f"the character U+{ord(character):04X} is not allowed"
    assert (line, column) == (2, 6)


def test_what_is_refused_never_reaches_the_terminal() -> None:
    with pytest.raises(DocumentInvalid) as caught:
        parse("a: \x1b]0;owned\x07\n", "alpha.yaml")
    assert "\x1b" not in str(caught.value)
    assert "\x07" not in str(caught.value)


def test_a_byte_order_mark_at_the_start_is_not_part_of_the_first_key() -> None:
    assert parse("\ufeffa: 1", "alpha.yaml") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("api_keys: {hunter2: 1, hunter2: 2}", "hunter2"),
        ("x:\n  api_key: hunter2: 2\n", "hunter2"),
        ("tokens:\n  - 'fine'\n  - 'hunter2\n", "hunter2"),
        ("password: >\n  hunter2\n\tx\n", "hunter2"),
        ("a: sk-live-0123456789abcdef: x\n", "0123456789abcdef"),
        ("sk-live-0123456789abcdef: 1\nsk-live-0123456789abcdef: 2\n", "0123456789abcdef"),
        ("api_key: 12345678901234567890\n", "12345678901234567890"),
        ("api_key: {1234567: x}\n", "1234567"),
        ("{name: alpha, api_key: hunter2, name: beta}", "hunter2"),
        ("api_key: hunter2\x1b\n", "hunter2"),
        ("{a: 1, !token: hunter2}\n", "hunter2"),  # a tag took the name's place
        ("{a: 1, *api_key: hunter2}\n", "hunter2"),
        ("{a: 1, api\x1b_key: hunter2, password: x}\n", "hunter2"),  # and here a control character split it
    ],
)
def test_no_error_shows_a_secret(text: str, secret: str) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        parse(text, "alpha.yaml")
    assert secret not in str(caught.value)
    assert secret not in repr(caught.value.problems)
    assert caught.value.__context__ is None


def test_the_parser_falls_back_to_pyyamls_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    assert events.parser_class() is yaml.BaseLoader
    assert parse("a: [1, {b: c}]", "alpha.yaml") == {"a": [1, {"b": "c"}]}


def test_the_fallback_turns_its_own_crashes_into_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    for text in ('a: "\\UFFFFFFFF"', 'a: "\\U00110000"', "%YAML 1." + "9" * 5000 + "\n---\na: 1", 'a: "\\ud800"'):
        with pytest.raises(ConfigError):
            parse(text, "alpha.yaml")


@given(data=_DATA)
def test_what_was_written_is_read(emit: Callable[[object], Any], data: object) -> None:
    assert repr(parse(emit(data).text, "alpha.yaml")) == repr(data)


@given(data=_DATA, pick=st.data())
def test_a_key_given_twice_is_refused_at_any_depth(emit: Callable[[object], Any], data: object, pick: Any) -> None:
    written = emit(data)
    assume(written.keys)
    path = pick.draw(st.sampled_from(sorted(written.keys, key=repr)))
    message, hint, line, _ = _problem(written.with_key_twice(path))
    assert "is given twice" in message
    assert line == written.keys[path] + 1
    assert f"line {written.keys[path]} " in hint


_YAMLISH = st.text(st.sampled_from("ab01 \n\t-:[]{},'\"#|>&*!%@?~.<\\\r\x00\x85\u2028é"), max_size=60)


@given(text=st.text(max_size=60) | _YAMLISH)
def test_any_text_is_data_or_a_config_error(text: str) -> None:
    try:
        parse(text, "alpha.yaml")
    except ConfigError as error:
        assert str(error).startswith("alpha.yaml")  # noqa: PT017  # the other outcome is no error at all


@given(text=_YAMLISH)
def test_what_both_parsers_accept_means_the_same_to_both(text: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        first = _outcome(text)
        patched.setattr(yaml, "__with_libyaml__", False)
        second = _outcome(text)
    assert first == second or None in (first, second)


def _outcome(text: str) -> str | None:
    try:
        return repr(parse(text, "alpha.yaml"))
    except ConfigError:
        return None
