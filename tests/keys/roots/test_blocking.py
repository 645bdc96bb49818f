"""Blocking calls have an end, whatever they do; and leave no process hanging."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from partywall.errors import KeyUnavailable
from partywall.keys.roots.blocking import BlockingCalls


def test_a_call_returns_or_raises_as_itself() -> None:
    async def main() -> None:
        calls = BlockingCalls("it", 5.0)
        assert await calls.within(calls.run(lambda: 7)) == 7
        with pytest.raises(ZeroDivisionError):
            await calls.within(calls.run(lambda: 1 // 0))
        with pytest.raises(KeyUnavailable, match="no"):
            await calls.within(calls.run(refuse))

    def refuse() -> None:
        raise KeyUnavailable("no")

    asyncio.run(main())


def test_calls_that_hang_are_left_and_take_at_most_their_seats() -> None:
    let_go, running, most = threading.Event(), 0, 0

    def hang() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        let_go.wait(20)
        running -= 1

    async def main() -> None:
        calls = BlockingCalls("it", 0.3, limit=3)
        began = time.monotonic()
        outcomes = await asyncio.gather(*(calls.within(calls.run(hang)) for _ in range(10)), return_exceptions=True)
        assert {str(outcome) for outcome in outcomes} == {"it did not answer within 0.3 s"}
        assert time.monotonic() - began < 1.3
        assert most == 3
        with pytest.raises(KeyUnavailable):
            await calls.within(calls.run(lambda: 1))  # no seat is left
        let_go.set()
        assert await calls.within(calls.run(lambda: 1)) == 1

    asyncio.run(main())


def test_a_call_cancelled_at_any_moment_gives_its_seat_back() -> None:
    async def main() -> None:
        calls = BlockingCalls("it", 5.0, limit=2)

        async def one() -> None:
            await calls.within(calls.run(lambda: time.sleep(0.001)))

        for steps in range(200):
            task = asyncio.create_task(one())
            for _ in range(steps % 20):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert await asyncio.gather(*(calls.within(calls.run(lambda: 1)) for _ in range(8))) == [1] * 8

    asyncio.run(main())


def test_a_closed_one_refuses_those_who_wait_too() -> None:
    let_go = threading.Event()

    async def main() -> None:
        calls = BlockingCalls("it", 5.0, limit=1)
        first = asyncio.create_task(calls.within(calls.run(lambda: let_go.wait(20))))
        second = asyncio.create_task(calls.within(calls.run(lambda: 1)))
        await asyncio.sleep(0.05)
        calls.close()
        let_go.set()
        assert await first
        with pytest.raises(KeyUnavailable, match="it was closed"):
            await second

    asyncio.run(main())


HANGING = """
import asyncio, time
from partywall.errors import KeyUnavailable
from partywall.keys.roots.blocking import BlockingCalls
async def main():
    calls = BlockingCalls("it", 0.2)
    try:
        await calls.within(calls.run(lambda: time.sleep(600)))
    except KeyUnavailable as error:
        print(error)
asyncio.run(main())
"""


def test_a_call_that_hangs_for_ever_does_not_keep_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "it did not answer within 0.2 s\n", "")
