"""A secret shows nowhere by accident."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import logging
import operator
import pickle
import pprint
import reprlib
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partywall.tenancy import Secret

VALUE = "hunter2-correct-horse"
SECRET = Secret(VALUE)


@dataclasses.dataclass
class Holder:
    secret: Secret


@pytest.mark.parametrize(
    "shown",
    [
        repr(SECRET),
        str(SECRET),
        f"{SECRET}",
        f"{SECRET!r}",
        f"{SECRET!s}",
        f"{SECRET:>40}",
        f"{SECRET=}",
        "{}".format(SECRET),  # noqa: UP032  # the other way to format is the point
        "{0.__class__} {0}".format(SECRET),  # noqa: UP032  # same
        "%s %r" % (SECRET, SECRET),  # noqa: UP031  # same
        repr([SECRET]),
        repr({"key": SECRET}),
        repr((SECRET,)),
        repr(Holder(SECRET)),
        pprint.pformat({"key": [SECRET]}),
        reprlib.repr(SECRET),
        ascii(SECRET),
        str(dir(SECRET)),
    ],
)
def test_every_way_to_print_is_masked(shown: str) -> None:
    assert VALUE not in shown


def test_logging_is_masked() -> None:
    stream = io.StringIO()
    logger = logging.getLogger("test-secret")
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        logger.info("%s %r", SECRET, SECRET)
        logger.info("%(key)s", {"key": SECRET})
        logger.info(SECRET)
    finally:
        logger.removeHandler(handler)
    assert stream.getvalue().count("*****") == 4 * 2
    assert VALUE not in stream.getvalue()


def test_a_traceback_with_locals_is_masked() -> None:
    def fail(held: Secret) -> None:
        raise ValueError(f"with {held}")

    try:
        fail(SECRET)
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "held = Secret(" in shown
    assert VALUE not in shown


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="does not leave"):
        pickle.dumps(SECRET, protocol)


def test_a_secret_is_not_copied_or_serialised() -> None:
    for attempt in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(SECRET)
    with pytest.raises(TypeError):
        dataclasses.asdict(Holder(SECRET))
    with pytest.raises(TypeError):
        json.dumps({"key": SECRET})
    with pytest.raises(TypeError):
        SECRET.__getstate__()
    assert not hasattr(SECRET, "__dict__")


def test_comparing_hashing_and_ordering_raise() -> None:
    other = Secret(VALUE)
    for compare in (operator.eq, operator.ne):
        for one, two in ((SECRET, other), (SECRET, VALUE), (VALUE, SECRET), (SECRET, None)):
            with pytest.raises(TypeError, match="matches"):
                compare(one, two)
    with pytest.raises(TypeError):
        hash(SECRET)
    with pytest.raises(TypeError):
        sorted([SECRET, other])  # type: ignore[type-var]  # that it has no order is the point
    with pytest.raises(TypeError):
        other in [SECRET]  # noqa: B015  # that it raises is the point


def test_reveal_and_matches() -> None:
    assert SECRET.reveal() == VALUE
    assert SECRET.matches(VALUE)
    assert not SECRET.matches(VALUE + "x")
    assert not SECRET.matches("")


@settings(deadline=None)  # a shared machine's pauses are no failure
@given(st.text(min_size=1), st.text())
def test_matches_is_equality_for_any_text(value: str, candidate: str) -> None:
    assert Secret(value).matches(candidate) == (value == candidate)
    assert Secret(value).matches(value)


def test_a_lone_surrogate_is_wrong_and_no_error() -> None:
    assert not SECRET.matches("\ud800")
    assert Secret("\ud800").matches("\ud800")


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Secret("")
