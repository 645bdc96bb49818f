"""What must not be in a text: personal data, credentials, another tenant's passages, planted canaries.

Promises: pure functions over texts. Nothing here reads a file, a socket, a clock or a setting of the process, knows a
store or a gateway, or keeps a text longer than its object lives. What is random or secret is passed in. Whole texts and
streams come to the same findings, however the stream is cut, and no character of a finding is released by a stream.

Doesn't promise: to act. Whether a finding is redacted, refused or reported is its caller's to decide and do. The
gateway calls `pii`; **nothing calls `fingerprints`, `canaries` and `leaks` yet**, and documents that ask for those are
refused until then.

Rooms: `pii` finds, redacts and restores · `fingerprints` know the passages that tenants own · `canaries` know what was
planted · `leaks` looks for both in one pass.
"""

from __future__ import annotations

import importlib.util
from typing import Final

from partywall.errors import ConfigError

__all__ = ["NEEDS"]

NEEDS: Final = ("numpy", "phonenumbers", "re2")
"""Modules of the extra `detection`. Without them the room can't be imported."""

for _module in NEEDS:
    if importlib.util.find_spec(_module) is None:
        raise ConfigError(f'detection needs `{_module}`, which is not installed; pip install "partywall[detection]"')
