"""Portkey's open-source gateway, from npm."""

from __future__ import annotations

import json
from pathlib import Path

from bench.gateways.base import CACHE, Gateway, Launch, output_of

__all__ = ["Portkey"]

_PACKAGE = {
    "private": True,
    "dependencies": {"@portkey-ai/gateway": "1.15.2"},
    # With later ones its streams fail ("TypeError: immutable"): github.com/Portkey-AI/gateway/issues/1389
    "overrides": {"@hono/node-server": "1.14.1"},
}
_HOME = CACHE / "portkey"
_INSTALLED = _HOME / "node_modules" / "@portkey-ai" / "gateway"
# It listens on every interface and has no option for that; a benchmark has no business there.
_LOOPBACK_ONLY = """\
const { Server } = require("node:net");
const listen = Server.prototype.listen;
Server.prototype.listen = function (port, ...rest) {
  if (port !== null && typeof port === "object") return listen.call(this, { ...port, host: "127.0.0.1" }, ...rest);
  return listen.call(this, port, "127.0.0.1", ...rest.filter((argument) => typeof argument === "function"));
};
"""


class Portkey(Gateway):
    """Run without its console (`--headless`)."""

    name = "Portkey gateway"
    does = "no client authentication, no tenants, no record: the caller brings the upstream and its key"
    start_seconds = 30.0

    def prepare(self) -> None:
        if not _INSTALLED.exists():
            _HOME.mkdir(parents=True, exist_ok=True)
            (_HOME / "package.json").write_text(json.dumps(_PACKAGE), encoding="utf-8")
            flags = ["--prefix", str(_HOME), "--ignore-scripts", "--no-audit", "--no-fund"]
            output_of(["npm", "install", *flags], seconds=300)
        output_of(["node", "--version"])

    def version(self) -> str:
        found: str = json.loads((_INSTALLED / "package.json").read_text(encoding="utf-8"))["version"]
        return f"{found} on node {output_of(['node', '--version'])}"

    def launch(self, port: int, upstream_port: int, directory: Path) -> Launch:
        hook = directory / "loopback.cjs"
        hook.write_text(_LOOPBACK_ONLY, encoding="utf-8")
        program = str(_INSTALLED / "build" / "start-server.js")
        caller = {
            "Authorization": "Bearer sk-bench-upstream",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://127.0.0.1:{upstream_port}/v1",
        }
        env = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}
        return Launch(["node", "--require", str(hook), program, "--headless", f"--port={port}"], env, [caller])
