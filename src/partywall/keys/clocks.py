"""The two clocks of a keyring: one for how long, one for when."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Clocks"]


class Clocks(NamedTuple):
    """Both in seconds. Tests bring their own."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
