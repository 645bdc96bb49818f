"""LiteLLM's proxy in an environment of its own, with the settings its documentation advises for production."""

from __future__ import annotations

import json
import venv
from pathlib import Path

from bench.gateways.base import CACHE, Gateway, Launch, output_of
from bench.wire import MODEL

__all__ = ["LiteLLM"]

# Pinned: a benchmark must not run whatever was uploaded last. uvicorn takes httptools when it is there; it is faster.
_REQUIREMENTS = ("litellm[proxy]==1.106.2", "httptools")
_HOME = CACHE / "litellm"
_MASTER_KEY = "sk-bench-litellm"


class LiteLLM(Gateway):
    """Master key only: virtual keys would need a PostgreSQL server, and cost more."""

    name = "LiteLLM proxy"
    does = "one master key; no tenants, no tool policy, no record (logging and callbacks off)"
    start_seconds = 90.0

    def prepare(self) -> None:
        if not (_HOME / "bin" / "litellm").exists():
            venv.create(_HOME, with_pip=True, clear=True)
            output_of([str(_HOME / "bin" / "pip"), "install", "-q", *_REQUIREMENTS], seconds=600)
        self.version()

    def version(self) -> str:
        code = "from importlib.metadata import version; print(version('litellm'))"
        return output_of([str(_HOME / "bin" / "python"), "-c", code])

    def launch(self, port: int, upstream_port: int, directory: Path) -> Launch:
        upstream = {
            "model": f"openai/{MODEL}",
            "api_base": f"http://127.0.0.1:{upstream_port}/v1",
            "api_key": "sk-bench-upstream",
        }
        config = {
            "model_list": [{"model_name": MODEL, "litellm_params": upstream}],
            "litellm_settings": {"set_verbose": False, "callbacks": [], "num_retries": 0, "request_timeout": 60},
            "general_settings": {"master_key": _MASTER_KEY, "disable_spend_logs": True},
        }
        path = directory / "litellm.json.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        where = ["--config", str(path), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        env = {
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches a price list from the internet
            "LITELLM_TELEMETRY": "False",
        }
        return Launch([str(_HOME / "bin" / "litellm"), *where], env, [{"Authorization": f"Bearer {_MASTER_KEY}"}])
