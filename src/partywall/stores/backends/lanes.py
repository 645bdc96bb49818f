"""A lane for each file: its jobs run one after the other, on a few threads, with a bounded number of files open.

Promises: the event loop never waits for a disk or a lock. Each job answers its own caller and nobody else: a caller
that is cancelled takes its own answer with it (R10). A job that hasn't begun when its caller goes is never begun; one
that has is finished. A tenant with a long queue holds one thread at most, and lanes take turns.

Doesn't promise: fairness among the jobs of one file, beyond their order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from partywall.errors import StoreUnavailable

__all__ = ["Closable", "Lanes"]


class Closable(Protocol):
    """A file, open."""

    def close(self) -> None:
        """Close it."""


_File = TypeVar("_File", bound=Closable)
_Name = TypeVar("_Name")
_Result = TypeVar("_Result")


class _Job(NamedTuple, Generic[_File]):
    opening: Callable[[], _File]
    work: Callable[[_File], object]
    answer: asyncio.Future[object]


class _Lane(Generic[_Name, _File]):
    """One file: open or not, and what is to be done with it."""

    __slots__ = ("busy", "file", "jobs", "name")

    def __init__(self, name: _Name) -> None:
        self.name = name
        self.file: _File | None = None
        self.jobs: deque[_Job[_File]] = deque()
        self.busy = False


class _Done(NamedTuple, Generic[_File]):
    """What came of a job, and the file, if it is still good."""

    file: _File | None
    result: object
    error: BaseException | None


class Lanes(Generic[_Name, _File]):
    """The lanes of one backend. They belong to the event loop that uses them first."""

    def __init__(self, *, threads: int, max_open_files: int, spoils: Callable[[BaseException], bool]) -> None:
        """`spoils` tells whether a file must be opened anew after that error."""
        if not 1 <= threads <= max_open_files:
            raise ValueError("there must be a thread, and a file for each")
        self._spoils: Final = spoils
        self._threads = threads
        self._max_open = max_open_files
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="partywall-store")
        self._lanes: OrderedDict[_Name, _Lane[_Name, _File]] = OrderedDict()  # least recently used first
        self._ready: deque[_Lane[_Name, _File]] = deque()
        self._busy = 0
        self._open = 0
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()
        self._closed = False

    @property
    def open_files(self) -> int:
        """How many files are open."""
        return self._open

    async def run(self, name: _Name, opening: Callable[[], _File], work: Callable[[_File], _Result]) -> _Result:
        """Do `work` with the file of that name, which `opening` opens if it isn't.

        Raises:
            StoreUnavailable: the backend was closed.
            Whatever `opening` and `work` raise.
        """
        if self._closed:
            raise StoreUnavailable("the store was closed")
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = _Lane(name)
        self._lanes.move_to_end(name)
        # INVARIANT: an answer is set on the future that came with the job, so no caller can be given another's.
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        lane.jobs.append(_Job(opening, work, answer))
        if not lane.busy and len(lane.jobs) == 1:
            self._ready.append(lane)
        self._dispatch()
        return await answer  # type: ignore[return-value]  # the result of `work`, through a queue of many kinds

    def _dispatch(self) -> None:
        """Give threads that are free to lanes that wait, in turn."""
        while self._ready and self._busy < self._threads:
            lane = self._ready.popleft()
            while lane.jobs and lane.jobs[0].answer.done():
                lane.jobs.popleft()  # its caller was cancelled before it began
            if not lane.jobs:
                self._forget(lane)
                continue
            self._start(lane, lane.jobs.popleft())

    def _start(self, lane: _Lane[_Name, _File], job: _Job[_File]) -> None:
        victim = None
        if lane.file is None:
            victim = self._victim()
            self._open += 1
        lane.busy = True
        self._busy += 1
        self._idle.clear()
        loop = asyncio.get_running_loop()
        future = self._pool.submit(_do, lane.file, victim, job.opening, job.work, self._spoils)
        future.add_done_callback(lambda done: loop.call_soon_threadsafe(self._finish, lane, job, done.result()))

    def _victim(self) -> _File | None:
        """The file to close before another one is opened; None while there is room.

        INVARIANT: fewer lanes are busy than there are threads, and there are no more threads than files may be open, so
        that one of the open files is idle whenever there is no room.
        """
        if self._open < self._max_open:
            return None
        for name, lane in self._lanes.items():
            if lane.file is not None and not lane.busy:
                file, lane.file = lane.file, None
                self._open -= 1
                if not lane.jobs:
                    del self._lanes[name]
                return file
        raise AssertionError("every open file is busy, and a thread was free")

    def _finish(self, lane: _Lane[_Name, _File], job: _Job[_File], done: _Done[_File]) -> None:
        lane.busy = False
        self._busy -= 1
        lane.file = done.file
        if done.file is None:
            self._open -= 1
        if not job.answer.done():
            if done.error is not None:
                job.answer.set_exception(done.error)
            else:
                job.answer.set_result(done.result)
        if lane.jobs:
            self._ready.append(lane)
        else:
            self._forget(lane)
        self._dispatch()
        if not self._busy:
            self._idle.set()

    def _forget(self, lane: _Lane[_Name, _File]) -> None:
        """Drop a lane that holds nothing, so that what is remembered is bounded by the open files."""
        if lane.file is None and not lane.busy and not lane.jobs and self._lanes.get(lane.name) is lane:
            del self._lanes[lane.name]

    async def aclose(self) -> None:
        """Refuse what comes, finish what has begun or waits, and close every file."""
        self._closed = True
        while self._busy or self._ready:
            await self._idle.wait()
        lanes = list(self._lanes.values())
        self._lanes.clear()
        files = [lane.file for lane in lanes if lane.file is not None]
        self._open = 0
        await asyncio.get_running_loop().run_in_executor(self._pool, _close_all, files)
        self._pool.shutdown(wait=True)


def _do(
    file: _File | None,
    victim: _File | None,
    opening: Callable[[], _File],
    work: Callable[[_File], object],
    spoils: Callable[[BaseException], bool],
) -> _Done[_File]:
    """On a thread: close the victim, open the file if need be, do the work."""
    if victim is not None:
        _close_all([victim])
    try:
        if file is None:
            file = opening()
        return _Done(file, work(file), None)
    except Exception as error:  # noqa: BLE001 - handed to the caller who waits for this job
        if file is not None and spoils(error):
            _close_all([file])
            file = None
        return _Done(file, None, error)


def _close_all(files: list[_File]) -> None:
    for file in files:
        with contextlib.suppress(Exception):  # nothing of ours is lost: what was committed is in the file or its log
            file.close()
