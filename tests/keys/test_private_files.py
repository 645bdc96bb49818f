"""Owner-only files: replaced whole or not at all, whatever happens in between."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from partywall.keys import private_files as files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files.make_folder(tmp_path / "own")
    return tmp_path / "own"


def test_what_is_made_is_the_owners_alone(folder: Path) -> None:
    files.replace(folder / "a", b"one")
    files.append(folder / "b", b"line\n", sync=True)
    with files.locked(folder / "c", patience_seconds=0):
        pass
    assert [oct(path.stat().st_mode & 0o777) for path in sorted(folder.iterdir())] == ["0o600"] * 3
    assert oct(folder.stat().st_mode & 0o777) == "0o700"


def test_reading_gives_what_was_written(folder: Path) -> None:
    assert files.read(folder / "a") is None
    files.replace(folder / "a", b"one")
    files.replace(folder / "a", b"two")
    assert files.read(folder / "a") == b"two"
    assert [path.name for path in folder.iterdir()] == ["a"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_open_to_others_is_refused(folder: Path, mode: int) -> None:
    files.replace(folder / "a", b"one")
    (folder / "a").chmod(mode)
    for act in (files.read, lambda path: files.replace(path, b"x"), lambda path: files.append(path, b"x", sync=False)):
        with pytest.raises(OSError, match="chmod 600"):
            act(folder / "a")


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o755])
def test_a_folder_open_to_others_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(OSError, match="chmod 700"):
        files.make_folder(folder)
    with pytest.raises(OSError, match="chmod 700"):
        files.replace(folder / "a", b"one")


def test_links_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"foreign")
    (tmp_path / "elsewhere").chmod(0o600)
    (folder / "soft").symlink_to(tmp_path / "elsewhere")
    (folder / "hard").hardlink_to(tmp_path / "elsewhere")
    (tmp_path / "linked").symlink_to(folder)
    for name in ("soft", "hard"):
        with pytest.raises(OSError, match=r"levels of symbolic links|single name"):
            files.read(folder / name)
        with pytest.raises(OSError, match=r"levels of symbolic links|single name"):
            files.replace(folder / name, b"x")
        with pytest.raises(OSError, match=r"levels of symbolic links|single name"):
            files.append(folder / name, b"x", sync=False)
    with pytest.raises(OSError, match="not a plain folder"):
        files.make_folder(tmp_path / "linked")
    assert (tmp_path / "elsewhere").read_bytes() == b"foreign"


def test_a_file_too_large_is_refused(folder: Path) -> None:
    files.replace(folder / "a", b"12345")
    with pytest.raises(OSError, match="larger than 4"):
        files.read(folder / "a", largest=4)


def test_what_was_replaced_is_overwritten(folder: Path) -> None:
    files.replace(folder / "a", b"the old key")
    with (folder / "a").open("rb") as old:
        files.replace(folder / "a", b"the new key")
        assert old.read() == bytes(len("the old key"))


def test_a_backup_that_shares_the_file_is_left_alone(folder: Path) -> None:
    files.replace(folder / "a", b"the old key")
    with (folder / "a").open("rb") as old:
        os.link(folder / "a", folder / "backup")
        with pytest.raises(OSError, match="single name"):
            files.replace(folder / "a", b"the new key")
        assert old.read() == b"the old key"


def test_what_a_dying_process_left_is_overwritten_and_removed(folder: Path) -> None:
    (folder / "a.new").write_bytes(b"half a key")
    with (folder / "a.new").open("rb") as left:
        files.replace(folder / "a", b"one")
        assert left.read() == bytes(len("half a key"))
    assert [path.name for path in folder.iterdir()] == ["a"]


def test_each_replacement_shows_in_the_stamp(folder: Path) -> None:
    """Within one tick of the filesystem's clock, and with a number of the inode that comes back, too."""
    seen = set()
    times = []
    for _ in range(200):
        files.replace(folder / "a", b"same size")
        seen.add(files.stamp(folder / "a"))
        times.append((folder / "a").stat().st_mtime_ns)
    assert len(seen) == 200
    assert times == sorted(set(times))


CALLS = ("write", "fsync", "utime", "close", "open", "fstat")


@pytest.mark.parametrize("call", [*CALLS, "rename"])
def test_dying_anywhere_leaves_the_old_or_the_new(folder: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Each call of each kind fails once; whoever comes next reads one of the two, and can write again."""
    for nth in range(1, 8):
        files.replace(folder / "a", b"old")
        with monkeypatch.context() as patch:
            failing = Failing(Path.replace if call == "rename" else getattr(os, call), nth)
            patch.setattr(Path if call == "rename" else os, "replace" if call == "rename" else call, failing)
            try:
                files.replace(folder / "a", b"new")
            except OSError as error:
                assert "planted" in str(error)  # noqa: PT017 - it needn't fail
        assert files.read(folder / "a") in {b"old", b"new"}
        assert failing.failed or nth > 1
    files.replace(folder / "a", b"last")
    assert files.read(folder / "a") == b"last"


class Failing:
    """A function that fails the nth time, as if the process had died there."""

    def __init__(self, function: Callable[..., object], nth: int) -> None:
        self._function = function
        self._left = nth
        self.failed = False

    def __call__(self, *args: object, **kwargs: object) -> object:
        self._left -= 1
        if self._left == 0:
            self.failed = True
            raise OSError("planted")
        return self._function(*args, **kwargs)

    def __get__(self, instance: object, _: object) -> Callable[..., object]:
        return lambda *args: self(instance, *args)


def test_reading_beside_replacing_sees_whole_files(folder: Path) -> None:
    """The old file is overwritten with zeros; no reader ever gets those."""
    path = folder / "a"
    files.replace(path, b"x" * 50_000)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for letter in (b"x", b"y"):
                files.replace(path, letter * 50_000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            data = files.read(path)
            assert data in {b"x" * 50_000, b"y" * 50_000}
    finally:
        stop.set()
        writer.join()


def test_a_file_replaced_in_the_middle_of_reading_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is open, and what it holds is overwritten before we read it."""
    path = folder / "a"
    files.replace(path, b"old")
    check = files._check_file

    def check_and_replace(at: Path, found: os.stat_result) -> None:
        check(at, found)
        monkeypatch.undo()
        files.replace(path, b"new")

    monkeypatch.setattr(files, "_check_file", check_and_replace)
    assert files.read(path) == b"new"


def test_a_torn_line_stays_on_its_own(folder: Path) -> None:
    path = folder / "lines"
    assert files.append(path, b"one\n", sync=False) == 4
    with path.open("ab") as file:
        file.write(b"tor")
    assert files.append(path, b"two\n", sync=False) == 12
    assert path.read_bytes() == b"one\ntor\ntwo\n"


def test_a_short_write_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda _handle, data: len(data) - 1)
    with pytest.raises(OSError, match="a part of a record"):
        files.append(folder / "lines", b"one\n", sync=False)


def test_the_lock_excludes_and_shares(folder: Path) -> None:
    path = folder / "lock"

    def take(*, shared: bool = False) -> AbstractContextManager[None]:
        return files.locked(path, patience_seconds=0.02, shared=shared)

    held = pytest.raises(OSError, match="held by another")
    with take(shared=True), take(shared=True), held, take():
        pass
    held = pytest.raises(OSError, match="held by another")
    with take(), held, take(shared=True):
        pass
    with take():
        pass
