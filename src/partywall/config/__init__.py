"""The document: one strict YAML file, its places, its model, and what this build can honour of it."""

from partywall.config.document import Document
from partywall.config.loading import DocumentInvalid, Loaded, load, load_bytes
from partywall.config.watch import DocumentChanged, DocumentUnreadable, DocumentWatcher

__all__ = [
    "Document",
    "DocumentChanged",
    "DocumentInvalid",
    "DocumentUnreadable",
    "DocumentWatcher",
    "Loaded",
    "load",
    "load_bytes",
]
