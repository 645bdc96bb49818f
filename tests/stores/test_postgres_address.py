"""Connection strings: what they must say, and that nothing goes in clear by oversight."""

from __future__ import annotations

import pytest

from partywall.errors import ConfigError
from partywall.stores.backends.postgres.address import parse_address
from partywall.tenancy import Secret

GOOD = [
    "postgresql://u:p@127.0.0.1/d",
    "postgres://u:p@localhost:5433/d",
    "postgresql://u:p@[::1]:5432/d",
    "postgresql://u:p@/d?host=/var/run/postgresql",
    "postgresql://u:p@db.example/d?sslmode=verify-full&sslrootcert=/ca.pem",
    "postgresql://u:p@db.example/d?sslmode=require",
    "postgresql://u:p@one.example,two.example/d?sslmode=verify-ca",
    "postgresql://u:p@db.example/d?sslmode=disable",
]
BAD = {
    "postgresql://u:p@db.example/d": "says nothing of encryption",
    "postgresql://u:p@db.example/d?sslmode=prefer": "sslmode=prefer",
    "postgresql://u:p@db.example/d?sslmode=allow": "sslmode=allow",
    "postgresql://u:p@127.0.0.1,db.example/d": "says nothing of encryption",
    "postgresql://u:p@127.0.0.1.example/d": "says nothing of encryption",
    "postgresql://u:p@0.0.0.0/d": "says nothing of encryption",
    "postgresql://u:p@127.0.0.1": "must name host, user and database",
    "postgresql://127.0.0.1/d": "must name host, user and database",
    "postgresql://u:p@/d": "must name host, user and database",
    "postgresql://u:p@127.0.0.1/d?service=other": "would read the address elsewhere",
    "mysql://u:p@127.0.0.1/d": "is no connection string",
    "u:p": "is no connection string",
    "postgresql://u:p@[::1/d": "is no connection string",
}


@pytest.mark.parametrize("dsn", GOOD)
def test_what_is_whole_and_says_how_it_travels_passes(dsn: str) -> None:
    address = parse_address(Secret(dsn), "storage.dsn_ref")
    assert (address.user, address.database) == ("u", "d")


@pytest.mark.parametrize("dsn", BAD)
def test_what_is_not_is_refused_without_its_password(dsn: str) -> None:
    with pytest.raises(ConfigError, match=BAD[dsn]) as caught:
        parse_address(Secret(dsn.replace(":p", ":s3cr3t")), "storage.dsn_ref")
    assert "s3cr3t" not in str(caught.value)


def test_a_clear_way_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    parse_address(Secret("postgresql://u:p@db.example/d?sslmode=disable"), "storage.dsn_ref")
    assert "in clear" in caplog.text
