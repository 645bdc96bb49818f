"""What holds for every test, wherever it is run."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs with SIGINT ignored, and children inherit that: Ctrl-C would never reach them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
