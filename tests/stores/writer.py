"""A process that appends and says so, until it is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.stores.houses import ALPHA, house_in, scope_of


async def main(folder: Path, kind: str) -> None:
    scope = scope_of(ALPHA)
    async with house_in(folder, kind) as house:
        number = 0
        while True:
            numbers = range(number, number + 3)
            await asyncio.gather(
                *(house.stores.memory.add(scope, f"agent-{n}", f"note {n}", tags=["t"]) for n in numbers),
                house.stores.conversations.append(scope, "conv-1", role="user", content=f"message {number}"),
            )
            sys.stdout.write(f"{number}\n")  # acknowledged: everything up to here was committed
            sys.stdout.flush()
            number += 3


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
