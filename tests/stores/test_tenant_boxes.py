"""The zero-knowledge tier: what a client sealed to its own key is stored and returned, and opens for nobody here."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from tests.stores.houses import ALPHA, BACKENDS, BETA, house_in, scope_of

from partywall.errors import SealBroken
from partywall.keys.tenant_box import is_tenant_box, new_tenant_box_keys, open_by_tenant, seal_to_tenant

SAID = b"what alpha's client told nobody"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_box_comes_back_as_it_went_in_and_opens_for_its_client_alone(tmp_path: Path, backend: str) -> None:
    private, public = new_tenant_box_keys()
    others_private, _ = new_tenant_box_keys()
    box = seal_to_tenant(public, tenant=ALPHA, store="memory", record_id="mine-1", plaintext=SAID)

    async def main() -> bytes:
        async with house_in(tmp_path, backend) as house:
            memory, alpha = house.stores.memory, scope_of(ALPHA)
            kept = await memory.add(alpha, "agent", base64.b64encode(box).decode())
            await memory.add(scope_of(BETA), "agent", "beta's own")
            return base64.b64decode((await memory.get(alpha, "agent", kept.id)).text)

    returned = asyncio.run(main())
    assert returned == box
    assert is_tenant_box(returned)
    opened = open_by_tenant(private, tenant=ALPHA, store="memory", record_id="mine-1", box=returned)
    assert opened == SAID
    with pytest.raises(SealBroken):
        open_by_tenant(others_private, tenant=ALPHA, store="memory", record_id="mine-1", box=returned)
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or SAID not in file.read_bytes()
