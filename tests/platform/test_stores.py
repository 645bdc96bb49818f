"""The stores at the front door, as DESIGN §6 shows them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.documents import base_document, headers_of, merged, write_document

from partywall.errors import ConfigError, Missing
from partywall.platform import Platform
from partywall.tenancy import Secret

SEALED = {"encryption": {"encrypted_per_tenant": ["conversation_logs", "agent_memory", "user_preferences"]}}


def test_the_outside_contract(tmp_path: Path) -> None:
    path = write_document(tmp_path / "partywall.yaml", merged(base_document(), **SEALED))

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            alpha = await platform.authenticate(headers_of("alpha"))
            beta = await platform.authenticate(headers_of("beta"))
            await platform.conversations.append(alpha, "conv-1", role="user", content="hello from alpha")
            await platform.vault.put(alpha, "crm", Secret("alpha's token"))
            await platform.preferences.put(alpha, "language", "de")
            await platform.memory.add(alpha, "helper", "likes tea", tags=["taste"])
            with pytest.raises(Missing):
                await platform.conversations.messages(beta, "conv-1")
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            page = await platform.conversations.messages(alpha, "conv-1")
            assert [message.content for message in page.items] == ["hello from alpha"]
            assert (await platform.vault.get(alpha, "crm")).matches("alpha's token")
            assert await platform.preferences.read(alpha) == {"language": "de"}
            assert await platform.preferences.read(beta) == {}
            assert [note.text for note in (await platform.memory.search(alpha, "helper", "taste")).items] == [
                "likes tea"
            ]
        stored = b"".join(file.read_bytes() for file in (tmp_path / "data" / "tenants").rglob("*") if file.is_file())
        for clear in (b"hello from alpha", b"conv-1", b"alpha's token", b"crm", b"language", b"likes tea", b"taste"):
            assert clear not in stored

    asyncio.run(main())


@pytest.mark.parametrize("name", ["conversations", "graph", "memory", "preferences", "system_prompts", "vault"])
def test_without_encryption_the_first_use_says_what_to_add(tmp_path: Path, name: str) -> None:
    path = write_document(tmp_path / "partywall.yaml", base_document())

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            with pytest.raises(ConfigError, match=r"add `encryption: \{\}`"):
                getattr(platform, name)
        assert not (tmp_path / "data" / "tenants").exists()

    asyncio.run(main())
