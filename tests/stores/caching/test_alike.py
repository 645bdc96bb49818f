"""The threshold, measured: how many pairs that mean the same are found, and that none is that doesn't."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from tests.stores.caching.pairs import HELD_OUT, SAME, TRAPS
from tests.stores.caching.worlds import CIRCUMSTANCES, RULE, kept
from tests.stores.houses import House, house_in, scope_of

from partywall.config.platform import Cache
from partywall.stores.caching import Question, alike
from partywall.stores.documents.wordllama import WordLlamaEmbedder

A = scope_of("alpha")
CONTEXT = (
    "I work in the finance department of a company that sells garden furniture, and my manager asked me to look into "
    "this question carefully, because a customer complained about the slow reply of our support team last summer. "
)
"""In a text as long as this, one word moves the vector very little."""


async def _matches(house: House, one: str, other: str) -> bool:
    cache, rule = house.stores.cache, RULE._replace(semantic=True, threshold=Cache().threshold)
    rest = repr((one, other))  # a partition of its own
    asked = await cache.place(A, Question(CIRCUMSTANCES, f"{rest}/1", rest, one), rule)
    await cache.keep(A, asked, rule, kept("answer"))
    found = await cache.find(A, await cache.place(A, Question(CIRCUMSTANCES, f"{rest}/2", rest, other), rule), rule)
    assert found is None or not found.exact
    return found is not None


def test_nothing_matches_that_must_not_and_what_means_the_same_mostly_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        async with house_in(tmp_path, "memory") as house:
            embedder = WordLlamaEmbedder()
            house.stores.cache.embed_with(lambda _scope: embedder)
            traps = TRAPS + [(CONTEXT + one, CONTEXT + other) for one, other in TRAPS]
            traps += [(other, one) for one, other in TRAPS]
            traps += HELD_OUT
            false = [pair for pair in traps if await _matches(house, *pair)]
            return false, [pair for pair in SAME if await _matches(house, *pair)]

    false, hits = asyncio.run(main())
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(false)} of {3 * len(TRAPS) + len(HELD_OUT)} false hits, {len(hits)} of {len(SAME)} hits "
        )
    assert false == []
    assert len(hits) >= len(SAME) // 2


def test_words_alone_would_not_do() -> None:
    """The reason for the guards: what a vector says of these pairs is that they are the same."""

    async def main() -> int:
        embedder, blind = WordLlamaEmbedder(), 0
        for pair in TRAPS:
            one, other = await embedder.embed(A, pair)
            blind += float(one @ other) >= Cache().threshold
        return blind

    assert asyncio.run(main()) >= len(TRAPS) // 4


@pytest.mark.parametrize(("one", "other"), HELD_OUT)
def test_the_guards_alone_refuse(one: str, other: str) -> None:
    """However near the vectors are: no model is asked here."""
    assert not alike(one, other)
    assert not alike(other, one)


@pytest.mark.parametrize(("one", "other"), SAME[:4])
def test_alike_is_the_same_both_ways(one: str, other: str) -> None:
    assert alike(one, other) == alike(other, one)
    assert alike(one, one)
