from __future__ import annotations

import csv
import os
import pty
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from tests.cli.helpers import Command, Ended, decision, record, spawn

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
