"""`partywall serve`."""

from __future__ import annotations

import logging
from pathlib import Path

import click
import uvloop

from partywall.gateway.server import ServeOptions, serve

__all__ = ["serve_command"]


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
    """Serve the document CONFIG until told to stop."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    options = ServeOptions(
        document=document,
        host=host,
        port=port,
        data_dir=data_dir,
        unsafe_without_isolation=unsafe_without_isolation,
    )
    uvloop.run(serve(options, ready=lambda url: click.echo(f"partywall is listening on {url}")))
