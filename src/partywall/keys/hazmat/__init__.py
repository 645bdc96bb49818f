"""The primitives, misusable by nature: only the recipes of `keys` import what is in here."""

from cryptography.exceptions import InvalidTag

from partywall.keys.hazmat.aead import RECORDS_PER_EPOCH, DataKey
from partywall.keys.hazmat.derive import EPOCH_BYTES, KEY_BYTES, derive_index_key, keyed_hash

__all__ = [
    "EPOCH_BYTES",
    "KEY_BYTES",
    "RECORDS_PER_EPOCH",
    "DataKey",
    "InvalidTag",
    "derive_index_key",
    "keyed_hash",
]
