"""`partywall documents`: a tenant's documents, put there and searched by an operator.

Promises: each command acts for one tenant, and that tenant's own records say first who did what, and why. Adding a file
again changes nothing; one file that is refused is one line, holds up no other, and the command then ends with 2. What
documents hold can't move a terminal's cursor.

Doesn't promise: to show documents to anybody but the operator, who may read whatever the keys open.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import orjson

from partywall.cli.console import plain_table, printable, terminal
from partywall.cli.key_progress import progress_bar
from partywall.cli.key_tables import utc
from partywall.cli.keyring import operator
from partywall.cli.options import data_dir_option, format_option, tenant_id
from partywall.cli.tenant_options import opened
from partywall.errors import ConfigError, PartywallError
from partywall.stores import Document, Documents, Hit
from partywall.tenancy import TenantId, TenantScope

__all__ = ["add_command", "documents_group", "list_command", "search_command"]

F = TypeVar("F", bound=Callable[..., Any])  # click's decorators take any function

_PAGE: Final = 100
_MOST_HITS: Final = 50


@click.group("documents")
def documents_group() -> None:
    """Put documents into a tenant's collections.

    A gateway may be running; it finds them at once.
    """


def _whose(command: F) -> F:
    """The options of every command here."""
    options = (
        click.option("--tenant", type=tenant_id, required=True, help="Whose documents."),
        click.option("--collection", default="default", show_default=True, help="The collection's id."),
        click.option("--reason", default="an operator's command", show_default=True, help="Why; it is recorded."),
        data_dir_option(),
        format_option("text", "json"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@asynccontextmanager
async def _acting(
    config: Path | None, data_dir: Path, tenant: TenantId, what: str, reason: str
) -> AsyncIterator[tuple[Documents, TenantScope]]:
    async with opened(config, data_dir) as platform:
        documents = platform.documents
        async with platform.acting_for(tenant, who=operator(), action=f"documents {what}", why=reason) as scope:
            yield documents, scope


# -- add ---


@documents_group.command("add")
@click.argument("config", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="Kept with each document, to filter by.")
@_whose
def add_command(
    config: Path,
    files: tuple[Path, ...],
    metadata: tuple[str, ...],
    tenant: TenantId,
    collection: str,
    reason: str,
    data_dir: Path,
    form: str,
) -> None:
    """Add FILES to a collection of a tenant's: text, Markdown, HTML, PDF, CSV or JSON.

    Each is named after its file. The same file again is left alone; another file of the same name takes its place.
    """
    named = _names(files)
    said = dict(_pair(text, "--metadata") for text in metadata)

    async def add() -> tuple[list[tuple[str, Document]], dict[str, PartywallError]]:
        async with _acting(config, data_dir, tenant, "add", reason) as (documents, scope):
            return await _add(documents, scope, named, collection, said)

    done, refused = asyncio.run(add())
    if form == "json":
        shown = [_document(document) | {"outcome": outcome} for outcome, document in done]
        failed = [{"name": name, "outcome": "refused", "reason": str(error)} for name, error in refused.items()]
        click.echo(orjson.dumps([*shown, *failed], option=orjson.OPT_INDENT_2))
    else:
        for outcome, document in done:
            click.echo(f"{_plain(document.name)}: {outcome}, {document.characters} characters in {_pieces(document)}")
    for name, error in refused.items():
        click.echo(f"{named[name]}: {error}", err=True)
    if refused:
        raise SystemExit(2)


async def _add(
    documents: Documents, scope: TenantScope, named: Mapping[str, Path], collection: str, metadata: Mapping[str, str]
) -> tuple[list[tuple[str, Document]], dict[str, PartywallError]]:
    before = {document.name: document.id for document in await _all(documents, scope, collection)}
    done: list[tuple[str, Document]] = []
    refused: dict[str, PartywallError] = {}
    with progress_bar() as tell:
        for number, (name, path) in enumerate(named.items(), 1):
            told = f"{number}/{len(named)} {name}"
            tell(0, 1, told)
            try:
                document = await documents.add(
                    scope,
                    name=name,
                    data=await asyncio.to_thread(path.read_bytes),
                    metadata=metadata,
                    collection=collection,
                    progress=lambda done, total, told=told: tell(done, total, told),  # type: ignore[misc]  # binds it now
                )
            except PartywallError as error:
                refused[name] = error
                continue
            known = before.get(name)
            done.append(("added" if known is None else "unchanged" if known == document.id else "replaced", document))
    return done, refused


def _names(files: Sequence[Path]) -> dict[str, Path]:
    """The files by their documents' names.

    Raises:
        ConfigError: two would have the same.
    """
    named: dict[str, Path] = {}
    for path in files:
        if (other := named.setdefault(path.name, path)) is not path:
            raise ConfigError(f"{other} and {path} would be one document, for both are called `{path.name}`")
    return named


# -- list ---


@documents_group.command("list")
@click.argument("config", metavar="[CONFIG]", required=False, type=click.Path(path_type=Path))
@_whose
def list_command(
    config: Path | None, tenant: TenantId, collection: str, reason: str, data_dir: Path, form: str
) -> None:
    """Show the documents in a collection of a tenant's."""

    async def find() -> list[Document]:
        async with _acting(config, data_dir, tenant, "list", reason) as (documents, scope):
            return await _all(documents, scope, collection)

    found = asyncio.run(find())
    if form == "json":
        click.echo(orjson.dumps([_document(document) for document in found], option=orjson.OPT_INDENT_2))
        return
    table = plain_table()
    for heading in ("name", "type", "bytes", "characters", "pieces", "added, UTC", "id"):
        table.add_column(heading, no_wrap=heading != "name", overflow="fold")
    for document in found:
        figures = (document.bytes, document.characters, document.chunks)
        table.add_row(
            printable(document.name),
            printable(document.media_type),
            *map(str, figures),
            utc(document.created),
            printable(document.id),
        )
    terminal().print(table)


async def _all(documents: Documents, scope: TenantScope, collection: str) -> list[Document]:
    found: list[Document] = []
    while True:
        after = found[-1].id if found else None
        page = await documents.list_documents(scope, collection, after=after, limit=_PAGE)
        found += page.items
        if not page.has_more:
            return found


# -- search ---


@documents_group.command("search")
@click.argument("config", metavar="CONFIG", type=click.Path(path_type=Path))
@click.argument("query")
@click.option(
    "-k", "count", default=5, show_default=True, type=click.IntRange(1, _MOST_HITS), help="How many passages."
)
@click.option("--where", multiple=True, metavar="KEY=VALUE", help="Only documents with this metadata; all must hold.")
@_whose
def search_command(
    config: Path,
    query: str,
    count: int,
    where: tuple[str, ...],
    tenant: TenantId,
    collection: str,
    reason: str,
    data_dir: Path,
    form: str,
) -> None:
    """Find the passages nearest in meaning to QUERY, best first, and where they stand."""
    wanted = [{"type": "eq", "key": key, "value": value} for key, value in (_pair(text, "--where") for text in where)]
    filters = None if not wanted else {"type": "and", "filters": wanted} if len(wanted) > 1 else wanted[0]

    async def find() -> Sequence[Hit]:
        async with _acting(config, data_dir, tenant, "search", reason) as (documents, scope):
            return await documents.search(scope, query, k=count, collection=collection, filters=filters)

    hits = asyncio.run(find())
    if form == "json":
        click.echo(orjson.dumps([_hit(hit) for hit in hits], option=orjson.OPT_INDENT_2))
        return
    for number, hit in enumerate(hits, 1):
        click.echo(f"{number}. {_plain(hit.document_name)}, characters {hit.start}-{hit.end}, score {hit.score:.3f}")
        click.echo(f"   {_plain(hit.text)}\n")
    if not hits:
        click.echo("nothing found")


# -- Showing ---


def _pair(text: str, option: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise click.BadParameter(f"`{text}` is not KEY=VALUE", param_hint=option)
    return key, value


def _document(document: Document) -> dict[str, object]:
    return {
        "id": document.id,
        "name": document.name,
        "collection": document.collection,
        "media_type": document.media_type,
        "bytes": document.bytes,
        "characters": document.characters,
        "pieces": document.chunks,
        "metadata": dict(document.metadata),
        "created": document.created,
    }


def _hit(hit: Hit) -> dict[str, object]:
    return {
        "document": hit.document_name,
        "document_id": hit.document_id,
        "piece": hit.chunk,
        "characters": [hit.start, hit.end],
        "score": hit.score,
        "text": hit.text,
        "metadata": dict(hit.metadata),
    }


def _pieces(document: Document) -> str:
    return "1 piece" if document.chunks == 1 else f"{document.chunks} pieces"


def _plain(text: str) -> str:
    """On one line, with everything that a terminal could obey spelled out."""
    return printable(" ".join(text.split())).plain
