"""How long each root takes to unwrap a key, one unwrap after another: `python -m tests.keys.roots.latency [rounds]`."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from tests.keys.roots.subjects import ALPHA, opened
from tests.keys.roots.vaults import Mount
from tests.support.engines.kms import REGION, Kms
from tests.support.engines.openbao import Bao

from partywall.keys.roots import AwsKmsRootSettings, FileRoot, FileRootSettings, RootSettings

_ROUNDS = 200
_WARM_UP = 20


async def _measure(settings: RootSettings, rounds: int) -> list[float]:
    async with opened(settings) as root:
        await root.prepare(ALPHA)
        wrapped = await root.wrap(ALPHA, os.urandom(32), b"place")
        taken = []
        for _ in range(_WARM_UP + rounds):
            began = time.perf_counter()
            await root.unwrap(ALPHA, wrapped, b"place")
            taken.append(time.perf_counter() - began)
    return sorted(taken[_WARM_UP:])


@contextmanager
def _roots(directory: Path) -> Iterator[dict[str, Callable[[], RootSettings]]]:
    with ExitStack() as stack:
        for name in ("bao", "tls", "kms"):
            (directory / name).mkdir()
        bao, tls, kms = Bao(directory / "bao"), Bao(directory / "tls", tls=True), Kms(directory / "kms")
        stack.callback(bao.child.kill)
        stack.callback(tls.child.kill)
        stack.callback(kms.stop)

        def file() -> RootSettings:
            FileRoot.create(directory / "root.key")
            return FileRootSettings(directory / "root.key")

        yield {
            "file": file,
            "vault (OpenBao, http)": lambda: Mount.new(bao).settings(),
            "vault (OpenBao, TLS)": lambda: replace(Mount.new(tls).settings(), ca_file=tls.ca_file),
            "aws_kms (moto)": lambda: AwsKmsRootSettings(
                kms.new_key(), REGION, kms.endpoint_url, kms.new_user("bench"), timeout_seconds=10.0
            ),
        }


def main() -> None:
    """Print a line for each root."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else _ROUNDS
    with tempfile.TemporaryDirectory() as directory, _roots(Path(directory)) as roots:
        for name, settings in roots.items():
            taken = asyncio.run(_measure(settings(), rounds))
            p95 = taken[int(len(taken) * 0.95)]
            line = f"{name}: median {statistics.median(taken) * 1e3:.2f} ms, p95 {p95 * 1e3:.2f} ms, {rounds} unwraps\n"
            sys.stdout.write(line)


if __name__ == "__main__":
    main()
