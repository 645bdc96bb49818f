"""How long after a tenant's key was taken away it was last used, and whether the neighbour noticed.

Two tenants, each with a root key of its own in the same engine, seal and open a record every few milliseconds. Then
`alpha`'s key is taken away: destroyed by another process on the same key store, or refused by its root. The clock runs
from the moment at which that was asked for, so that what the act itself takes counts too.

Promises: the watch goes on after the first refusal, so that a key that comes back would show.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from bench.children import ChildFailed
from bench.keys.engines import RootKind
from bench.keys.rings import ALPHA, BETA, Setting, scope_of
from bench.machine import ROOT
from bench.session import Session
from partywall.errors import PartywallError
from partywall.keys import KeyAlarm, KeyRing, Store, StoreKeys
from partywall.tenancy import TenantId

__all__ = ["HELD_SECONDS", "PUSH_SECONDS", "Revocation", "Seen", "Trial", "measure_revocation"]

HELD_SECONDS: Final = 2.0
"""`hold_seconds` where a root refuses: what is promised there. The default is a minute."""
PUSH_SECONDS: Final = 1.0
"""What is promised where the key is destroyed on the same key store, however long keys are held."""
_LONG_HOLD_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.002
_WATCH_ON_SECONDS: Final = 1.0  # twice as long as a root that refused is left alone
_PATIENCE_SECONDS: Final = 5.0


@dataclass(slots=True)
class Seen:
    """What happened to one tenant's uses. Times are of `time.monotonic()`."""

    successes: int = 0
    last_success: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)
    after_refusal: int = 0
    """Successes that came after a refusal."""

    def succeed(self, now: float) -> None:
        self.successes += 1
        self.last_success = now
        self.after_refusal += bool(self.refused)


@dataclass(frozen=True, slots=True)
class Trial:
    """One revocation: seconds from it to the last success, and what both tenants saw."""

    seconds: float
    victim: Seen
    neighbour: Seen

    @classmethod
    def of(cls, revoked: float, victim: Seen, neighbour: Seen) -> Trial:
        """A last success before the revocation counts as one in the same moment."""
        return cls(max(0.0, victim.last_success - revoked), victim, neighbour)


@dataclass(frozen=True, slots=True)
class Revocation:
    """One way to take a key away, tried several times. `promised_seconds` is when its last use is promised."""

    root: str
    how: str
    held_seconds: float
    promised_seconds: float
    trials: Sequence[Trial]

    @property
    def longest(self) -> float:
        return max(trial.seconds for trial in self.trials)

    @property
    def shortest(self) -> float:
        return min(trial.seconds for trial in self.trials)

    @property
    def neighbour_uses(self) -> int:
        return sum(trial.neighbour.successes for trial in self.trials)

    @property
    def neighbour_errors(self) -> int:
        return sum(trial.neighbour.refused.total() for trial in self.trials)

    @property
    def refused_with(self) -> list[str]:
        return sorted({name for trial in self.trials for name in trial.victim.refused})

    @property
    def came_back(self) -> bool:
        """Whether a use succeeded after a refusal."""
        return any(trial.victim.after_refusal for trial in self.trials)

    def data(self) -> dict[str, object]:
        """The figures for programs."""
        return {
            "root": self.root,
            "how": self.how,
            "hold_seconds": self.held_seconds,
            "last_success_seconds": [round(trial.seconds, 4) for trial in self.trials],
            "refused_with": self.refused_with,
            "neighbour_uses": self.neighbour_uses,
            "neighbour_errors": self.neighbour_errors,
            "faults": self.faults(),
        }

    def faults(self) -> list[str]:
        """What is not as promised, in sentences; empty when all is well."""
        what = f"{self.root}, {self.how}"
        found = []
        if not all(trial.victim.refused for trial in self.trials):
            found.append(f"{what}: the key was still used when the watch ended.")
        if self.came_back:
            found.append(f"{what}: the key was used again after a refusal.")
        if self.longest > self.promised_seconds:
            found.append(f"{what}: last used after {self.longest:.2f} s, {self.promised_seconds:g} s are promised.")
        if self.neighbour_errors:
            found.append(f"{what}: the neighbour was refused {self.neighbour_errors} times.")
        if not all(trial.neighbour.successes for trial in self.trials):
            found.append(f"{what}: the neighbour was not served at all.")
        return found


Revoke = Callable[[], Awaitable[float]]
"""Takes the key away; returns when it began to."""


def measure_revocation(session: Session, kinds: Sequence[RootKind]) -> list[Revocation]:
    """Every root, each way, as often as the session has rounds.

    Raises:
        ChildFailed: the process that destroys keys ended or does not answer.
    """
    return asyncio.run(_measure(session, kinds))


async def _measure(session: Session, kinds: Sequence[RootKind]) -> list[Revocation]:
    found = []
    async with _destroyer(session) as destroyer:
        for kind in kinds:
            found.append(await _destroyed(session, kind, destroyer))
            found += [await _refused(session, kind, how) for how in kind.revocations]
    return found


async def _destroyed(session: Session, kind: RootKind, destroyer: _Destroyer) -> Revocation:
    trials = []
    for number in range(session.rounds):
        setting = _setting(session, kind, f"destroyed-{number}")
        await destroyer.get_ready(setting)
        # The moment wanders through the quarter second that a look at the key store is good for.
        trial = await _watch(setting, destroyer.destroy, held_seconds=_LONG_HOLD_SECONDS, after=0.5 + 0.09 * number)
        trials.append(trial)
        session.say(f"{kind.name} · destroyed by another process: last success after {trial.seconds:.3f} s")
    return Revocation(kind.name, "destroyed by another process", _LONG_HOLD_SECONDS, PUSH_SECONDS, trials)


async def _refused(session: Session, kind: RootKind, how: str) -> Revocation:
    trials = []
    for number in range(session.rounds):
        setting = _setting(session, kind, f"{how}-{number}".replace(" ", "-"))

        async def revoke(setting: Setting = setting) -> float:
            began = time.monotonic()
            await asyncio.to_thread(kind.revocations[how], setting.own[ALPHA])
            return began

        # The first comes right after an unwrap, which is the worst moment; the others are spread over the hold.
        after = HELD_SECONDS * number / session.rounds
        trial = await _watch(setting, revoke, held_seconds=HELD_SECONDS, after=after)
        trials.append(trial)
        session.say(f"{kind.name} · {how}: last success after {trial.seconds:.3f} s")
    return Revocation(kind.name, how, HELD_SECONDS, HELD_SECONDS, trials)


def _setting(session: Session, kind: RootKind, name: str) -> Setting:
    folder = session.folder("revocation") / kind.name.replace(" ", "-") / name
    return Setting.in_files(folder, {ALPHA: kind.new_place(), BETA: kind.new_place()})


async def _watch(setting: Setting, revoke: Revoke, *, held_seconds: float, after: float) -> Trial:
    """Use both keys, revoke one `after` so many seconds, and go on for a while after it is refused."""
    victim, neighbour, stop = Seen(), Seen(), asyncio.Event()
    heard: list[KeyAlarm] = []
    async with KeyRing.open(setting.key_ring(hold_seconds=held_seconds), "gateway", heard.append) as ring:
        memory = ring.store(Store.MEMORY)
        for tenant in (BETA, ALPHA):
            await ring.ensure(tenant, who="bench")
        async with asyncio.TaskGroup() as group:
            group.create_task(_use(memory, ALPHA, victim, stop))
            group.create_task(_use(memory, BETA, neighbour, stop))
            await asyncio.sleep(after)
            revoked = await revoke()
            give_up = time.monotonic() + held_seconds + _PATIENCE_SECONDS
            while not victim.refused and time.monotonic() < give_up:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(_PAUSE_SECONDS)
            await asyncio.sleep(_WATCH_ON_SECONDS)
            stop.set()
    return Trial.of(revoked, victim, neighbour)


async def _use(keys: StoreKeys, tenant: TenantId, seen: Seen, stop: asyncio.Event) -> None:
    scope = scope_of(tenant)
    while not stop.is_set():
        try:
            sealed = await keys.seal(scope, "note", "n", b"x")
            await keys.open(scope, "note", "n", sealed)
        except PartywallError as error:
            seen.refused[type(error).__name__] += 1
        else:
            seen.succeed(time.monotonic())
        await asyncio.sleep(_PAUSE_SECONDS)


# -- The other process ------------------------------------------------------------------------------------------------


class _Destroyer:
    """`bench.keys.destroyer`, running."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def get_ready(self, setting: Setting) -> None:
        await self._ask(setting.to_line())

    async def destroy(self) -> float:
        return float(orjson.loads(await self._ask(b"go\n"))["began"])

    async def _ask(self, line: bytes) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line)
        async with asyncio.timeout(30):
            answer = await self._process.stdout.readline()
        if not answer:
            raise ChildFailed(f"the destroyer ended: {self._log.read_text(encoding='utf-8')[-300:]}")
        return answer


@asynccontextmanager
async def _destroyer(session: Session) -> AsyncIterator[_Destroyer]:
    log = session.folder("destroyer") / "output.log"
    pinned = [sys.executable, "-I", "-S", str(ROOT / "bench" / "pinned.py"), str(session.cores.gateway)]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *pinned,
            *(sys.executable, "-m", "bench.keys.destroyer"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            cwd=ROOT,
        )
    try:
        yield _Destroyer(process, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
