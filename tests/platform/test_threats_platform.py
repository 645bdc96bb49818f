"""What stands before anything is served: salts that nobody else has, and a document that can be honoured in full."""

from __future__ import annotations

import asyncio
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from tests.support.documents import KEYS, TENANTS, base_document, headers_of, merged, write_document

from partywall.errors import ConfigError, InvalidCredential
from partywall.platform import Platform
from partywall.platform.salts import Salter
from partywall.tenancy import TenantId

ALPHA, BETA = TenantId("alpha"), TenantId("beta")


# -- Salts ---


def test_a_salt_is_fixed_hex_of_one_tenant_and_one_purpose(tmp_path: Path) -> None:
    salter = Salter.open(tmp_path)
    salts = [salter.salt(purpose, tenant) for purpose in ("cache", "user") for tenant in (ALPHA, BETA)]
    assert len(set(salts)) == 4
    assert all(re.fullmatch("[0-9a-f]{64}", salt) for salt in salts)


def test_no_two_pairs_of_purpose_and_tenant_run_together(tmp_path: Path) -> None:
    salter = Salter.open(tmp_path)
    assert salter.salt("cache", TenantId("s-alpha")) != salter.salt("caches", TenantId("-alpha"))


def test_processes_with_one_data_directory_agree_and_deployments_do_not(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first, again, elsewhere = (Salter.open(tmp_path / name) for name in ("one", "one", "two"))
    assert first.salt("cache", ALPHA) == again.salt("cache", ALPHA)
    assert first.salt("cache", ALPHA) != elsewhere.salt("cache", ALPHA)


def test_the_key_is_its_owners_alone_and_nothing_stands_in_for_it(tmp_path: Path) -> None:
    Salter.open(tmp_path)
    key = tmp_path / "salt.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by others"):
        Salter.open(tmp_path)
    key.chmod(0o600)
    for content in (b"", b"short", b"x" * 33):
        key.write_bytes(content)
        with pytest.raises(ConfigError, match="must be 32 bytes"):
            Salter.open(tmp_path)


# -- What a document asks for ---


def opened(tmp_path: Path, document: dict[str, Any], **options: Any) -> None:
    async def main() -> None:
        path = write_document(tmp_path / "partywall.yaml", document)
        async with Platform.open(path, data_dir=tmp_path / "data", **options):
            pass

    asyncio.run(main())


IN_VAIN: dict[str, dict[str, Any]] = {
    "leak detection": {"leakage_detection": {"cross_tenant_output_scan": {}}},
    "canaries": {"leakage_detection": {"isolation_audit": {}}},
    "no verification of items": {
        "leakage_detection": {"context_validation": {"validate_all_context_items": False}},
    },
    "documents in clear": {"rag": {"isolation_strategy": "namespace"}},
    "offboarding": {"encryption": {}, "rag": {"tenant_offboarding": {}}},
    "tools": {"tools": {}},
    "prompts": {"prompts": {"directory": "prompts"}},
    "limits": {"limits": {}},
    "telemetry": {"telemetry": {}},
    "workers": {"workers": {}},
    "another cache": {"storage": {"cache": "valkey"}},
    "an engine for vectors": {"storage": {"vectors": "chroma"}},
    "a policy that is not built": {"policies": {"chain": ["rbac", "prompt-injection"]}},
    "sessions": {"multi_tenant": {"session_validation": {"session_token_binding": True}}},
    "no verification": {"multi_tenant": {"session_validation": {"verify_tenant_on_every_request": False}}},
}


@pytest.mark.parametrize("what", IN_VAIN)
def test_what_cannot_be_honoured_is_refused_and_not_ignored(tmp_path: Path, what: str) -> None:
    with pytest.raises(ConfigError, match="asks for what this build can't do yet"):
        opened(tmp_path, merged(base_document(), **IN_VAIN[what]))


def test_a_document_that_asks_for_no_more_than_is_built_opens(tmp_path: Path) -> None:
    opened(tmp_path, base_document())


def test_isolation_is_switched_off_by_name_only(tmp_path: Path) -> None:
    document = merged(base_document(), multi_tenant={"isolation_model": "none"})
    with pytest.raises(ConfigError, match="--unsafe-without-isolation"):
        opened(tmp_path, document)
    opened(tmp_path, document, unsafe_without_isolation=True)


def test_a_document_that_lets_nobody_in_is_refused(tmp_path: Path) -> None:
    groups = {"groups": [{"name": tenant, "upstream": f"{tenant}-target"} for tenant in TENANTS]}
    with pytest.raises(ConfigError, match="every request would be refused"):
        opened(tmp_path, merged(base_document(), consumer_groups=groups))


def test_one_key_in_two_tenants_groups_is_refused(tmp_path: Path) -> None:
    document = base_document()
    alpha, beta = document["consumer_groups"]["groups"]
    beta["api_keys"] = alpha["api_keys"]
    with pytest.raises(ConfigError, match="key-in-two-groups"):
        opened(tmp_path, document)


# -- Reloading ---


def test_a_bad_document_changes_nothing_and_a_good_one_revokes_at_once(tmp_path: Path) -> None:
    path = write_document(tmp_path / "partywall.yaml", base_document())

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            before = platform.snapshot
            with pytest.raises(ConfigError):
                await platform.reload(b"consumer_groups: {groups: [")
            assert platform.snapshot is before
            assert platform.reload_error
            assert (await platform.authenticate(headers_of("alpha"))).tenant == "alpha"

            without_alpha = base_document()
            del without_alpha["consumer_groups"]["groups"][0]["api_keys"]
            write_document(path, without_alpha)
            await platform.reload()
            assert platform.reload_error is None
            with pytest.raises(InvalidCredential):
                await platform.authenticate(headers_of("alpha"))
            assert (await platform.authenticate(headers_of("beta"))).tenant == "beta"

    asyncio.run(main())


def test_what_is_published_of_a_document_holds_no_secret(tmp_path: Path) -> None:
    document = base_document(base_url="https://llm.example/v1")
    path = write_document(tmp_path / "partywall.yaml", document)

    async def main() -> bytes:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            return platform.snapshot.published

    published = zlib.decompress(asyncio.run(main())).decode()
    for target, group in zip(document["providers"]["targets"], document["consumer_groups"]["groups"], strict=True):
        assert target["id"] in published
        assert target["api_key"] not in published
        assert group["api_keys"][0] not in published
    assert not any(key in published for key in KEYS.values())
