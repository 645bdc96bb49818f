"""An engine for vectors as a document names it: from `storage.vectors` to a search."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.documents import base_document, headers_of, merged, write_document
from tests.support.engines.child import free_port
from tests.support.engines.chroma import chroma_server
from tests.support.engines.pinecone import pinecone_imitation
from tests.support.engines.weaviate import weaviate_imitation

from partywall.errors import ConfigError, StoreUnavailable
from partywall.platform import Platform
from partywall.stores.backends.vectors.address import parse_engine_address
from partywall.tenancy import Secret


def document(folder: Path, engine: str) -> Path:
    storage = {"vectors": engine, "vectors_url_ref": {"env": "VECTORS_URL"}}
    return write_document(folder / "partywall.yaml", merged(base_document(), storage=storage, encryption={}))


def engine_url(engine: str) -> str:
    """Where that engine is, with its key."""
    if engine == "chroma":
        return chroma_server().url
    return weaviate_imitation().url if engine == "weaviate" else pinecone_imitation().url(256)


@pytest.mark.parametrize("engine", ["chroma", "weaviate", "pinecone"])
def test_documents_are_found_in_the_engine_that_the_document_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setenv("VECTORS_URL", engine_url(engine))
    path = document(tmp_path, engine)

    async def main() -> None:
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            alpha = await platform.authenticate(headers_of("alpha"))
            beta = await platform.authenticate(headers_of("beta"))
            for scope in (alpha, beta):
                await platform.documents.add(scope, name="1", data=f"of {scope.tenant}".encode())
        async with Platform.open(path, data_dir=tmp_path / "data") as platform:
            for scope in (alpha, beta):
                (hit,) = await platform.documents.search(scope, "of whom", k=9)
                assert hit.text == f"of {scope.tenant}"
            with pytest.raises(ConfigError, match="needs a restart"):
                await platform.reload(write_document(tmp_path / "other.yaml", base_document()).read_bytes())
        elsewhere = write_document(tmp_path / "partywall.yaml", merged(base_document(), encryption={}))
        async with Platform.open(elsewhere, data_dir=tmp_path / "data") as platform:
            with pytest.raises(StoreUnavailable, match=f"lie in `{engine}`"):
                await platform.documents.search(alpha, "of whom", k=9)

    asyncio.run(main())


def test_nothing_is_served_without_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with Platform.open(document(tmp_path, "chroma"), data_dir=tmp_path / "data"):
            pass

    monkeypatch.setenv("VECTORS_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailable, match="`chroma` can't be asked"):
        asyncio.run(main())
    monkeypatch.setenv("VECTORS_URL", "http://chroma.internal:8000")
    with pytest.raises(ConfigError, match="another machine without TLS"):
        asyncio.run(main())


def test_pinecone_needs_a_key_and_a_metric_that_is_a_product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with Platform.open(document(tmp_path, "pinecone"), data_dir=tmp_path / "data"):
            pass

    monkeypatch.setenv("VECTORS_URL", pinecone_imitation().url(256).replace(":of-the-tests@", ""))
    with pytest.raises(ConfigError, match="needs its API key"):
        asyncio.run(main())
    monkeypatch.setenv("VECTORS_URL", pinecone_imitation().url(256))
    monkeypatch.setattr(pinecone_imitation(), "metric", "euclidean")
    with pytest.raises(ConfigError, match="metric `dotproduct` or `cosine`"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "origin", "prefix", "key"),
    [
        ("https://:k%40y@host.example", "https://host.example", "", "k@y"),
        ("https://host.example:8443/a/b/", "https://host.example:8443", "/a/b", None),
        ("http://localhost:8000", "http://localhost:8000", "", None),
        ("http://:k@[::1]:8000\n", "http://[::1]:8000", "", "k"),
    ],
)
def test_an_address_is_read(url: str, origin: str, prefix: str, key: str | None) -> None:
    found = parse_engine_address(Secret(url))
    assert (str(found.origin), found.prefix) == (origin, prefix)
    assert (None if found.key is None else found.key.reveal()) == key


@pytest.mark.parametrize(
    "url",
    [
        "host:8000",
        "ftp://host",
        "https://user:SECRET@host",
        "https://SECRET@host",
        "https://:SECRET@host/?q=1",
        "https://:SECRET@a@host",
        "https://:SECRET%0d%0ax@host",
        "https://:SECRET@127.1",
        "http://:SECRET@10.0.0.1:8000",
    ],
)
def test_an_address_of_another_form_is_refused_without_a_word_of_it(url: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse_engine_address(Secret(url))
    assert "SECRET" not in str(told.value)
    assert "SECRET" not in repr(told.value.__cause__)
