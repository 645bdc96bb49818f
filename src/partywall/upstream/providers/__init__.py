"""Upstream dialects: paths, credentials, cache salts, and the parrot.

`resolve` turns a document's `provider` into a `Provider`; `parrot.answer` stands in for an upstream.
"""

from partywall.upstream.providers.base import Header, Provider, Salts, TargetLike
from partywall.upstream.providers.parrot import ParrotAnswer, answer
from partywall.upstream.providers.registry import DEFAULT_BASE_URLS, resolve

__all__ = [
    "DEFAULT_BASE_URLS",
    "Header",
    "ParrotAnswer",
    "Provider",
    "Salts",
    "TargetLike",
    "answer",
    "resolve",
]
