"""What the owner does, and the serving process never: making tables, roles, databases and grants.

Promises: everything is made once and repaired when it is run again; what belongs together is one transaction. A tenant's
rows are never left behind: where some lie by another strategy than the one asked for, nothing is done and that is said.
The serving role gets the rights that its statements need, and no others.

Doesn't promise: to move rows from one strategy to another, or to make the serving role itself.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from partywall.errors import ConfigError, StoreUnavailable
from partywall.stores.backends.postgres.address import parse_address
from partywall.stores.backends.postgres.self_check import POLICY, POLICIES, PROBES
from partywall.stores.backends.postgres.settings import Strategy
from partywall.stores.backends.postgres.statements import MAIN_SCHEMA, quoted
from partywall.tenancy import Secret, TenantId, parse_tenant_id
