"""The document of a tenant's wrapped keys: what is written reads back, and nothing else is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.keys.rings import ALPHA, BETA

from partywall.keys.receipt import Receipt
from partywall.keys.wrapped import TenantKeys, WrappedKey
from partywall.tenancy import TenantId

NOW = 1_800_000_000.0


def keys_of(tenant: TenantId, count: int = 2, minimum: int = 1) -> TenantKeys:
    versions = tuple(
        WrappedKey.new(n, created=NOW + n, root="file", wrapped=b"blob %d" % n) for n in range(1, count + 1)
    )
    return TenantKeys(tenant, count, minimum, versions)


def receipt_of(keys: TenantKeys) -> Receipt:
    return Receipt(
        tenant=keys.tenant,
        versions=tuple(version.number for version in keys.versions),
        wrapped_sha256=tuple(version.wrapped_sha256 for version in keys.versions),
        roots=("file",),
        root="left alone",
        root_confirmed=True,
        time=NOW,
        who="an operator",
        key_store="files",
    )


@given(st.integers(1, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))), st.booleans())
def test_what_is_written_reads_back(shape: tuple[int, int], destroyed: bool) -> None:
    keys = keys_of(ALPHA, *shape)
    if destroyed:
        keys = keys.gone(receipt_of(keys))
    assert TenantKeys.decode(ALPHA, keys.encode()) == keys


def test_a_tombstone_holds_no_wrapped_key() -> None:
    keys = keys_of(ALPHA)
    text = keys.gone(receipt_of(keys)).encode()
    assert b'"wrapped"' not in text
    for version in keys.versions:
        assert version.wrapped_sha256.encode() in text
    assert b'"wrapped"' in keys.encode()


def test_another_tenants_document_is_refused() -> None:
    with pytest.raises(ValueError, match="another tenant"):
        TenantKeys.decode(BETA, keys_of(ALPHA).encode())


Mend = Callable[[dict[str, object]], object]

CHANGES: dict[str, Mend] = {
    "a name that nobody knows": lambda d: d.update(extra=1),
    "a later format": lambda d: d.update(format=2),
    "no format": lambda d: d.pop("format"),
    "true for a number": lambda d: d.update(current=True),
    "a current version that isn't the last": lambda d: d.update(current=1),
    "a minimum of nothing": lambda d: d.update(min_decryption_version=0),
    "a minimum beyond": lambda d: d.update(min_decryption_version=3),
    "no versions": lambda d: d.update(versions=[]),
    "versions that are no list": lambda d: d.update(versions={}),
    "no word on destruction": lambda d: d.pop("destroyed"),
    "destroyed by a word": lambda d: d.update(destroyed="yes"),
    "versions in another order": lambda d: _versions(d).reverse(),
    "a version left out": lambda d: _versions(d).pop(0),
    "a version twice": lambda d: _versions(d).append(_versions(d)[1]),
    "a version with more": lambda d: _versions(d)[0].update(extra=1),
    "a version in an unknown state": lambda d: _versions(d)[0].update(state="asleep"),
    "a destroyed version that may be needed": lambda d: (
        _versions(d)[0].update(state="destroyed"),
        _versions(d)[0].pop("wrapped"),
    ),
    "a destroyed version with its wrapped key": lambda d: (
        d.update(min_decryption_version=2),
        _versions(d)[0].update(state="destroyed"),
    ),
    "a live version without its wrapped key": lambda d: _versions(d)[0].pop("wrapped"),
    "another wrapped key": lambda d: _versions(d)[0].update(wrapped="AAAA"),
    "base64 with a line end": lambda d: _versions(d)[0].update(wrapped=f"{_versions(d)[0]['wrapped']}\n"),
    "base64 with loose bits": lambda d: _versions(d)[0].update(
        wrapped="YR==", wrapped_sha256=hashlib.sha256(b"a").hexdigest()
    ),
    "a time that is none": lambda d: _versions(d)[0].update(created="yesterday"),
}


def _versions(document: dict[str, object]) -> list[dict[str, object]]:
    versions = document["versions"]
    assert isinstance(versions, list)
    return versions


def test_the_loose_bits_are_all_that_is_wrong_with_them() -> None:
    document = json.loads(keys_of(ALPHA).encode())
    _versions(document)[0].update(wrapped="YQ==", wrapped_sha256=hashlib.sha256(b"a").hexdigest())
    assert TenantKeys.decode(ALPHA, json.dumps(document).encode()).versions[0].wrapped == b"a"


@pytest.mark.parametrize("change", CHANGES)
def test_anything_else_is_refused(change: str) -> None:
    document = json.loads(keys_of(ALPHA).encode())
    CHANGES[change](document)
    with pytest.raises(ValueError, match=r".") as caught:
        TenantKeys.decode(ALPHA, json.dumps(document).encode())
    assert "blob" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"format": 1, "format": 1}',
        b'{"format": NaN}',
        b"[" * 100_000,
        b'{"format": 1' + b"0" * 5000 + b"}",
    ],
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        TenantKeys.decode(ALPHA, data)


def test_the_minimum_never_refuses_the_version_that_seals() -> None:
    keys = keys_of(ALPHA, 3, minimum=2)
    assert [keys.lowest(wanted) for wanted in (1, 2, 3, 4, 99)] == [2, 2, 3, 3, 3]


def test_versions_are_found_by_number_alone() -> None:
    keys = keys_of(ALPHA, 2)
    assert [keys.version(n) and keys.version(n).number for n in (-1, 0, 1, 2, 3)] == [None, None, 1, 2, None]  # type: ignore[union-attr]  # `and` has just seen it


def test_a_version_below_the_minimum_may_be_gone() -> None:
    keys = keys_of(ALPHA, 3, minimum=3)
    keys = replace(keys, versions=(keys.versions[0].destroyed(), *keys.versions[1:]))
    read = TenantKeys.decode(ALPHA, keys.encode())
    assert read == keys
    assert [version.number for version in read.live] == [2, 3]
    assert read.version(1) is None


def test_a_receipt_for_people_reads_back() -> None:
    receipt = receipt_of(keys_of(ALPHA))
    value = json.loads(receipt.to_json())
    assert value["utc"] == "2027-01-15T08:00:00+00:00"
    assert Receipt.from_dict(value) == receipt
    with pytest.raises(ValueError, match="one hash for each"):
        Receipt.from_dict(value | {"versions": [1]})
