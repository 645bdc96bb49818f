"""Which model turns documents into vectors."""

from __future__ import annotations

from pydantic import Field

from partywall.config.base import Name, Section

__all__ = ["Embedding"]


class Embedding(Section):
    """A model at one of the document's targets. Without it, the offline model of the extra `documents` is used."""

    target: Name = Field(description="The `id` of a target that answers `/v1/embeddings`.")
    model: str | None = Field(default=None, max_length=200, description="The model; the target's own if left out.")
    dimensions: int = Field(ge=1, le=8192, description="How many numbers its vectors have.")
