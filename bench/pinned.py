"""Run a command on one core, and make sure it can't outlive the harness: `pinned.py CORE COMMAND…`.

Set before exec, so that every thread and child inherits the core. `taskset` would do the first half only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2): the kernel signals us when the parent dies, even by SIGKILL


def main() -> None:
    os.sched_setaffinity(0, {int(sys.argv[1])})
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell is wanted here


if __name__ == "__main__":
    main()
