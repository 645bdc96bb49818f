"""The vectors of docs/spec/vectors: their shape, how they are loaded and opened. `making` says what they must be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, Literal, NotRequired, TypedDict

from partywall.keys.envelope import open_sealed, read_header
from partywall.keys.hazmat import DataKey

FOLDER: Final = Path(__file__).parents[2] / "docs" / "spec" / "vectors"


class Record(TypedDict):
    """For whom and what a record is opened."""

    name: str
    tenant: str
    store: str
    purpose: str
    record_id: str
    sealed: str


class Positive(Record):
    key_version: int
    epoch: str
    counter: int
    data_key_and_commitment: str
    aad: str
    plaintext: str


class Keyring(TypedDict):
    versions: list[int]
    min_decryption_version: int


class Negative(Record):
    layer: Literal["envelope", "keyring"]
    failure: str
    keyring: NotRequired[Keyring]


class Canonical(TypedDict):
    fields: list[str]
    encoding: str


class Index(TypedDict):
    tenant: str
    store: str
    purpose: str
    key_version: int
    value: str
    index_key: str
    hash: str


class EnvelopeVectors(TypedDict):
    specification: str
    tenant_keys: dict[str, dict[str, str]]
    canonical: list[Canonical]
    index: list[Index]
    positive: list[Positive]
    negative: list[Negative]


class BoxRecord(TypedDict):
    name: str
    private: str
    tenant: str
    store: str
    record_id: str
    box: str


class BoxPositive(BoxRecord):
    public: str
    plaintext: str


class BoxNegative(BoxRecord):
    failure: str


class BoxVectors(TypedDict):
    specification: str
    positive: list[BoxPositive]
    negative: list[BoxNegative]


def load_envelopes() -> EnvelopeVectors:
    loaded: EnvelopeVectors = json.loads((FOLDER / "envelope-v1.json").read_text(encoding="utf-8"))
    return loaded


def load_boxes() -> BoxVectors:
    loaded: BoxVectors = json.loads((FOLDER / "tenant-box-v1.json").read_text(encoding="utf-8"))
    return loaded


def dump(vectors: EnvelopeVectors | BoxVectors) -> str:
    """The one form in which the files are kept."""
    return json.dumps(vectors, indent=1, ensure_ascii=True) + "\n"


def tenant_key(vectors: EnvelopeVectors, tenant: str, version: int) -> bytes:
    return bytes.fromhex(vectors["tenant_keys"][tenant][str(version)])


def data_key_for(vectors: EnvelopeVectors, tenant: str, store: str, sealed: bytes) -> DataKey:
    """The key that a keyring holding every version would open `sealed` with, for this tenant and store."""
    header = read_header(sealed)
    key = tenant_key(vectors, tenant, header.key_version)
    return DataKey.derive(key, tenant=tenant, store=store, key_version=header.key_version, epoch=header.epoch)


def open_record(vectors: EnvelopeVectors, record: Record) -> bytes:
    """Open a vector with our code, as the keyring would that holds every version."""
    sealed = bytes.fromhex(record["sealed"])
    return open_sealed(
        data_key_for(vectors, record["tenant"], record["store"], sealed),
        sealed,
        tenant=record["tenant"],
        store=record["store"],
        purpose=record["purpose"],
        record_id=record["record_id"],
    )
