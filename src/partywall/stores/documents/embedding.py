"""What turns text into vectors: the interface, and who chooses.

Promises: a collection is searched with the model that its documents were embedded with, or the search is refused. An
embedder is asked on behalf of a scope, so that one which calls an upstream uses that tenant's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from partywall.errors import StoreUnavailable
from partywall.tenancy import TenantScope

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors: TypeAlias = npt.NDArray[np.float32]

__all__ = ["Embedder", "EmbedderOf", "checked"]


class Embedder(Protocol):
    """A model of text."""

    @property
    def name(self) -> str:
        """Which model, and which version of it: two of the same name give the same vectors."""

    @property
    def dimensions(self) -> int:
        """How many numbers a vector has."""

    async def embed(self, scope: TenantScope, texts: Sequence[str]) -> Vectors:
        """A row of float32 for each text, of length 1 (or 0, for a text without meaning to the model).

        Raises:
            UpstreamUnavailable, StoreUnavailable: it can't be had now.
        """


_ROUNDING: Final = 2e-3
"""Of the square of a length, in float32."""

EmbedderOf: TypeAlias = Callable[[TenantScope], Embedder]
"""Whose model a tenant uses."""


async def checked(embedder: Embedder, scope: TenantScope, texts: Sequence[str]) -> Vectors:
    """What the embedder makes of the texts, if that is what it promised.

    Raises:
        StoreUnavailable: it is of another shape or length.
    """
    import numpy as np  # noqa: PLC0415 - of the extra `documents`; whoever has an embedder has it

    vectors = await embedder.embed(scope, texts)
    if vectors.dtype != np.float32 or vectors.shape != (len(texts), embedder.dimensions):
        raise StoreUnavailable(f"the embedder `{embedder.name}` returned {vectors.dtype} of shape {vectors.shape}")
    squares = np.vecdot(vectors, vectors).tolist()
    if not all(abs(square - 1.0) < _ROUNDING or square == 0.0 for square in squares):
        raise StoreUnavailable(f"the embedder `{embedder.name}` returned vectors that aren't of length 1")
    return vectors
