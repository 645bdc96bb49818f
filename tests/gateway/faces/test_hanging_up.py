"""A client that hangs up while something is stored for it: the work ends, and nothing of it is left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.stores.houses import scope_of
from tests.support.documents import base_document, headers_of, merged, write_document
from tests.support.inprocess import Session, session

from partywall.tenancy import TenantScope


class Stuck:
    """An embedder that begins and doesn't end."""

    name = "stuck"
    dimensions = 2

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def embed(self, scope: TenantScope, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.begun.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody wakes it")


@pytest.fixture
def alive(tmp_path: Any) -> Iterator[Session]:
    with session(
        write_document(tmp_path / "partywall.yaml", merged(base_document(), encryption={})), tmp_path / "data"
    ) as it:
        yield it


def test_an_attachment_is_given_up(alive: Session) -> None:
    headers = headers_of("alpha")
    platform, scope = alive.client.platform, scope_of("alpha", "user-of-alpha")

    async def main() -> None:
        file = await platform.files.create(scope, name="a.txt", data=b"The refund policy of alpha.")
        before = await platform.stores.sizes_for_operators(scope.tenant)
        store = await platform.documents.create_collection(scope, name="handbooks")
        stuck = Stuck()
        platform.documents.embed_with(lambda _: stuck)
        path = f"/v1/vector_stores/{store.id}/files"
        call = asyncio.create_task(alive.client.post(path, headers, {"file_id": file.id}))
        await asyncio.wait_for(stuck.begun.wait(), 20)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        for _ in range(200):
            left = await platform.stores.sizes_for_operators(scope.tenant)
            if left["documents"] == before["documents"] + 1:
                break
            await asyncio.sleep(0.02)
        assert left["documents"] == before["documents"] + 1, "the collection, and nothing staged"

    alive.run(main())
    ended = alive.recorded("alpha")[-1]
    assert (ended.endpoint, ended.status, ended.outcome) == ("vector_stores.files.create", 499, "client_gone")
