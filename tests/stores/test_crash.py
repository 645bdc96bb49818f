"""`kill -9` in the middle of writes loses nothing that was acknowledged, and leaves nothing by halves."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.keys.rings import REPOSITORY
from tests.stores.houses import ALPHA, house_in, scope_of
from tests.stores.places import POSTGRES, settings_in

# The other two placements have the same statements; what differs is where they are sent.
CASES = [(kind, seconds) for kind in ("sqlite", "postgres") for seconds in (0.05, 0.31, 0.77)]
CASES += [("postgres-schemas", 0.31), ("postgres-databases", 0.31)]


@pytest.mark.parametrize(("kind", "seconds"), CASES)
def test_kill_9_loses_no_acknowledged_record(tmp_path: Path, kind: str, seconds: float) -> None:
    lose_none(tmp_path, kind, seconds)


@pytest.mark.soak
@pytest.mark.parametrize("kind", POSTGRES)
def test_soak(tmp_path: Path, kind: str) -> None:
    for number in range(20):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        lose_none(folder, kind, 0.05 * (1 + number))


def lose_none(tmp_path: Path, kind: str, seconds: float) -> None:
    """Kill a writer so long after its first word, and look for everything that it said was kept."""
    if kind in POSTGRES:
        settings_in(tmp_path, kind)  # this process's server, and not one of the writer's
    with subprocess.Popen(
        [sys.executable, "-m", "tests.stores.writer", str(tmp_path), kind],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline())]
        time.sleep(seconds)
        writer.kill()
        said += [int(line) for line in writer.stdout if line.endswith("\n")]
    last = said[-1]

    async def main() -> None:
        async with house_in(tmp_path, kind) as house:
            scope, stores = scope_of(ALPHA), house.stores
            for number in range(last + 3):
                agent = f"agent-{number}"
                page = await stores.memory.list_notes(scope, agent)
                assert [note.text for note in page.items] == [f"note {number}"]
                assert (await stores.memory.search(scope, agent, "t")).items == page.items
            conversation = await stores.conversations.get(scope, "conv-1")
            page_of_messages = await stores.conversations.messages(scope, "conv-1", limit=100, backwards=True)
            contents = {message.content for message in page_of_messages.items}
            assert f"message {last}" in contents
            assert conversation.messages >= last // 3 + 1
            if conversation.messages <= 100:
                assert len(contents) == conversation.messages
            assert house.alarms == []

    asyncio.run(main())
