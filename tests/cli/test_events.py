from __future__ import annotations

import csv
import os
import pty
import signal
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from tests.cli.helpers import Command, Ended, decision, record, spawn
from tests.cli.sealed import ask, document_in
from tests.support.documents import TENANTS, base_document, write_document

from partywall.trail import Verdict


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Alpha: ten allowed an hour ago and a refusal now. Beta: one now. Nobody: one refusal now."""
    now = time.time()
    data_dir = tmp_path / "data"
    record(
        data_dir,
        *(decision("alpha", time=now - 3600 + n, path=f"/v1/old/{n}") for n in range(10)),
        decision("alpha", time=now, path="/v1/new", verdict=Verdict.BLOCK, code="tool_denied", reason="no"),
        decision("beta", time=now + 1, path="/v1/betas"),
        decision(None, time=now + 2, path="/v1/nobodys", verdict=Verdict.BLOCK, code="missing_identity"),
    )
    return data_dir


def _paths(ended: Ended) -> list[str]:
    assert ended.code == 0
    return [orjson.loads(line)["path"] for line in ended.out.splitlines()]


def test_one_tenants_decisions_are_its_own(partywall: Command, data_dir: Path) -> None:
    alphas = _paths(partywall("events", "export", "--data-dir", data_dir, "--tenant", "alpha", "--format", "json"))
    assert alphas == [*(f"/v1/old/{n}" for n in range(10)), "/v1/new"]
    betas = _paths(partywall("events", "export", "--data-dir", data_dir, "--tenant", "beta", "--format", "json"))
    assert betas == ["/v1/betas"]


def test_without_a_tenant_everybodys_in_the_order_of_time(partywall: Command, data_dir: Path) -> None:
    paths = _paths(partywall("events", "export", "--data-dir", data_dir, "--format", "json"))
    assert paths[-3:] == ["/v1/new", "/v1/betas", "/v1/nobodys"]
    assert len(paths) == 13


def test_the_platforms_own(partywall: Command, data_dir: Path) -> None:
    assert _paths(partywall("events", "tail", "--data-dir", data_dir, "--platform", "--format", "json")) == [
        "/v1/nobodys"
    ]
    assert partywall("events", "tail", "--data-dir", data_dir, "--platform", "--tenant", "alpha").code == 2


def test_tail_shows_the_newest_oldest_first(partywall: Command, data_dir: Path) -> None:
    paths = _paths(partywall("events", "tail", "--data-dir", data_dir, "--limit", "3", "--format", "json"))
    assert paths == ["/v1/new", "/v1/betas", "/v1/nobodys"]
    assert _paths(partywall("events", "tail", "--data-dir", data_dir, "--limit", "0", "--format", "json")) == []


def test_tail_shows_twenty(partywall: Command, tmp_path: Path) -> None:
    record(tmp_path / "data", *(decision("alpha", time=float(n), path=f"/{n}") for n in range(30)))
    paths = _paths(partywall("events", "tail", "--data-dir", tmp_path / "data", "--format", "json"))
    assert paths == [f"/{n}" for n in range(10, 30)]


@pytest.mark.parametrize(
    ("verdict", "paths"),
    [("block", ["/v1/new"]), ("redact", []), ("escalate", [])],
)
def test_by_verdict(partywall: Command, data_dir: Path, verdict: str, paths: list[str]) -> None:
    selection = ("--data-dir", data_dir, "--tenant", "alpha", "--verdict", verdict, "--format", "json")
    assert _paths(partywall("events", "export", *selection)) == paths
    assert _paths(partywall("events", "tail", *selection)) == paths


@pytest.mark.parametrize("age", ["30m", "1800s", "iso", "iso-with-offset"])
def test_since(partywall: Command, data_dir: Path, age: str) -> None:
    moment = datetime.fromtimestamp(time.time() - 1800, UTC)
    since = {"iso": moment.replace(tzinfo=None).isoformat(), "iso-with-offset": moment.isoformat()}.get(age, age)
    selection = ("--data-dir", data_dir, "--tenant", "alpha", "--format", "json")
    assert _paths(partywall("events", "export", *selection, "--since", since)) == ["/v1/new"]
    assert len(_paths(partywall("events", "export", *selection, "--since", "2d"))) == 11


@pytest.mark.parametrize("since", ["", "soon", "1y", "-1h", "1.5h", "2026-13-01", "9999999999999d"])
def test_a_since_that_is_no_moment(partywall: Command, data_dir: Path, since: str) -> None:
    ended = partywall("events", "tail", "--data-dir", data_dir, f"--since={since}")
    assert (ended.code, ended.out) == (2, "")
    assert "--since" in ended.err


def test_csv_has_a_header_and_a_row_each(partywall: Command, data_dir: Path) -> None:
    rows = list(
        csv.DictReader(partywall("events", "export", "--data-dir", data_dir, "--format", "csv").out.splitlines())
    )
    assert len(rows) == 13
    assert {row["tenant"] for row in rows} == {"alpha", "beta", ""}
    nothing = partywall("events", "export", "--data-dir", data_dir, "--tenant", "gamma", "--format", "csv")
    assert len(nothing.out.splitlines()) == 1


def test_text_is_a_line_each(partywall: Command, data_dir: Path) -> None:
    lines = partywall("events", "tail", "--data-dir", data_dir, "--tenant", "beta").out.splitlines()
    assert len(lines) == 1
    assert " ALLOW    beta POST /v1/betas " in lines[0]


def test_a_tenant_that_nobody_has_heard_of(partywall: Command, data_dir: Path) -> None:
    ended = partywall("events", "tail", "--data-dir", data_dir, "--tenant", "gamma")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == f"no decisions of a tenant `gamma` in {data_dir}\n"


@pytest.mark.parametrize("tenant", ["../alpha", "Alpha", ""])
def test_what_is_no_tenant_id(partywall: Command, data_dir: Path, tenant: str) -> None:
    ended = partywall("events", "tail", "--data-dir", data_dir, "--tenant", tenant)
    assert (ended.code, ended.out) == (2, "")


def test_no_directory_is_one_line(partywall: Command) -> None:
    ended = partywall("events", "export", "--data-dir", "nowhere")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert not Path("nowhere").exists()


def test_a_row_that_belongs_elsewhere_is_an_alarm_and_no_event(partywall: Command, data_dir: Path) -> None:
    tenants = data_dir / "tenants"
    (tenants / "alpha").rename(tenants / "moving")
    (tenants / "beta").rename(tenants / "alpha")
    ended = partywall("events", "export", "--data-dir", data_dir, "--tenant", "alpha", "--format", "json")
    assert (ended.code, ended.out) == (0, "")
    assert "alarm: decisions of tenant `alpha`, row 1: the row belongs to another tenant" in ended.err


def test_follow_goes_on(data_dir: Path) -> None:
    process = spawn(
        "events", "tail", "--follow", "--data-dir", data_dir, "--tenant", "alpha", "--limit", "1", "--format", "json"
    )
    with process:
        assert process.stdout is not None
        assert orjson.loads(process.stdout.readline())["path"] == "/v1/new"
        record(data_dir, decision("beta", path="/v1/not-this"), decision("alpha", path="/v1/newest"))
        assert orjson.loads(process.stdout.readline())["path"] == "/v1/newest"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""


# -- On a terminal -------------------------------------------------------------------------------------------------


def _on_a_terminal(*arguments: str | Path, **environment: str) -> str:
    ours, its = pty.openpty()
    with spawn(*arguments, stdout=its, **{"TERM": "xterm-256color", "COLUMNS": "100"} | environment) as process:
        os.close(its)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # Linux's way to say that the other side has closed
            pass
        finally:
            os.close(ours)
        assert process.wait(20) == 0
    return shown.decode()


def test_a_terminal_gets_a_table_with_colours(data_dir: Path) -> None:
    shown = _on_a_terminal("events", "tail", "--data-dir", data_dir)
    assert "\x1b[31mblock" in shown
    assert "tool_denied: no" in shown
    assert max(len(line) for line in shown.splitlines() if "\x1b" not in line) <= 100


def test_no_color_is_honoured(data_dir: Path) -> None:
    for command in (("events", "tail"), ("events", "export")):
        assert "\x1b[3" not in _on_a_terminal(*command, "--data-dir", data_dir, NO_COLOR="1")


def test_what_a_client_sent_does_not_reach_the_terminal_as_it_is(tmp_path: Path) -> None:
    record(tmp_path / "data", decision("alpha", path="/\x1b[2J\x1b]0;owned\x07", reason="\x1b[31m", code="not_found"))
    for command in (("events", "tail"), ("events", "export")):
        shown = _on_a_terminal(*command, "--data-dir", tmp_path / "data", NO_COLOR="1")
        assert "\x1b[2J" not in shown
        assert "\x1b]0" not in shown


def test_a_reader_that_leaves_is_no_stack_trace(data_dir: Path) -> None:
    process = spawn("events", "export", "--data-dir", data_dir)
    with process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(20) in (0, 1)


# -- Sealed records --------------------------------------------------------------------------------------------------


def test_sealed_records_are_opened_with_the_keys_of_the_document_that_was_served(
    partywall: Command, sealed_dir: Path
) -> None:
    for command in ("tail", "export"):
        for tenant in TENANTS:
            selection = ("--data-dir", sealed_dir, "--tenant", tenant, "--format", "json")
            assert _paths(partywall("events", command, *selection)) == ["/v1/chat/completions"] * 3
        everybodys = partywall("events", command, "--data-dir", sealed_dir, "--format", "json")
        assert (len(_paths(everybodys)), everybodys.err) == (7, "")


def test_one_tenants_records_are_read_with_that_tenants_key_alone(partywall: Command, sealed_dir: Path) -> None:
    partywall("events", "export", "--data-dir", sealed_dir, "--tenant", "alpha")
    asked = [
        partywall("keys", "audit", "--data-dir", sealed_dir, "--tenant", tenant, "--format", "json").out
        for tenant in TENANTS
    ]
    assert ['"service":"cli"' in uses for uses in asked] == [True, False]


def test_a_document_can_be_named(partywall: Command, sealed_dir: Path) -> None:
    (sealed_dir.parent / "doc.yaml").rename(sealed_dir.parent / "moved.yaml")
    reading = ("events", "export", "--data-dir", sealed_dir, "--format", "json")
    assert len(_paths(partywall(*reading, "--config", sealed_dir.parent / "moved.yaml"))) == 7
    ended = partywall(*reading, "--config", sealed_dir.parent / "nowhere.yaml")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("whose", [("--tenant", "alpha"), ("--platform",), ()], ids=["alpha", "platform", "everybody"])
@pytest.mark.parametrize("gone", ["the document", "its encryption", "the keys"])
def test_without_keys_one_line_says_what_to_do(
    partywall: Command, sealed_dir: Path, gone: str, whose: tuple[str, ...]
) -> None:
    document = sealed_dir.parent / "doc.yaml"
    if gone == "the document":
        document.unlink()
    elif gone == "its encryption":
        write_document(document, base_document())
    else:
        (sealed_dir / "keys").rename(sealed_dir / "elsewhere")
    for command in ("tail", "export"):
        ended = partywall("events", command, "--data-dir", sealed_dir, *whose)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert ended.err.startswith(f"the decisions in {sealed_dir} are sealed, and ")
        assert ended.err.endswith("; --config names the document that they were served with\n")


def test_a_root_that_is_gone_is_one_line_and_no_new_one(partywall: Command, sealed_dir: Path) -> None:
    (sealed_dir / "root.key").unlink()
    ended = partywall("events", "export", "--data-dir", sealed_dir)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "root.key` is not there" in ended.err
    assert not (sealed_dir / "root.key").exists()


def test_a_row_that_does_not_open_is_an_alarm_and_no_event(partywall: Command, sealed_dir: Path) -> None:
    with closing(sqlite3.connect(sealed_dir / "tenants/alpha/decisions.db", isolation_level=None)) as file:
        (sealed,) = file.execute("SELECT admission FROM decisions WHERE seq = 2").fetchone()
        flipped = sealed[:-1] + bytes([sealed[-1] ^ 1])
        file.execute("UPDATE decisions SET admission = ? WHERE seq = 2", (flipped,))
    ended = partywall("events", "export", "--data-dir", sealed_dir, "--format", "json")
    assert len(_paths(ended)) == 6
    assert ended.err == "alarm: decisions of tenant `alpha`, row 2: the admission doesn't open: not_authentic\n"


def test_records_from_before_sealing_are_shown_with_an_alarm(partywall: Command, tmp_path: Path) -> None:
    document, data_dir = write_document(tmp_path / "doc.yaml", base_document()), tmp_path / "data"
    assert ask(document, data_dir, *TENANTS) == [200, 200]
    assert partywall("events", "export", "--data-dir", data_dir).err == ""
    assert ask(document_in(tmp_path), data_dir, *TENANTS) == [200, 200]
    ended = partywall("events", "export", "--data-dir", data_dir, "--tenant", "alpha", "--format", "json")
    assert len(_paths(ended)) == 2
    assert ended.err.startswith(
        "alarm: decisions of tenant `alpha`, row 1: this one, and perhaps others, is not sealed"
    )
    assert ended.err.count("\n") == 1


def test_a_service_that_nobody_expects_is_an_alarm(partywall: Command, sealed_dir: Path) -> None:
    document_in(sealed_dir.parent, key_access_alerts={"expected_services": ["partywall"]})
    ended = partywall("events", "export", "--data-dir", sealed_dir, "--tenant", "beta", "--format", "json")
    assert len(_paths(ended)) == 3
    assert "alarm: unexpected_service: tenant `beta`, service `cli`: " in ended.err
    assert "alpha" not in ended.err


def test_follow_goes_on_with_sealed_records(sealed_dir: Path) -> None:
    document = sealed_dir.parent / "doc.yaml"
    following = ("events", "tail", "-f", "--data-dir", sealed_dir, "--tenant", "alpha", "--limit", "1")
    with spawn(*following, "--format", "json") as process:
        assert process.stdout is not None
        first = orjson.loads(process.stdout.readline())
        assert ask(document, sealed_dir, "beta", "alpha") == [200, 200]
        second = orjson.loads(process.stdout.readline())
        assert (second["tenant"], second["outcome"]) == ("alpha", "completed")
        assert second["id"] != first["id"]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""
