"""What clients choose (paths, models, users, tools) is kept as data: no value of it becomes a statement or a place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.trail.records import ALPHA, BETA, end, new_record, open_trail, stored

from partywall.tenancy import Role, UserId
from partywall.trail import PolicyResult, Verdict

HOSTILE = [
    "'; DROP TABLE decisions; --",
    '" OR 1=1 --',
    "beta' OR tenant='beta",
    "?1", ":tenant", "@tenant", "$tenant",
    "%", "_", "*", "\\", "x'00'", "\x00", "\u202e", "../../beta/decisions.db", "NULL", "",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_a_hostile_value_comes_back_as_it_was_and_changes_nothing_else(tmp_path: Path, value: str) -> None:
    """LESSONS R7, B5: on the way in, on the way out, and when the request ends in an error."""

    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            betas, alphas = new_record(BETA), new_record(ALPHA)
            alphas.path = alphas.method = alphas.reason = alphas.model = alphas.upstream = value
            alphas.route = alphas.endpoint = alphas.code = value
            alphas.user, alphas.role = UserId(value), Role(value)
            alphas.policies = (PolicyResult(value, value, Verdict.BLOCK, value),)
            for record in (betas, alphas):
                await trail.admit(record)
                end(record, outcome=value)
                await trail.admit(record)
            assert stored(tmp_path, ALPHA) == [alphas]
            assert stored(tmp_path, BETA) == [betas]

    asyncio.run(main())
