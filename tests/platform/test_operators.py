"""The platform's door for operators: whom the document names, and nobody else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.documents import base_document, merged, write_document
from tests.support.records import recorded

from partywall.errors import ConfigError, InvalidTenantId, Missing
from partywall.platform import Platform

SEALED = {"encryption": {"encrypted_per_tenant": ["audit_logs", "agent_memory"]}}
ME = {"who": "cli:ann", "action": "look", "why": "ticket 7"}


def test_an_operator_sees_the_tenant_it_acts_for_and_no_other(tmp_path: Path) -> None:
    path = write_document(tmp_path / "partywall.yaml", merged(base_document(), **SEALED))

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            for tenant in ("alpha", "beta"):
                async with platform.acting_for(tenant, **ME) as scope:
                    await platform.preferences.put(scope, "of", tenant)
            for tenant in ("alpha", "beta"):
                async with platform.acting_for(tenant, **ME) as scope:
                    assert await platform.preferences.read(scope) == {"of": tenant}
            async with platform.acting_for("beta", **ME) as scope:
                with pytest.raises(Missing):
                    await platform.vault.get(scope, "crm")

    asyncio.run(main())


@pytest.mark.parametrize("tenant", ["gamma", "alph", "alphaa"])
def test_a_tenant_that_the_document_does_not_name_is_nobody(tmp_path: Path, tenant: str) -> None:
    path = write_document(tmp_path / "partywall.yaml", base_document())

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            with pytest.raises(ConfigError, match=f"names no tenant `{tenant}`"):
                async with platform.acting_for(tenant, **ME):
                    raise AssertionError("it was let in")
            with pytest.raises(InvalidTenantId):
                async with platform.acting_for("*", **ME):
                    raise AssertionError("it was let in")
        assert not (tmp_path / "data" / "tenants" / tenant).exists()

    asyncio.run(main())
    assert recorded(tmp_path / "data", "alpha") == recorded(tmp_path / "data", "beta") == []
