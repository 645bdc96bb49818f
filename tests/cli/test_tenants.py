from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from tests.cli.helpers import Command


def test_a_minted_key_and_its_digest_belong_together(partywall: Command, tmp_path: Path) -> None:
    made = partywall("tenants", "mint-key", "--tenant", "alpha", "--format", "json").json
    assert made["tenant"] == "alpha"
    assert made["api_key_digest"] == f"sha256:{hashlib.sha256(made['api_key'].encode()).hexdigest()}"
    assert list(tmp_path.iterdir()) == []


def test_people_are_told_what_to_do_with_it(partywall: Command) -> None:
    ended = partywall("tenants", "mint-key", "--tenant", "beta")
    assert ended.code == 0
    key = re.findall(r"^  (pw_\S+)$", ended.out, re.MULTILINE)
    digest = re.findall(r"^  - sha256:([0-9a-f]{64})$", ended.out, re.MULTILINE)
    assert digest == [hashlib.sha256(key[0].encode()).hexdigest()]
    assert "`beta`" in ended.out


def test_each_is_another(partywall: Command) -> None:
    arguments = ("tenants", "mint-key", "--tenant", "alpha", "--format", "json")
    assert partywall(*arguments).json["api_key"] != partywall(*arguments).json["api_key"]


@pytest.mark.parametrize("tenant", ["Alpha", "alpha/../beta", "", "älpha", "a" * 64])
def test_what_is_no_tenant_id_gets_no_key(partywall: Command, tenant: str) -> None:
    ended = partywall("tenants", "mint-key", "--tenant", tenant)
    assert (ended.code, ended.out) == (2, "")
    assert "no tenant id" in ended.err
