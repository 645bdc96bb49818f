"""What the gateway costs, measured beside others on the machine at hand: `python -m bench` or `make bench`.

Promises: every figure comes from one run, with nginx in it; all traffic stays on loopback; every process that is
started is stopped; a contender that can't be installed or fails is named with the reason, never left out in silence.

Doesn't promise: that absolute microseconds carry over to another machine, or to the next run. Compare ratios.
"""

import os

# Every process that is measured has one core. Two BLAS threads on one core spend most of it waiting for each other: the
# bare engine's matrix product took twenty times as long so. Set before anything imports numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
