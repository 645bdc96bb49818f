"""Two processes on one data directory, and one that is killed in the middle."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.keys.rings import REPOSITORY
from tests.stores.documents.adder import document
from tests.stores.houses import ALPHA, house_in, scope_of

from partywall.stores.documents.staging import STALE_SECONDS

A = scope_of(ALPHA)


def child(what: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.stores.documents.adder", what, str(folder)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("seconds", [0.02, 0.2])
def test_kill_9_leaves_every_document_whole(tmp_path: Path, seconds: float) -> None:
    """What was acknowledged is found; of what wasn't, all or nothing; and in the end nothing of it lies there."""
    with child("add", tmp_path) as adder:
        assert adder.stdout is not None
        said = [int(adder.stdout.readline()) for _ in range(4)]
        time.sleep(seconds)
        adder.kill()
        said += [int(line) for line in adder.stdout if line.endswith("\n")]
    last = said[-1]

    async def main() -> None:
        async with house_in(tmp_path) as house:
            documents = house.stores.documents
            hits = await documents.search(A, "refund", k=50)
            by_name: dict[str, set[int]] = {}
            for hit in hits:
                by_name.setdefault(hit.document_name, set()).update(
                    int(number) for number in re.findall(r"version(\d+)", hit.text)
                )
            assert sorted(by_name) == ["d0", "d1", "d2"]
            assert all(len(versions) == 1 for versions in by_name.values())
            assert by_name[f"d{last % 3}"] == {last}
            listed = (await documents.list_documents(A)).items
            assert sum(each.chunks for each in listed) == len(hits)
            # Whoever begins again ends with exactly what an undisturbed tenant has.
            house.now += STALE_SECONDS + 1
            undisturbed = scope_of("beta")
            for number in range(3):
                await documents.add(A, name=f"d{number}", data=document(number))
                await documents.add(undisturbed, name=f"d{number}", data=document(number))
            counts = [await house.backend.partition(each.tenant, "documents").count() for each in (A, undisturbed)]
            assert counts[0] == counts[1]
            assert house.alarms == []

    asyncio.run(main())


def test_another_process_s_change_is_seen_by_the_next_search(tmp_path: Path) -> None:
    async def main() -> None:
        async with house_in(tmp_path) as house:
            documents = house.stores.documents
            await documents.add(A, name="d", data=document(0))
            with child("search", tmp_path) as searcher:
                assert searcher.stdin is not None
                assert searcher.stdout is not None

                def found() -> str:
                    searcher.stdin.write("now\n")  # type: ignore[union-attr]  # asserted above
                    searcher.stdin.flush()  # type: ignore[union-attr]  # likewise
                    return searcher.stdout.readline().strip()  # type: ignore[union-attr]  # likewise

                assert await asyncio.to_thread(found) == "0"
                made = await documents.add(A, name="d", data=document(1))
                assert await asyncio.to_thread(found) == "1"
                await documents.add(A, name="e", data=document(2))
                assert await asyncio.to_thread(found) == "1 2"
                await documents.delete(A, made.id)
                assert await asyncio.to_thread(found) == "2"
                # Made anew, with as many changes behind it as the one that the other process knows.
                await documents.delete_collection(A, "default")
                for number in range(4):
                    await documents.add(A, name=f"{number}", data=document(3 + number))
                assert await asyncio.to_thread(found) == "3 4 5 6"
                searcher.stdin.close()

    asyncio.run(main())
