"""Every header that identity reads is found, in any shape of headers, and never chosen between."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers as StarletteHeaders

from partywall.errors import BadRequest, InvalidCredential
from partywall.identity import IdentitySettings
from partywall.identity.headers import Claimed, HeaderReader, Headers, bearer_or_bare, vouched_text

READER = HeaderReader(IdentitySettings(keys={}, groups_by_tenant={}, key_header=b"x-gw-key"))


def read(headers: Headers) -> Claimed:
    return READER.claims(READER.relevant(headers))


RAW = [(b"x-api-key", b"k"), (b"x-org-id", b"alpha"), (b"x-tenant-id", b"beta"), (b"x-user", b"ann"), (b"x-role", b"r")]


@pytest.mark.parametrize(
    "headers",
    [
        RAW,
        tuple(RAW),
        iter(RAW),
        dict(RAW),
        [(name.decode(), value.decode()) for name, value in RAW],
        [(name.decode().upper(), value.decode()) for name, value in RAW],
        {name.decode().title(): value.decode() for name, value in RAW},
        StarletteHeaders(raw=RAW),
        [(name.upper(), value) for name, value in RAW],
    ],
)
def test_every_shape_of_headers_says_the_same(headers: list[tuple[bytes, bytes]]) -> None:
    claimed = read(headers)
    assert claimed.credentials == {b"x-api-key": b"k"}
    assert claimed.tenants == [b"alpha", b"beta"]
    assert (claimed.user, claimed.role) == (b"ann", b"r")


def test_starlette_duplicates_are_all_seen() -> None:
    headers = StarletteHeaders(raw=[(b"x-org-id", b"alpha"), (b"x-org-id", b"beta")])
    assert read(headers).tenants == [b"alpha", b"beta"]


def test_no_headers_claim_nothing() -> None:
    nothing: dict[bytes, bytes] = {}
    for claimed in (read([]), read(()), read(nothing)):
        assert not claimed.credentials
        assert not claimed.tenants
        assert claimed.user is None
        assert claimed.role is None


@pytest.mark.parametrize("name", [b"authorization", b"x-api-key", b"api-key", b"x-gw-key"])
def test_a_credential_header_holds_one_value(name: bytes) -> None:
    assert read([(name, b"same"), (name, b"same")]).credentials == {name: b"same"}
    with pytest.raises(InvalidCredential, match="twice"):
        read([(name, b"one"), (name, b"two")])
    with pytest.raises(InvalidCredential, match="twice"):
        read([(name, b""), (name.upper(), b"two")])


@pytest.mark.parametrize("names", [(b"x-user-id", b"x-user"), (b"x-user-role", b"x-role"), (b"x-user", b"x-user")])
def test_users_and_roles_that_disagree_are_refused(names: tuple[bytes, bytes]) -> None:
    read([(names[0], b"ann"), (names[1], b"ann")])
    with pytest.raises(BadRequest, match="disagree"):
        read([(names[0], b"ann"), (names[1], b"bob")])
    with pytest.raises(BadRequest, match="disagree"):
        read([(names[0], b""), (names[1], b"bob")])


def test_a_name_that_only_unicode_folds_to_ours_is_not_ours() -> None:
    # "x-gw-Key" with KELVIN SIGN: str.lower() would make it `x-gw-key`.
    with pytest.raises(BadRequest, match="Latin-1"):
        read([("x-gw-\N{KELVIN SIGN}ey", "k")])


def test_text_beyond_latin_1_is_refused_instead_of_guessed() -> None:
    with pytest.raises(BadRequest, match="Latin-1"):
        read({"x-user": "\N{GREEK SMALL LETTER ALPHA}"})


def test_utf_8_survives_the_latin_1_detour_of_http_libraries() -> None:
    assert read({"x-user": "José".encode().decode("latin-1")}).user == "José".encode()


@pytest.mark.parametrize("headers", [[(b"a", b"b"), ("x-org-id", "beta")], [(1, 2)], [("a", None)]])
def test_a_mixture_that_could_hide_a_header_is_a_type_error(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(TypeError):
        read(headers)


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        (b"pw_x", b"pw_x"),
        (b"Bearer pw_x", b"pw_x"),
        (b"bearer pw_x", b"pw_x"),
        (b"BEARER  pw_x", b"pw_x"),
        (b"Bearer", b""),
        (b"Bearer ", b""),
        (b"", b""),
        (b"Bearerpw_x", b"Bearerpw_x"),
        (b"x" * 8192, b"x" * 8192),
    ],
)
def test_bearer_and_bare(value: bytes, secret: bytes) -> None:
    assert bearer_or_bare(value) == secret


@pytest.mark.parametrize(
    "value",
    [
        b"Basic dXNlcjpwdw==",
        b"Digest username=x",
        b"Bearer a b",
        b"Bearer Bearer pw_x",
        b"Bearer\tpw_x",
        b"pw_x, pw_y",
        b"pw_x\n",
        b" pw_x",
        b"pw_\x00x",
        b"pw_\x7fx",
        "pw_é".encode(),
        b"x" * 8193,
    ],
)
def test_other_schemes_and_odd_characters_are_no_credential(value: bytes) -> None:
    with pytest.raises(InvalidCredential):
        bearer_or_bare(value)


@pytest.mark.parametrize("text", ["ann", "ann smith", "José", "a" * 256, "日本", "ann@example.com", "a|b;c"])
def test_printable_names_pass_unchanged(text: str) -> None:
    assert vouched_text("user", text.encode()) == text


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"a" * 257,
        "é".encode() * 129,
        b"\xff",
        b"\xed\xa0\x80",
        b"a\x00",
        b"a\nb",
        b"a\x1b[31m",
        "a\N{RIGHT-TO-LEFT OVERRIDE}b".encode(),
        "a\N{ZERO WIDTH SPACE}b".encode(),
        "a\N{NO-BREAK SPACE}b".encode(),
        "a\N{LINE SEPARATOR}b".encode(),
    ],
)
def test_names_that_do_not_print_are_bad_requests(value: bytes) -> None:
    with pytest.raises(BadRequest):
        vouched_text("user", value)


@settings(deadline=None)  # a shared machine's pauses are no failure
@given(st.lists(st.tuples(st.binary(max_size=12), st.binary(max_size=12)), max_size=6))
def test_arbitrary_bytes_raise_only_refusals(headers: list[tuple[bytes, bytes]]) -> None:
    try:
        read(headers)
    except (BadRequest, InvalidCredential):
        return


@settings(deadline=None)  # a shared machine's pauses are no failure
@given(st.binary(max_size=40))
def test_what_passes_as_credential_is_visible_ascii(value: bytes) -> None:
    try:
        secret = bearer_or_bare(value)
    except InvalidCredential:
        return
    assert all(0x21 <= byte <= 0x7E for byte in secret)
