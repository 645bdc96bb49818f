"""`partywall serve`.

Promises: one line on standard output, `partywall is listening on http://host:port`, once it is true; everything else
goes to standard error. A document with published keys is served to this machine alone.

Doesn't promise: to look again when the document is reloaded. `partywall lint` sees what stands in the file.
"""

from __future__ import annotations

import ipaddress
import logging
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click

from partywall.cli.options import INTERRUPTED
from partywall.cli.published_keys import PUBLISHED_KEYS, published_keys_in
from partywall.config import Document, load_bytes
from partywall.config.loading import read
from partywall.errors import ConfigError
from partywall.gateway.server import ServeOptions, serve

try:
    from uvloop import run
except ImportError:  # it isn't built for PyPy
    from asyncio import run  # type: ignore[assignment]  # called as both may be

__all__ = ["serve_command"]

_PARROT: Final = "parrot"
_NEEDLES: Final = tuple(text.encode() for text in (_PARROT, *PUBLISHED_KEYS, *PUBLISHED_KEYS.values()))


@click.command("serve")
@click.argument("document", metavar="CONFIG", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8787, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one."
)
@click.option(
    "--data-dir", default=".partywall", show_default=True, type=click.Path(path_type=Path), help="Where data is kept."
)
@click.option(
    "--unsafe-without-isolation",
    is_flag=True,
    help="Serve a document whose isolation_model is `none`: refusals between tenants become alerts.",
)
def serve_command(document: Path, host: str, port: int, data_dir: Path, unsafe_without_isolation: bool) -> None:  # noqa: FBT001  # click passes flags by position
    """Serve the document CONFIG until told to stop.

    SIGHUP and a change of the file reload it; a bad one is refused and the old one goes on serving. SIGTERM and Ctrl-C
    finish the requests under way first.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _warn(document, host)
    _say(f"partywall {version('partywall')}: document {document}, data in {data_dir}")
    options = ServeOptions(
        document=document,
        host=host,
        port=port,
        data_dir=data_dir,
        unsafe_without_isolation=unsafe_without_isolation,
    )
    try:
        run(serve(options, ready=_announce))
    except KeyboardInterrupt:  # raised once the requests under way are finished
        raise SystemExit(INTERRUPTED) from None


def _announce(url: str) -> None:
    click.echo(f"partywall is listening on {url}")
    _say("SIGHUP reloads the document; Ctrl-C stops")


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


def _warn(path: Path, host: str) -> None:
    """Say what the operator should know before the document is served.

    Raises:
        ConfigError: it can't be read, or holds published keys and `host` can be reached from outside.
    """
    data = read(path)
    # A second parse, so only of a document that has something to warn about: a real one of ten thousand tenants hasn't.
    lower = data.lower()
    if not any(needle in lower for needle in _NEEDLES):
        return
    document = load_bytes(Document, data, path).document
    if published := published_keys_in(document):
        _refuse_beyond_loopback(path, host, published[0])
        _say("warning: the document accepts keys from the examples, which everybody knows")
    targets = document.providers.targets
    parrots = [f"`{target.id}`" for target in targets if target.vendor == _PARROT]
    if parrots:
        _say(f"warning: the built-in parrot, which repeats all it is given, stands behind {', '.join(parrots[:5])}")


def _refuse_beyond_loopback(path: Path, host: str, key: str) -> None:
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not is_loopback:
        raise ConfigError(
            f"{path}: accepts the published key `{key}`, with which anybody could come in from outside; "
            f"write a document with fresh keys (`partywall init`), or leave --host at 127.0.0.1 instead of {host}"
        )
