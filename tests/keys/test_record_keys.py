"""The trail's own door: who may use it, by syntax tree, and that it opens no other tenant's record."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import pytest
from tests.keys.rings import ALPHA, BETA, keys_dir, ring_in

import partywall
from partywall.errors import SealBroken
from partywall.keys import Operation, read_uses

ROOT = Path(partywall.__file__).parent
MAY_NAME = {"keys/__init__.py", "keys/keyring.py", "keys/record_keys.py", "platform/opening.py"}
MAY_ASK = {"platform/platform.py", "platform/opening.py", "platform/resealing.py"}
"""Those that open the trail, or what it wrote. Everything else that touches a tenant's data has a scope."""


def using(name: str, kind: type[ast.AST]) -> set[str]:
    """The modules in which a node of that kind says `name`."""
    found = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            said = {getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "name", None)}
            if isinstance(node, kind) and name in said:
                found.add(path.relative_to(ROOT).as_posix())
    return found


def test_nobody_else_names_the_door() -> None:
    assert using("RecordKeys", ast.AST) == MAY_NAME


def test_nobody_else_asks_for_it() -> None:
    asked = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "records"
    }
    assert asked == MAY_ASK


def test_a_half_opens_for_its_tenant_and_record_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            records = ring.records("trail")
            for tenant in (ALPHA, BETA, None):
                assert records.try_seal(tenant, "admission", "dec_1", b"x") is None
                await records.get_ready(tenant)
            sealed = records.try_seal(ALPHA, "admission", "dec_1", b"what alpha asked")
            assert sealed is not None
            assert await records.open(ALPHA, "admission", "dec_1", sealed) == b"what alpha asked"
            for tenant, half, record in [
                (BETA, "admission", "dec_1"),
                (None, "admission", "dec_1"),
                (ALPHA, "completion", "dec_1"),
                (ALPHA, "admission", "dec_2"),
            ]:
                with pytest.raises(SealBroken):
                    await records.open(tenant, half, record, sealed)

    asyncio.run(main())


def test_getting_a_key_ready_is_no_use_of_it(tmp_path: Path) -> None:
    """Who reads the audit counts records by its seals."""

    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            records = ring.records("trail")
            await records.get_ready(ALPHA)
            assert records.try_seal(ALPHA, "admission", "dec_1", b"x") is not None

    asyncio.run(main())
    seals = [use for use in read_uses(keys_dir(tmp_path), ALPHA).uses if use.operation is Operation.SEAL]
    assert sum(use.count for use in seals) == 1
