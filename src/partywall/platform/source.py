"""Where the document comes from, and what must hold before it may serve.

Promises: what `read` returns can be served in full. A switched-off pack, an isolation model that needs a flag, and
everything that this build can't honour are refused with their places.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from partywall.config import Document, load, load_bytes
from partywall.config.isolation import IsolationModel
from partywall.config.unbuilt import unbuilt
from partywall.errors import ConfigError
from partywall.platform.snapshot import Snapshot, compile_snapshot

__all__ = ["Source"]


@dataclass(frozen=True, slots=True)
class Source:
    """One file, and whether its isolation model may be `none`."""

    path: Path
    unsafe_without_isolation: bool = False

    def read(self, data: bytes | None = None) -> Snapshot:
        """Validate and compile the document: `data`, or what the file holds now.

        Raises:
            ConfigError: it can't be served; the message says where and why.
        """
        loaded = load(Document, self.path) if data is None else load_bytes(Document, data, self.path)
        self._refuse_unservable(loaded.document)
        return compile_snapshot(loaded.document, loaded.digest, self.path)

    def _refuse_unservable(self, document: Document) -> None:
        if not document.pack.enabled:
            raise ConfigError(f"{self.path}: `pack.enabled` is false, so there is nothing to serve")
        if document.multi_tenant.isolation_model is IsolationModel.NONE and not self.unsafe_without_isolation:
            raise ConfigError(
                f"{self.path}: `multi_tenant.isolation_model` is `none`; partywall starts with it only when told "
                "`--unsafe-without-isolation`, because refusals between tenants become alerts"
            )
        missing = [f"  {'.'.join(map(str, item.path))}: {item.message}" for item in unbuilt(document)]
        if missing:
            raise ConfigError("\n".join([f"{self.path}: asks for what this build can't do yet:", *missing]))
