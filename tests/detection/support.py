"""Texts for tests, and a reference model of what passages two texts share."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise

from partywall.detection.normal import normalised

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def prose(rng: random.Random, characters: int) -> str:
    """Made-up words, none of which stands anywhere else."""
    text = ""
    while len(text) < characters:
        text += "".join(rng.choice(ALPHABET) for _ in range(rng.randrange(2, 11))) + rng.choice(
            (" ", " ", " ", ", ", ". ")
        )
    return text[:characters]


def disguised(rng: random.Random, text: str) -> str:
    """The same normalised characters in other clothes."""
    pieces = []
    for character in text:
        form = rng.randrange(6)
        if form == 0:
            character = character.upper()
        elif form == 1 and character.isascii() and character.isalnum():
            character = chr(ord(character) + 0xFEE0)
        elif form == 2:
            character += "\u200b"
        elif form == 3:
            character += rng.choice((" ", "\n\n", "-", "*", "\N{COMBINING ACUTE ACCENT}", "\N{GRINNING FACE}"))
        pieces.append(character)
    return "".join(pieces)


def cut(text: str, places: Iterable[int]) -> list[str]:
    at = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(at)]


def longest_shared(one: str, other: str) -> int:
    """The length of the longest run of normalised characters in both. Slow and plain."""
    a, b = normalised(one), normalised(other)
    best, row = 0, [0] * (len(b) + 1)
    for x in a:
        last = 0
        for index, y in enumerate(b, 1):
            last, row[index] = row[index], last + 1 if x == y else 0
            best = max(best, row[index])
    return best
