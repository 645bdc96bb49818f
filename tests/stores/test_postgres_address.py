"""Connection strings: what they must say, and that nothing goes in clear by oversight."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
from asyncpg import connect_utils
from hypothesis import given
from hypothesis import strategies as st
from tests.stores.places import settings_for

from partywall.errors import ConfigError, StoreUnavailable
from partywall.stores.backends.postgres.address import parse_address
from partywall.stores.backends.postgres.connections import connect
from partywall.stores.backends.postgres.settings import Strategy
from partywall.tenancy import Secret

_parse: Final = connect_utils._parse_connect_dsn_and_args  # type: ignore[attr-defined]  # the stubs have what is public
PARAMETERS: Final = tuple(inspect.signature(_parse).parameters)

GOOD = [
    "postgresql://u:p@127.0.0.1/d",
    "postgres://u:p@localhost:5433/d",
    "postgresql://u:p@[::1]:5432/d",
    "postgresql://u:p@[::1]/d",
    "postgresql://u@/d?host=/var/run/postgresql&port=5433",
    "postgresql://u:p@%2Fvar%2Frun%2Fpostgresql/d",
    "postgresql://u:p@db.example/d?sslmode=verify-full&sslrootcert=/ca.pem",
    "postgresql://u:p@db.example/d?sslmode=verify-ca&sslrootcert=system",
    "postgresql://u:p@db_1.example/d?sslmode=require",
    "postgresql://u:p@db.example/d?sslmode=disable",
    "postgresql://u:p@127.0.0.1/d?sslmode=disable",
]
WRITE_SO = "with one `@`; in user, password and database, write"
BAD = {
    "postgresql://u:p@db.example/d": "says nothing of encryption",
    "postgresql://u:p@db.example/d?sslmode=prefer": "neither `disable`",
    "postgresql://u:p@db.example/d?sslmode=allow": "neither `disable`",
    "postgresql://u:p@127.0.0.1/d?sslmode=prefer": "neither `disable`",
    "postgresql://u:p@127.0.0.1.example/d": "says nothing of encryption",
    "postgresql://u:p@0.0.0.0/d": "says nothing of encryption",
    "postgresql://u:p@db.example/d?sslmode=verify-full": "needs `sslrootcert=",
    "postgresql://u:p@127.0.0.1": "must name one host, user and database",
    "postgresql://127.0.0.1/d": WRITE_SO,
    "postgresql://:p@127.0.0.1/d": "must name one host, user and database",
    "postgresql://u:p@/d": "must name one host, user and database",
    "postgresql://u:p@127.0.0.1/d?service=other": "there may be host, port",
    "postgresql://u:p@127.0.0.1/d?options=-cp": "there may be host, port",
    "postgresql://u:p@127.0.0.1/d?password=p": "there may be host, port",
    "postgresql://u:p@127.0.0.1/d?sslmode=disable&sslmode=require": "each once",
    "postgresql://u:p@127.0.0.1/d?host=db.example": "twice",
    "postgresql://u:p@127.0.0.1:1/d?port=2": "twice",
    "postgresql://u:p@127.0.0.1,db.example/d": "must name one host",
    "postgresql://u:p@127.0.0.1%2Cdb.example/d": "must name one host",
    "postgresql://u:p@/d?host=/run,db.example": "must name one host",
    "postgresql://u:p@127.0.0.1:notaport/d": "a number from 1 to 65535",
    "postgresql://u:p@127.0.0.1:99999/d": "a number from 1 to 65535",
    "postgresql://u:p@127.0.0.1:0/d": "a number from 1 to 65535",
    "postgresql://u:p@127.0.0.1:/d": "a number from 1 to 65535",
    "postgresql://u:p@/d?host=/run&port=x": "a number from 1 to 65535",
    "postgresql://u:p@x:p@127.0.0.1/d": WRITE_SO,
    "postgresql://u:p/x@127.0.0.1/d?sslmode=disable": WRITE_SO,
    "postgresql://u:p?x@127.0.0.1/d": WRITE_SO,
    "postgresql://u:p#x@127.0.0.1/d": WRITE_SO,
    "postgresql://u:p,x@127.0.0.1/d": WRITE_SO,
    "postgresql://u:p@db.far.example,x@127.0.0.1/d": WRITE_SO,
    "postgresql://u:p@127.0.0.1/d#p": WRITE_SO,
    "postgresql://u:p%@127.0.0.1/d": "write `%` itself as %25",
    "postgresql://u:p%ff@127.0.0.1/d": "write `%` itself as %25",
    "postgresql://u:p x@127.0.0.1/d": "a space",
    "postgresql://u:p@127.0.0.1/d/p": "must name one host, user and database",
    "mysql://u:p@127.0.0.1/d": "is no connection string",
    "u:p": "is no connection string",
    "postgresql://u:p@[::1/d": "begins with `\\[`",
}


@pytest.mark.parametrize("dsn", GOOD)
def test_what_is_whole_and_says_how_it_travels_passes(dsn: str) -> None:
    address = parse_address(Secret(dsn), "storage.dsn_ref")
    assert (address.user, address.database) == ("u", "d")


@pytest.mark.parametrize("dsn", BAD)
def test_what_is_not_is_refused_without_its_password(dsn: str) -> None:
    with pytest.raises(ConfigError, match=BAD[dsn]) as caught:
        parse_address(Secret(dsn.replace(":p", ":s3cr3t").replace("=p", "=s3cr3t")), "storage.dsn_ref")
    assert "s3cr3t" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None, "nothing of it in a traceback"


def test_a_clear_way_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    parse_address(Secret("postgresql://u:p@db.example/d?sslmode=disable"), "storage.dsn_ref")
    assert "in clear" in caplog.text


HARD = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(user=HARD, password=HARD, database=HARD)
def test_whatever_is_percent_encoded_comes_back(user: str, password: str, database: str) -> None:
    dsn = f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@127.0.0.1:1/{quote(database, safe='')}"
    address = parse_address(Secret(dsn), "storage.dsn_ref")
    assert (address.user, address.reach()["password"], address.database) == (user, password, database)


@given(
    password=st.text("@/,?#:%[]ab1. ", max_size=12), rest=st.sampled_from(["", "?sslmode=require", "?sslmode=disable"])
)
def test_the_driver_would_not_read_what_we_let_pass_in_another_way(password: str, rest: str) -> None:
    """We never give it the string. Where ours and its reading differ, ours refuses."""
    dsn = f"postgresql://u:{password}@127.0.0.1:5433/d{rest}"
    try:
        ours = parse_address(Secret(dsn), "storage.dsn_ref")
    except ConfigError:
        return
    nothing: dict[str, object] = dict.fromkeys(PARAMETERS)
    addresses, theirs = _parse(**{**nothing, "dsn": dsn})
    assert addresses == [(ours.host, ours.port)]
    assert (theirs.user, theirs.password or "", theirs.database) == (ours.user, ours.reach()["password"], ours.database)


def test_nothing_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A driver that is told all of it looks nothing up."""
    (tmp_path / "pass").write_text("*:*:*:*:pw-of-a-file")
    for name, value in {
        "PGPASSWORD": "pw-of-the-environment",
        "PGPASSFILE": str(tmp_path / "pass"),
        "PGSSLMODE": "require",
        "PGHOST": "db.example",
        "PGPORT": "1",
        "PGTARGETSESSIONATTRS": "standby",
    }.items():
        monkeypatch.setenv(name, value)
    address = parse_address(Secret("postgresql://u@127.0.0.1/d"), "storage.dsn_ref")
    reach: dict[str, object] = {**address.reach(), "database": "d", "target_session_attrs": "any"}
    nothing: dict[str, object] = dict.fromkeys(PARAMETERS)
    addresses, found = _parse(**{**nothing, **reach})
    assert addresses == [("127.0.0.1", 5432)]
    assert (found.password, found.ssl) == ("", False)


@pytest.mark.parametrize("what", ["sslrootcert", "sslcert"])
def test_a_certificate_that_is_not_there_is_named(what: str, tmp_path: Path) -> None:
    dsn = f"postgresql://u:p@127.0.0.1/d?sslmode=require&{what}={tmp_path}/nope.pem"
    with pytest.raises(ConfigError, match=f"`{what}`: `{tmp_path}/nope.pem`: No such file") as caught:
        parse_address(Secret(dsn), "storage.dsn_ref").reach()
    assert "\n" not in str(caught.value)
    (tmp_path / "nope.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match="holds no certificate"):
        parse_address(Secret(dsn), "storage.dsn_ref").reach()


MODES = {
    "require": (ssl.CERT_NONE, False),
    "require&sslrootcert=system": (ssl.CERT_REQUIRED, False),
    "verify-ca&sslrootcert=system": (ssl.CERT_REQUIRED, False),
    "verify-full&sslrootcert=system": (ssl.CERT_REQUIRED, True),
}


@pytest.mark.parametrize("mode", MODES)
def test_what_a_mode_asks_of_the_server(mode: str) -> None:
    context = parse_address(Secret(f"postgresql://u:p@db.example/d?sslmode={mode}"), "storage.dsn_ref").reach()["ssl"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == MODES[mode]


def test_an_unknown_host_is_named() -> None:
    dsn = "postgresql://u:s3cr3t@nowhere.invalid/d?sslmode=require"
    settings = settings_for(dsn, Strategy.NAMESPACE)
    with pytest.raises(StoreUnavailable, match=r"`nowhere\.invalid` port 5432") as caught:
        asyncio.run(connect(settings))
    assert "s3cr3t" not in str(caught.value)
