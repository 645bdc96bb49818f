"""Libraries of the extra `documents`, which are imported only when documents are used."""

from __future__ import annotations

import importlib.util

from partywall.errors import ConfigError

__all__ = ["require"]


def require(*modules: str) -> None:
    """Go on if all of them are installed.

    Raises:
        ConfigError: one isn't.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ConfigError(f'documents need `{module}`, which is not installed; pip install "partywall[documents]"')
