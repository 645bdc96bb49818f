"""What a document has texts scanned for, compiled.

Promises: what goes to a model elsewhere to be embedded (questions, documents, what a cache compares) is scanned in
every document that names the policy in a chain, whoever's chain that is. A document that no chain of which names
`pii-detector` costs nothing and needs no extra; one that does is refused without the extra `detection`, and when a
setting can't be used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from partywall.config.document import Document
from partywall.config.kinds import PolicyKind
from partywall.config.policy import PiiDetector
from partywall.config.routing import ChainEntry
from partywall.errors import PiiBlocked

if TYPE_CHECKING:
    from partywall.detection.pii import PiiPolicy

__all__ = ["Scanned"]


@dataclass(frozen=True, slots=True)
class Scanned:
    """`policy.pii-detector`, ready for requests and for answers."""

    requests: PiiPolicy
    answers: PiiPolicy
    """The same without `restore`: what a model makes up has no value to be put back."""

    async def outward(self, key: bytes, texts: Sequence[str]) -> list[str]:
        """Texts as they may go to a model that embeds them. `key`: the tenant's, see `PiiPolicy.request`.

        Raises:
            PiiBlocked: they hold what the document blocks.
        """
        return await asyncio.to_thread(self._cleaned, key, texts)

    def _cleaned(self, key: bytes, texts: Sequence[str]) -> list[str]:
        redaction = self.answers.request(key)
        cleaned = [redaction.redact(text) for text in texts]
        if self.answers.action == "block" and any(each.findings for each in cleaned):
            raise PiiBlocked("a text that was to be embedded elsewhere holds personal data")
        return [each.text for each in cleaned]

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
