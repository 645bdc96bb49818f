"""The other process, which destroys a tenant's key: `python -m bench.keys.destroyer`, told what to do on its input.

A line with a `Setting`, answered by `ready`; any other line, and the key of `alpha` is destroyed, answered by when that
began and ended (CLOCK_MONOTONIC, which processes share). And so on, until the input ends.
"""

from __future__ import annotations

import asyncio
import sys
import time

import orjson

from bench.keys.rings import ALPHA, Setting
from partywall.keys import KeyAlarm, KeyRing

__all__: list[str] = []


async def _destroy(setting: Setting) -> None:
    heard: list[KeyAlarm] = []
    async with KeyRing.open(setting.key_ring(hold_seconds=60), "operator", heard.append) as ring:
        _say(b"ready")
        await asyncio.to_thread(sys.stdin.buffer.readline)
        began = time.monotonic()
        receipt = await ring.life.destroy(ALPHA, who="an operator")
        times = {"began": began, "ended": time.monotonic(), "root_confirmed": receipt.root_confirmed}
        _say(orjson.dumps(times))


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    while line := sys.stdin.buffer.readline():
        asyncio.run(_destroy(Setting.from_line(line)))
