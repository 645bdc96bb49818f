"""The upstream of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.gateway.caching.worlds import answering
from tests.support.upstream import Upstream


@pytest.fixture
def server() -> Iterator[Upstream]:
    with answering() as running:
        yield running
