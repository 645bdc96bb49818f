"""From a text to the fingerprints that are stored and compared.

Promises: a fingerprint is 64 bits of AES-256 of a run's hash, under keys of the deployment. To whoever has a store but
no key, equal runs are equal and nothing else can be told or tried.

Doesn't promise: anything against whoever has the key: passages can then be guessed and compared.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from partywall.detection.fingerprints.winnowing import chosen
from partywall.detection.grams import Grams, Hashes
from partywall.detection.normal import codes_of
from partywall.keys import blind

__all__ = ["Printer", "Prints"]


class Prints(NamedTuple):
    """Fingerprints, and at which normalised character the run of each begins."""

    values: Hashes
    places: NDArray[np.int64]


class Printer:
    """Makes fingerprints under one deployment's key of 32 bytes."""

    __slots__ = ("_blinding", "grams")

    def __init__(self, key: bytes) -> None:
        self.grams = Grams(key)
        self._blinding = hashlib.blake2b(b"partywall/fingerprints/v1", key=key, digest_size=32).digest()

    def of_text(self, text: str) -> Hashes:
        """What to store for a document: its fingerprints, each once, in ascending order."""
        return np.unique(self.of_hashes(self.grams.of(codes_of(text)).long).values)

    def of_hashes(self, hashes: Hashes) -> Prints:
        """The fingerprints of the chosen among a text's runs."""
        places = chosen(hashes)
        blocks = np.zeros((len(places), 2), np.uint64)
        blocks[:, 0] = hashes[places]
        images = np.frombuffer(blind(self._blinding, blocks.tobytes()), np.uint64)
        return Prints(images[::2], places)
