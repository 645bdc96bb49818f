"""Documents at the front door, as DESIGN §6 shows them, and what the published sections mean for them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from tests.support.documents import base_document, headers_of, merged, write_document

from partywall.errors import BadRequest, ConfigError, PayloadTooLarge
from partywall.platform import Platform

PUBLISHED: dict[str, Any] = {
    "encryption": {},
    "rag": {
        "isolation_strategy": "namespace",
        "namespace_config": {
            "namespace_key": "customer",
            "namespace_format": "org/{tenant_id}",
            "enforce_at": "vector_db_client",
        },
        "retrieval_validation": {
            "verify_namespace_before_return": True,
            "on_namespace_mismatch": "drop_and_alert",
        },
        "parsing": {"largest_file_bytes": 2000},
    },
    "leakage_detection": {
        "enabled": True,
        "context_validation": {"validate_all_context_items": True, "on_foreign_item": "remove_and_log"},
        "statistical_monitoring": {"track_namespace_distribution": True, "alert_threshold": 0},
    },
}


def test_the_outside_contract(tmp_path: Path) -> None:
    path = write_document(tmp_path / "partywall.yaml", merged(base_document(), **PUBLISHED))

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            alpha = await platform.authenticate(headers_of("alpha"))
            beta = await platform.authenticate(headers_of("beta"))
            assert await platform.documents.search(alpha, "refund policy", k=5) == ()
            await platform.documents.add(alpha, name="terms.txt", data=b"Refunds are paid within thirty days.")
            file = await platform.files.create(beta, name="terms.txt", data=b"Nobody is ever paid back.")
            await platform.documents.attach(beta, "default", file.id)
            with pytest.raises(PayloadTooLarge):
                await platform.files.create(alpha, name="large", data=b"x" * 2001)
            with pytest.raises(BadRequest):
                await platform.documents.add(alpha, name="x", data=b"x", metadata={"Customer": "beta"})
            with pytest.raises(BadRequest):
                await platform.documents.search(alpha, "x", filters={"type": "eq", "key": "customer", "value": "beta"})
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            (hit,) = await platform.documents.search(alpha, "refund policy", k=5)
            assert (hit.text, hit.document_name) == ("Refunds are paid within thirty days.", "terms.txt")
            (hit,) = await platform.documents.search(beta, "refund policy", k=5)
            assert hit.text == "Nobody is ever paid back."

    asyncio.run(main())


def test_another_namespace_is_dropped_reported_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was stored as another namespace's (here: by another document) doesn't come, and a restart is needed."""
    document = merged(base_document(), **PUBLISHED)
    path = write_document(tmp_path / "partywall.yaml", document)

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            alpha = await platform.authenticate(headers_of("alpha"))
            await platform.documents.add(alpha, name="terms.txt", data=b"Refunds are paid within thirty days.")
            write_document(path, merged(document, rag={"namespace_config": {"namespace_format": "n/{tenant_id}"}}))
            with pytest.raises(ConfigError, match="restart"):
                await platform.reload()
            assert len(await platform.documents.search(alpha, "refunds")) == 1
        assert "alarm" not in caplog.text
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            assert await platform.documents.search(alpha, "refunds") == ()
        assert "a piece is of another namespace" in caplog.text
        assert "1 of 1 pieces found by one search are of other namespaces" in caplog.text
        assert "org/alpha" not in caplog.text

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())


def test_without_encryption_the_first_use_says_what_to_add(tmp_path: Path) -> None:
    path = write_document(tmp_path / "partywall.yaml", base_document())

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            for name in ("documents", "files"):
                with pytest.raises(ConfigError, match=r"add `encryption: \{\}`"):
                    getattr(platform, name)

    asyncio.run(main())
