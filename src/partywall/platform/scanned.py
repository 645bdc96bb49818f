"""What a document has texts scanned for, compiled.

Promises: a document that no chain of which names `pii-detector` costs nothing and needs no extra; one that does is
refused without the extra `detection`, and when a setting can't be used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from partywall.config.document import Document
from partywall.config.kinds import PolicyKind
from partywall.config.policy import PiiDetector
from partywall.config.routing import ChainEntry

if TYPE_CHECKING:
    from partywall.detection.pii import PiiPolicy

__all__ = ["Scanned"]


@dataclass(frozen=True, slots=True)
class Scanned:
    """`policy.pii-detector`, ready for requests and for answers."""

    requests: PiiPolicy
    answers: PiiPolicy
    """The same without `restore`: what a model makes up has no value to be put back."""

    @classmethod
    def of(cls, document: Document) -> Scanned | None:
        """None when no chain names the policy.

        Raises:
            ConfigError: a setting can't be used, or the extra `detection` isn't installed.
        """
        if all(entry.kind is not PolicyKind.PII_DETECTOR for entry in _entries(document)):
            return None
        from partywall.detection.pii import compile_pii  # noqa: PLC0415  # an extra, which other documents don't need

        settings = document.policy.pii_detector or PiiDetector()
        requests = compile_pii(settings)
        answers = compile_pii(settings.model_copy(update={"restore": False})) if settings.restore else requests
        return cls(requests, answers)


def _entries(document: Document) -> Iterator[ChainEntry]:
    yield from document.policies.chain
    for group in document.consumer_groups.groups:
        yield from group.chain
    for route in document.routes:
        yield from route.chain
