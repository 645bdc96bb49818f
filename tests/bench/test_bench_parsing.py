"""The two places where a benchmark could lie quietly: reading /proc, and rewriting a document that others edit."""

import os
from pathlib import Path

import pytest
from bench.mock import EVENTS
from bench.proc import cpu_seconds, descendants, parse_busy_ticks, parse_stat, resident_mb
from bench.report import Report, markdown, replace_section, table, write_document
from bench.wire import EVENT_MARK, answer_body, chat_body, stream_events

STAT = (
    "{pid} ({name}) S {parent} 1 1 0 -1 4194560 900 80 3 1 {utime} {stime} {cutime} {cstime} "
    "20 0 4 0 12345 250000000 {rss} 18446744073709551615 1 1 0 0 0 0 0 16781312 0 0 0 0 17 0 0 0 0 0 0"
)


def _stat(
    pid: int, parent: int, *, name: str = "gateway", rss: int = 100, ticks: tuple[int, ...] = (1, 2, 4, 8)
) -> str:
    utime, stime, cutime, cstime = ticks
    return STAT.format(
        pid=pid, parent=parent, name=name, rss=rss, utime=utime, stime=stime, cutime=cutime, cstime=cstime
    )


@pytest.mark.parametrize("name", ["nginx", "node (worker)", "a) S 1 2 3", "((", "tmux: server"])
def test_a_command_name_can_not_shift_the_fields(name: str) -> None:
    process = parse_stat(_stat(42, 7, name=name, rss=321))

    assert (process.pid, process.parent, process.ticks, process.rss_pages) == (42, 7, 15, 321)


def test_the_tree_holds_grandchildren_and_nobody_else() -> None:
    processes = [parse_stat(_stat(pid, parent)) for pid, parent in [(5, 3), (3, 2), (2, 1), (9, 1), (10, 9)]]

    assert sorted(process.pid for process in descendants(2, processes)) == [2, 3, 5]
    assert descendants(77, processes) == []


def test_time_spent_idle_or_waiting_for_the_disk_is_not_busy() -> None:
    text = "cpu  1 2 4 100000 200000 8 16 32 0 0\ncpu0 1 2 4 5 6 8 16 32 0 0\n"

    assert parse_busy_ticks(text) == 1 + 2 + 4 + 8 + 16 + 32


def test_this_process_uses_memory_and_its_cpu_time_grows() -> None:
    before = cpu_seconds(os.getpid())
    while sum(os.times()[:2]) < before + 0.05:
        pass

    assert cpu_seconds(os.getpid()) > before
    assert resident_mb(os.getpid()) > 5


@pytest.mark.parametrize("size", [1024, 16 * 1024])
@pytest.mark.parametrize("stream", [False, True])
def test_bodies_have_exactly_the_size_that_the_table_names(size: int, *, stream: bool) -> None:
    assert len(chat_body(size, stream=stream)) == size


def test_the_marks_stand_as_often_as_the_load_generator_expects() -> None:
    assert b"".join(stream_events(EVENTS)).count(EVENT_MARK) == EVENTS - 2
    assert 900 < len(answer_body()) < 1200


def test_a_cell_can_not_break_the_table() -> None:
    text = table(["gateway", "why"], [["a|b", "line one\nline two"]])

    assert [line.count(" | ") for line in text.splitlines()] == [1, 0, 1]
    assert "line one line two" in text
    assert "a\\|b" in text


def test_a_section_is_replaced_and_what_stands_around_it_stays(tmp_path: Path) -> None:
    path = tmp_path / "docs" / "benchmarks.md"
    write_document(path, {"gateways": "first", "memory": "other"})
    path.write_text(path.read_text(encoding="utf-8") + "\nwritten by hand\n", encoding="utf-8")
    write_document(path, {"gateways": "second"})
    text = path.read_text(encoding="utf-8")

    assert "first" not in text
    assert text.count("<!-- bench:gateways:start -->\nsecond\n<!-- bench:gateways:end -->") == 1
    assert "<!-- bench:memory:start -->\nother\n<!-- bench:memory:end -->" in text
    assert text.endswith("\nwritten by hand\n")


@pytest.mark.parametrize(
    "text",
    [
        "<!-- bench:x:start -->\nrest",
        "rest\n<!-- bench:x:end -->",
        "<!-- bench:x:end -->\n<!-- bench:x:start -->",
    ],
)
def test_markers_that_do_not_pair_up_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="don't pair up"):
        replace_section(text, "x", "new")


def test_a_section_says_where_and_how_it_was_measured() -> None:
    report = Report("x", "Title", ["gateway", "µs"], [["nginx", "20"]], ["a note"])

    assert markdown(report, "Some CPU, 2 cores.", "python -m bench x").splitlines() == [
        "## Title",
        "",
        "| gateway | µs  |",
        "|---------|-----|",
        "| nginx   | 20  |",
        "",
        "- a note",
        "- Some CPU, 2 cores. `python -m bench x`",
    ]
