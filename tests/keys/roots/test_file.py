"""The root in a file: who may read it, how it grows, and that nothing is lost."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.keys.roots.subjects import ALPHA, BETA, opened, random_key, run

from partywall.errors import BrokenSeal, ConfigError, KeyUnavailable, SealBroken
from partywall.keys.roots import FileRoot, FileRootSettings, Root, root_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "root.key"
    FileRoot.create(path)
    return path


def refusal(path: Path) -> str:
    """What the check says."""

    async def main() -> str:
        async with opened(FileRootSettings(path)) as root:
            with pytest.raises(KeyUnavailable) as caught:
                await root.check()
            return str(caught.value)

    return asyncio.run(main())


def test_a_new_file_is_its_owner_s_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        FileRoot.create(tmp_path / "root.key")
    finally:
        os.umask(before)
    assert (tmp_path / "root.key").stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["root.key"]
    assert len(root_file.read(tmp_path / "root.key")[0]) == 32


def test_two_files_hold_two_keys(tmp_path: Path) -> None:
    FileRoot.create(tmp_path / "one")
    FileRoot.create(tmp_path / "two")
    assert root_file.read(tmp_path / "one") != root_file.read(tmp_path / "two")


def test_a_file_that_is_there_is_never_overwritten(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="exists; a root key is never overwritten"):
        FileRoot.create(path)
    assert path.read_bytes() == before
    (path.parent / "link").symlink_to(path.parent / "nowhere")
    with pytest.raises(ConfigError, match="exists"):
        FileRoot.create(path.parent / "link")
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["link", "root.key"]


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be made: No such file or directory"):
        FileRoot.create(tmp_path / "nowhere" / "root.key")


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o601, 0o620, 0o610, 0o602, 0o777])
def test_any_right_of_others_is_refused_with_the_mend(path: Path, mode: int) -> None:
    path.chmod(mode)
    assert f"(mode {mode:o}); run: chmod 600 {path}" in refusal(path)


def test_a_stricter_mode_is_fine(path: Path) -> None:
    path.chmod(0o400)
    run(FileRootSettings(path), lambda root: root.wrap(ALPHA, random_key(), b""))


def test_a_symbolic_link_is_refused(path: Path) -> None:
    real = path.rename(path.with_name("real.key"))
    path.symlink_to(real)
    assert "is a symbolic link" in refusal(path)


def test_what_is_no_file_is_refused(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)
    assert "is no regular file" in refusal(path)
    path.rmdir()
    os.mkfifo(path, 0o600)
    assert "is no regular file" in refusal(path)


def test_another_user_s_file_is_refused(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, 65534, -1)
        assert "belongs to user 65534; it must be our own" in refusal(path)
    else:  # only root can give a file away, and has one of its own that all may read
        assert "belongs to user 0; it must be our own" in refusal(Path("/etc/passwd"))


KEY = "1 " + "ab" * 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "partywall root key v1\n",
        f"partywall root key v2\n{KEY}\n",
        f"{KEY}\n",
        f"partywall root key v1\n{KEY[:-1]}\n",
        f"partywall root key v1\n{KEY}0\n",
        f"partywall root key v1\n{KEY.replace('1', '2', 1)}\n",
        f"partywall root key v1\n{KEY}\n{KEY}\n",
        f"partywall root key v1\n{KEY}\n3{KEY[1:]}\n",
        f"partywall root key v1\n{KEY}\n\n",
        f"partywall root key v1\n{KEY}\nwhat is this\n",
        f"partywall root key v1\n{KEY.replace('ab', 'AB', 1)}\n",
        f"partywall root key v1\n{KEY}\nü\n",
    ],
)
def test_a_file_that_is_not_whole_is_refused_and_not_shown(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    said = refusal(path)
    assert "is damaged; put it back from its backup" in said
    assert "abab" not in said


def test_the_file_s_key_opens_nothing_of_another_file(tmp_path: Path) -> None:
    FileRoot.create(tmp_path / "one")
    FileRoot.create(tmp_path / "two")
    wrapped = run(FileRootSettings(tmp_path / "one"), lambda root: root.wrap(ALPHA, random_key(), b""))
    with pytest.raises(SealBroken):
        run(FileRootSettings(tmp_path / "two"), lambda root: root.unwrap(ALPHA, wrapped, b""))


def test_an_older_copy_of_the_file_says_which_version_is_missing(path: Path) -> None:
    older = path.read_bytes()

    def put_back() -> None:
        path.write_bytes(older)

    async def scenario(root: Root) -> None:
        await root.rotate(ALPHA)
        wrapped = await root.wrap(ALPHA, random_key(), b"")
        put_back()
        with pytest.raises(SealBroken, match="names version 2, and the file holds 1") as caught:
            await root.unwrap(ALPHA, wrapped, b"")
        assert caught.value.reason is BrokenSeal.WRAPPED_KEY

    run(FileRootSettings(path), scenario)


def test_nothing_is_destroyed_with_a_tenant(path: Path) -> None:
    before = path.read_bytes()

    async def scenario(root: Root) -> None:
        assert await root.destroy(ALPHA) == "The root key file serves every tenant and was left alone."

    run(FileRootSettings(path), scenario)
    assert path.read_bytes() == before


FULL_DISK = """
import asyncio, pathlib, resource, sys
from partywall.errors import KeyUnavailable
from partywall.keys.roots import FileRootSettings, open_root
root = open_root(FileRootSettings(pathlib.Path(sys.argv[1])))
async def main():
    key = await root.wrap("alpha", bytes(32), b"")
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, resource.RLIM_INFINITY))
    try:
        await root.rotate("alpha")
    except KeyUnavailable as error:
        assert "can't be written: File too large" in str(error), error
        assert await root.unwrap("alpha", key, b"") == bytes(32)
        sys.exit(0)
    sys.exit("it rotated")
asyncio.run(main())
"""


def test_a_rotation_that_can_t_be_written_loses_nothing(path: Path) -> None:
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["root.key"]


ROTATE = """
import asyncio, pathlib, sys
from partywall.keys.roots import FileRootSettings, open_root
root = open_root(FileRootSettings(pathlib.Path(sys.argv[1]), timeout_seconds=30))
async def main():
    for _ in range(20):
        await root.rotate("alpha")
asyncio.run(main())
"""


def test_processes_that_rotate_at_once_lose_no_key(path: Path) -> None:
    first = root_file.read(path)[0]
    rotating = [subprocess.Popen([sys.executable, "-c", ROTATE, str(path)]) for _ in range(3)]
    seen: list[bytes] = [first]
    while any(process.poll() is None for process in rotating):
        now = root_file.read(path)
        assert now[: len(seen)] == seen, "a key was lost, or half a file was seen"
        seen = now
    assert [process.wait() for process in rotating] == [0, 0, 0]
    keys = root_file.read(path)
    assert len(keys) == len(set(keys)) == 61
    assert [entry.name for entry in path.parent.iterdir()] == ["root.key"]


def test_a_disk_that_hangs_is_not_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system that went away can't be had in a test, so the reading hangs by itself."""
    let_go, real = threading.Event(), root_file.read

    def hanging(at: Path) -> list[bytes]:
        let_go.wait(20)
        return real(at)

    async def scenario(root: Root) -> None:
        key = random_key()
        wrapped = await root.wrap(BETA, key, b"")
        with monkeypatch.context() as patched:
            patched.setattr(root_file, "read", hanging)
            began = time.monotonic()
            with pytest.raises(KeyUnavailable, match=r"did not answer within 0\.3 s"):
                await root.unwrap(BETA, wrapped, b"")
            assert time.monotonic() - began < 1.3
            let_go.set()
        assert await root.unwrap(BETA, wrapped, b"") == key

    run(FileRootSettings(path, timeout_seconds=0.3), scenario)
