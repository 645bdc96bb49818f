"""`partywall documents`: two organisations' files of the same names, put there and found again by an operator."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from tests.cli.helpers import Command, Ended
from tests.support.documents import base_document, headers_of, merged, write_document
from tests.support.process import serve
from tests.support.records import recorded

from partywall.platform import Platform

_ME = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
SEALED = {"encryption": {"encrypted_per_tenant": ["rag_document_store"]}}
DEMO = Path(str(files("partywall.demo") / "documents"))


@pytest.fixture
def document(tmp_path: Path) -> Path:
    return write_document(tmp_path / "doc.yaml", merged(base_document(), **SEALED))


def of(tenant: str, name: str) -> Path:
    return DEMO / tenant / name


def _one_line(ended: Ended) -> str:
    """What a command said when it couldn't do its work."""
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
    return ended.err.rstrip("\n")


def _search(partywall: Command, document: Path, tenant: str, query: str, *options: object) -> Any:
    data = document.parent / "data"
    return partywall(
        "documents", "search", document, query, "--tenant", tenant, "--data-dir", data, *options, "--format", "json"
    ).json


def _add(partywall: Command, document: Path, tenant: str, *paths: object) -> Ended:
    return partywall("documents", "add", document, *paths, "--tenant", tenant, "--data-dir", document.parent / "data")


@pytest.fixture
def filled(partywall: Command, document: Path) -> Path:
    """The document, and each organisation's own files in its collection."""
    for tenant in ("alpha", "beta"):
        ended = _add(partywall, document, tenant, *sorted((DEMO / tenant).iterdir()))
        assert (ended.code, ended.err) == (0, ""), ended
    return document


def test_each_finds_its_own_under_the_same_name(partywall: Command, filled: Path) -> None:
    own = {}
    for tenant in ("alpha", "beta"):
        hits = _search(partywall, filled, tenant, "how long may goods be returned", "-k", 10)
        text = of(tenant, "returns.md").read_text()
        assert "returns.md" in {hit["document"] for hit in hits}
        own[tenant] = {hit["text"] for hit in hits}
        assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
        for hit in hits:
            assert hit["characters"][1] - hit["characters"][0] == len(hit["text"])
            assert hit["document"] in {path.name for path in (DEMO / tenant).iterdir()}
        assert text
    assert not own["alpha"] & own["beta"]


def test_people_see_where_it_stands(partywall: Command, filled: Path) -> None:
    data = filled.parent / "data"
    ended = partywall("documents", "search", filled, "returns", "-k", "2", "--tenant", "alpha", "--data-dir", data)
    heads = re.findall(r"^\d+\. (\S+), characters (\d+)-(\d+), score (-?\d\.\d{3})$", ended.out, re.MULTILINE)
    assert len(heads) == 2
    assert "\x1b" not in ended.out


def test_adding_again_changes_nothing_and_says_so(partywall: Command, document: Path, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("The returns desk is on the second floor.")
    assert re.fullmatch(r"note\.txt: added, 40 characters in 1 piece\n", _add(partywall, document, "alpha", path).out)
    assert _add(partywall, document, "alpha", path).out.startswith("note.txt: unchanged,")
    assert _add(partywall, document, "beta", path).out.startswith("note.txt: added,")
    path.write_text("The returns desk has moved to the third floor.")
    assert _add(partywall, document, "alpha", path).out.startswith("note.txt: replaced,")
    (hit,) = _search(partywall, document, "alpha", "where is the returns desk")
    assert "third floor" in hit["text"]
    (hit,) = _search(partywall, document, "beta", "where is the returns desk")
    assert "second floor" in hit["text"]


def test_listing_shows_one_tenants(partywall: Command, filled: Path) -> None:
    data = filled.parent / "data"
    for tenant in ("alpha", "beta"):
        arguments = ("documents", "list", filled, "--tenant", tenant, "--data-dir", data)
        listed = partywall(*arguments, "--format", "json").json
        assert {each["name"] for each in listed} == {path.name for path in (DEMO / tenant).iterdir()}
        lines = partywall(*arguments).out.splitlines()
        assert {line.split()[0] for line in lines[2:]} == {each["name"] for each in listed}


def test_metadata_narrows_a_search(partywall: Command, document: Path, tmp_path: Path) -> None:
    for year in ("2024", "2025"):
        path = tmp_path / f"report-{year}.txt"
        path.write_text(f"The report of {year} is about returns.")
        assert _add(partywall, document, "alpha", path, "--metadata", f"year={year}").code == 0
    assert len(_search(partywall, document, "alpha", "returns")) == 2
    (hit,) = _search(partywall, document, "alpha", "returns", "--where", "year=2024")
    assert (hit["document"], hit["metadata"]) == ("report-2024.txt", {"year": "2024"})
    none = ("--where", "year=2024", "--where", "year=2025")
    assert _search(partywall, document, "alpha", "returns", *none) == []


def test_one_file_that_is_refused_holds_up_no_other(partywall: Command, document: Path, tmp_path: Path) -> None:
    broken, good = tmp_path / "broken.pdf", tmp_path / "good.txt"
    broken.write_bytes(b"no PDF at all")
    good.write_text("Good.")
    ended = _add(partywall, document, "alpha", broken, good)
    assert ended.code == 2
    assert ended.out.startswith("good.txt: added,")
    assert ended.err.startswith(f"{broken}: ")
    assert ended.err.count("\n") == 1


def test_the_tenants_records_say_who_did_it_and_why(partywall: Command, document: Path, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("A note.")
    _add(partywall, document, "alpha", path, "--reason", "ticket 7")
    _search(partywall, document, "alpha", "note")
    said = [(r.path, r.reason, r.credential_id, r.outcome) for r in recorded(document.parent / "data", "alpha")]
    assert said == [
        ("documents add", "ticket 7", f"operator:{_ME}", "completed"),
        ("documents search", "an operator's command", f"operator:{_ME}", "completed"),
    ]
    assert recorded(document.parent / "data", "beta") == []


def test_a_running_gateways_tenant_finds_what_was_added(partywall: Command, document: Path, tmp_path: Path) -> None:
    path, data = tmp_path / "note.txt", tmp_path / "data"
    path.write_text("The returns desk is on the second floor.")

    async def found(tenant: str) -> list[str]:
        async with Platform.open(document, data_dir=data, command="test") as platform:
            scope = await platform.authenticate(headers_of(tenant))
            return [hit.text for hit in await platform.documents.search(scope, "returns desk")]

    with serve(document, data):
        assert _add(partywall, document, "alpha", path).code == 0
        assert [asyncio.run(found(tenant)) for tenant in ("alpha", "beta")] == [[path.read_text()], []]


def test_what_cannot_be_done_is_one_line(partywall: Command, document: Path, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("A note.")
    assert "names no tenant `gamma`" in _one_line(_add(partywall, document, "gamma", path))
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "note.txt"
    twin.write_text("Another.")
    assert "both are called `note.txt`" in _one_line(_add(partywall, document, "alpha", path, twin))
    data = tmp_path / "data"
    missing = partywall("documents", "list", document, "--tenant", "alpha", "--collection", "vs_x", "--data-dir", data)
    assert "no such record" in _one_line(missing)
    plain = write_document(tmp_path / "plain.yaml", base_document())
    assert "add `encryption: {}`" in _one_line(_add(partywall, plain, "alpha", path))
    for option in ("--metadata", "year"), ("--metadata", "=1"):
        ended = _add(partywall, document, "alpha", path, *option)
        assert (ended.code, ended.out) == (2, "")
        assert "KEY=VALUE" in ended.err


def test_what_a_document_holds_cannot_move_the_cursor(partywall: Command, document: Path, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("Returns \x1b[2J go \u202e to\nthe desk.")
    ended = _add(partywall, document, "alpha", path)
    if ended.code == 0:  # a reader may refuse it as well
        data = document.parent / "data"
        shown = partywall("documents", "search", document, "returns", "--tenant", "alpha", "--data-dir", data).out
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert len(shown.strip().splitlines()) == 2


def test_a_suspended_tenant_can_be_looked_after(partywall: Command, document: Path, tmp_path: Path) -> None:
    path, data = tmp_path / "note.txt", tmp_path / "data"
    path.write_text("A note.")
    partywall("tenants", "suspend", "alpha", document, "--data-dir", data, "--reason", "audit")
    assert _add(partywall, document, "alpha", path).code == 0
