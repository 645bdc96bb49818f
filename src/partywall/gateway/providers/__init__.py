"""Upstream dialects: paths, credentials, cache salts, and the parrot.

`resolve` turns a document's `provider` into a `Provider`; `parrot.answer` stands in for an upstream.
"""

from partywall.gateway.providers.base import Provider, Salts, TargetLike
from partywall.gateway.providers.parrot import ParrotAnswer, answer
from partywall.gateway.providers.registry import DEFAULT_BASE_URLS, resolve

__all__ = [
    "DEFAULT_BASE_URLS",
    "ParrotAnswer",
    "Provider",
    "Salts",
    "TargetLike",
    "answer",
    "resolve",
]
