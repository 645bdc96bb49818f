from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from partywall.config import watch
from partywall.config.watch import DocumentChanged, DocumentUnreadable, DocumentWatcher

INTERVAL = 0.02
PATIENCE = 10.0


class Changes:
    """The changes of one watcher, collected by a task."""

    def __init__(self, watcher: DocumentWatcher) -> None:
        self.watcher = watcher
        self._queue: asyncio.Queue[DocumentChanged | DocumentUnreadable] = asyncio.Queue()

    async def collect(self) -> None:
        async for change in self.watcher.changes():
            self._queue.put_nowait(change)

    async def next(self) -> DocumentChanged | DocumentUnreadable:
        async with asyncio.timeout(PATIENCE):
            return await self._queue.get()

    async def next_data(self) -> bytes:
        change = await self.next()
        assert isinstance(change, DocumentChanged)
        assert change.digest == _digest(change.data)
        return change.data

    async def next_reason(self) -> str:
        change = await self.next()
        assert isinstance(change, DocumentUnreadable)
        return change.reason

    async def silence(self) -> None:
        """Several intervals pass without a change."""
        await asyncio.sleep(INTERVAL * 8)
        assert self._queue.empty()


@contextlib.asynccontextmanager
async def watching(path: Path, digest: str | None = None) -> AsyncIterator[Changes]:
    changes = Changes(DocumentWatcher(path, interval_seconds=INTERVAL, digest=digest))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(changes.collect())
        async with asyncio.timeout(PATIENCE):
            while changes.watcher._digest is None and not changes.watcher._reported:  # noqa: ASYNC110  # no hook there
                await asyncio.sleep(INTERVAL)
        yield changes
        task.cancel()


# Apart from the coroutines, where they would look like a mistake.


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _replace(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(path)


def _remove(path: Path) -> None:
    path.unlink()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "partywall.yaml"
    path.write_bytes(b"alpha")
    return path


def test_an_edit_in_place_is_noticed_once(path: Path) -> None:
    async def main() -> None:
        async with watching(path) as changes:
            await changes.silence()
            _write(path, b"beta")
            assert await changes.next_data() == b"beta"
            await changes.silence()

    asyncio.run(main())


def test_an_edit_that_keeps_size_and_time_is_noticed(path: Path) -> None:
    before = path.stat()

    async def main() -> None:
        async with watching(path) as changes:
            _write(path, b"ALPHA")
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            assert await changes.next_data() == b"ALPHA"

    asyncio.run(main())


def test_a_file_renamed_over_it_is_noticed(path: Path) -> None:
    async def main() -> None:
        async with watching(path) as changes:
            _replace(path, b"beta")
            assert await changes.next_data() == b"beta"

    asyncio.run(main())


def test_a_link_that_is_switched_as_kubernetes_does_is_noticed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "partywall.yaml").write_bytes(name.encode())
    (tmp_path / "..data").symlink_to("one")
    mounted = tmp_path / "partywall.yaml"
    mounted.symlink_to("..data/partywall.yaml")

    async def main() -> None:
        async with watching(mounted) as changes:
            (tmp_path / "..data_tmp").symlink_to("two")
            (tmp_path / "..data_tmp").replace(tmp_path / "..data")
            assert await changes.next_data() == b"two"

    asyncio.run(main())


def test_a_touch_or_an_equal_copy_is_no_change(path: Path) -> None:
    async def main() -> None:
        async with watching(path) as changes:
            os.utime(path)
            await changes.silence()
            _replace(path, b"alpha")
            await changes.silence()

    asyncio.run(main())


def test_what_changed_between_loading_and_watching_is_noticed(path: Path) -> None:
    async def main() -> None:
        async with watching(path, digest=_digest(b"the document in use")) as changes:
            assert await changes.next_data() == b"alpha"
        async with watching(path, digest=_digest(b"alpha")) as changes:
            await changes.silence()

    asyncio.run(main())


def test_a_file_that_vanishes_is_reported_once_and_its_return_too(path: Path) -> None:
    async def main() -> None:
        async with watching(path) as changes:
            _remove(path)
            assert "partywall.yaml" in await changes.next_reason()
            await changes.silence()
            _write(path, b"alpha")
            assert await changes.next_data() == b"alpha"
            await changes.silence()

    asyncio.run(main())


def test_what_is_no_file_is_reported_and_not_read(path: Path) -> None:
    async def main() -> None:
        async with watching(path) as changes:
            _remove(path)
            os.mkfifo(path)  # reading it would wait for a writer, in a thread that nobody can end
            reasons = [await changes.next_reason()]
            if "no regular file" not in reasons[-1]:  # it was looked at between the two
                reasons.append(await changes.next_reason())
            assert "no regular file" in reasons[-1]
            await changes.silence()

    asyncio.run(main())


def test_a_missing_file_at_the_start_is_reported_and_its_coming_too(tmp_path: Path) -> None:
    path = tmp_path / "late.yaml"

    async def main() -> None:
        async with watching(path) as changes:
            assert "late.yaml" in await changes.next_reason()
            _write(path, b"beta")
            assert await changes.next_data() == b"beta"

    asyncio.run(main())


def test_a_poke_is_answered_even_when_nothing_changed(path: Path) -> None:
    async def main() -> None:
        async with watching(path) as changes:
            changes.watcher.poke()
            change = await changes.next()
            assert change == DocumentChanged(b"alpha", _digest(b"alpha"), poked=True)
            await changes.silence()
            _remove(path)
            await changes.next_reason()
            changes.watcher.poke()
            assert await changes.next_reason()

    asyncio.run(main())


def test_a_poke_does_not_wait_for_the_interval(path: Path) -> None:
    async def main() -> None:
        watcher = DocumentWatcher(path, interval_seconds=3600)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, watcher.poke)
        changes = Changes(watcher)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(changes.collect())
            await asyncio.sleep(INTERVAL)
            _write(path, b"beta")
            os.kill(os.getpid(), signal.SIGHUP)
            assert await changes.next_data() == b"beta"
            task.cancel()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)

    asyncio.run(main())


def test_half_a_document_is_never_handed_over(path: Path) -> None:
    """A slow writer: each beginning alone would be a valid document with fewer walls."""
    watcher = DocumentWatcher(path, digest=_digest(b"alpha"))
    whole = b"".join(b"policy %d\n" % n for n in range(10))
    for end in range(1, len(whole) + 1):
        path.write_bytes(whole[:end])
        assert watcher._look() is None
    assert watcher._look() == DocumentChanged(whole, _digest(whole), poked=False)
    assert watcher._look() is None


def test_a_file_that_changes_while_it_is_read_is_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []

    def slow_read(source: Path) -> bytes:
        data = source.read_bytes()
        reads.append(source)
        if len(reads) == 2:  # the first is the baseline
            source.write_bytes(b"the whole of beta")
        return data

    monkeypatch.setattr(watch, "read", slow_read)

    async def main() -> None:
        async with watching(path) as changes:
            _write(path, b"half")
            assert await changes.next_data() == b"the whole of beta"
            changes.watcher.poke()
            assert await changes.next_data() == b"the whole of beta"

    asyncio.run(main())


def test_a_poke_during_a_write_is_answered_when_it_is_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []

    def slow_read(source: Path) -> bytes:
        data = source.read_bytes()
        reads.append(source)
        if len(reads) == 2:
            source.write_bytes(b"beta")
        return data

    monkeypatch.setattr(watch, "read", slow_read)

    async def main() -> None:
        async with watching(path) as changes:
            changes.watcher.poke()
            change = await changes.next()
            assert change == DocumentChanged(b"beta", _digest(b"beta"), poked=True)

    asyncio.run(main())


def test_watching_ends_with_its_task(path: Path) -> None:
    async def main() -> None:
        changes = Changes(DocumentWatcher(path, interval_seconds=3600))
        task = asyncio.create_task(changes.collect())
        await asyncio.sleep(INTERVAL)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
