"""A process that adds documents and says so, until it is killed; or that searches, and says what it finds."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.stores.houses import ALPHA, house_in, scope_of


def document(number: int) -> bytes:
    """Three pieces, all of which say which document they are of."""
    return " ".join([f"refund version{number} ."] * 150).encode()


async def add(folder: Path) -> None:
    async with house_in(folder) as house:
        number = 0
        while True:
            await house.stores.documents.add(scope_of(ALPHA), name=f"d{number % 3}", data=document(number))
            sys.stdout.write(f"{number}\n")  # acknowledged
            sys.stdout.flush()
            number += 1


async def search(folder: Path) -> None:
    """A line for each line that comes: the documents that are found, after a search that had an index open."""
    async with house_in(folder) as house:
        for _ in sys.stdin:
            hits = await house.stores.documents.search(scope_of(ALPHA), "refund", k=50)
            sys.stdout.write(" ".join(sorted({hit.text.split("version")[1].split()[0] for hit in hits})) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run({"add": add, "search": search}[sys.argv[1]](Path(sys.argv[2])))
