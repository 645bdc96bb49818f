"""Chroma itself, the server of the wheel `chromadb`: one for each test process, started when it is first asked for."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.engines.child import Child, free_port

__all__ = ["ChromaServer", "chroma_server"]


class ChromaServer:
    """A running server on a free port of 127.0.0.1."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command: list[str | Path] = [Path(sys.executable).with_name("chroma"), "run", "--path", directory / "data"]
        self._child = Child([*command, "--host", "127.0.0.1", "--port", str(self.port)], directory / "log")
        self._child.wait_until_up(lambda: self.ask("GET", "/version")[0] == 200)
        atexit.register(self.stop)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        """What the bare server answers to anybody who asks, beside partywall; status 0 for nothing."""
        request = urllib.request.Request(  # noqa: S310 - our own address
            f"{self.url}/api/v2{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - our own address
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, None

    def stop(self) -> None:
        """End it."""
        self._child.kill()
        shutil.rmtree(self._directory, ignore_errors=True)


@functools.cache
def chroma_server() -> ChromaServer:
    """The server of this process; it ends with the process."""
    return ChromaServer(Path(tempfile.mkdtemp(prefix="partywall-chroma-")))
