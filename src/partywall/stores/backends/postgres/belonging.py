"""Whose a database is: the mark of the keys under which its rows are sealed, and a name of its own.

Promises: whoever opens a database first writes both down, and two who are first at once agree. The mark is a keyed hash
and tells nothing of the keys; the name is random and comes back with a dump.

Doesn't promise: to keep out somebody who holds the serving role and changes the mark. It is against oversight.
"""

from __future__ import annotations

import secrets
from typing import Final

from partywall.stores.backends.postgres.connections import Connection
from partywall.stores.backends.postgres.statements import MAIN_SCHEMA, quoted

__all__ = ["NOBODYS", "belonging"]

NOBODYS: Final = "_keys"
"""In whose name the mark lies there. No tenant can have it."""
_NAME_BYTES: Final = 16
_ROWS: Final = f"{quoted(MAIN_SCHEMA)}.rows"
_FIND: Final = f"SELECT sealed FROM {_ROWS} WHERE tenant = $1 AND store = 'mark' AND grp = '\\x00' AND key = '\\x00'"
_WRITE: Final = (
    f"INSERT INTO {_ROWS} (tenant, store, grp, key, position, revision, sealed) "
    "VALUES ($1, 'mark', '\\x00', '\\x00', 1, 1, $2) ON CONFLICT DO NOTHING"
)


async def belonging(connection: Connection, mark: bytes, *, may_claim: bool) -> tuple[bytes, str] | None:
    """The mark and the name that the database has; with `may_claim`, one without any gets `mark`. None: it has none.

    Call it in a transaction in the name of `NOBODYS`, which sees what others commit meanwhile.
    """
    found = await connection.fetchval(_FIND, NOBODYS)
    if found is None and may_claim:
        # Whoever is second here waits for the first, writes nothing, and then finds what the first wrote.
        await connection.execute(_WRITE, NOBODYS, mark + secrets.token_bytes(_NAME_BYTES))
        found = await connection.fetchval(_FIND, NOBODYS)
    return None if found is None else (found[:-_NAME_BYTES], found[-_NAME_BYTES:].hex())
