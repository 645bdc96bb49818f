"""What holds for every test, wherever it is run."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# The same examples on every machine, so that what passes here passes there; `make soak` draws new ones.
settings.register_profile("same", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("new", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs with SIGINT ignored, and children inherit that: Ctrl-C would never reach them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
