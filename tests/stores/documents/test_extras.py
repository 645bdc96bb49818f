"""The libraries of the extra `documents`: not imported before they are needed, and missed in plain words."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from tests.stores.houses import ALPHA, scope_of

from partywall.errors import ConfigError, StoreUnavailable
from partywall.stores.documents import extras
from partywall.stores.documents.embedding import checked
from partywall.stores.documents.wordllama import WordLlamaEmbedder
from partywall.tenancy import TenantScope

A = scope_of(ALPHA)


def test_the_stores_are_imported_without_them() -> None:
    program = (
        "import sys, partywall.stores, partywall.platform\n"
        "print([name for name in ('numpy', 'wordllama', 'pypdf', 'selectolax', 'markdown_it') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_missing_is_named_with_what_to_install() -> None:
    extras.require("numpy", "wordllama")
    with pytest.raises(ConfigError, match=r"`no_such_module`.*partywall\[documents\]"):
        extras.require("numpy", "no_such_module")


def test_the_offline_model_is_the_same_whatever_else_is_embedded() -> None:
    """And loading it leaves the process's logging alone, which its package would configure."""
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level

    async def main() -> None:
        embedder = WordLlamaEmbedder()
        texts = ["refunds", "a much longer text about something else " * 40, "", "\U0001f600 caf\u00e9"]
        together = await checked(embedder, A, texts)
        for text, row in zip(texts, together, strict=True):
            assert np.array_equal((await checked(embedder, A, [text]))[0], row)
        assert together.shape == (4, embedder.dimensions)
        assert not together[2].any()

    asyncio.run(main())
    assert (list(logging.getLogger().handlers), logging.getLogger().level) == (handlers, level)


WRONG: dict[str, Any] = {
    "another type": np.zeros((1, 4), np.float64),
    "another length": np.zeros((1, 3), np.float32),
    "too many": np.zeros((2, 4), np.float32),
    "not normal": np.full((1, 4), 2, np.float32),
    "no numbers": np.full((1, 4), np.nan, np.float32),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_an_embedder_promises_is_checked(what: str) -> None:
    class Wrong:
        name, dimensions = "wrong", 4

        async def embed(self, scope: TenantScope, texts: object) -> Any:
            return WRONG[what]

    with pytest.raises(StoreUnavailable):
        asyncio.run(checked(Wrong(), A, ["text"]))
