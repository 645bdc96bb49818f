"""Credentials come from where the document says, now, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from partywall.config import secret_refs
from partywall.config.secret_refs import SecretKind, SecretRef, SecretResolver
from partywall.errors import CredentialUnavailable


def env(name: str) -> SecretRef:
    return SecretRef(SecretKind.ENV, name)


def file(path: Path) -> SecretRef:
    return SecretRef(SecretKind.FILE, str(path))


def private(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


@pytest.fixture
def resolver() -> SecretResolver:
    return SecretResolver()


def test_environment_is_read_at_each_call(resolver: SecretResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHA_KEY", "sk-1")
    assert resolver.resolve(env("ALPHA_KEY")).matches("sk-1")
    monkeypatch.setenv("ALPHA_KEY", "sk-2")
    assert resolver.resolve(env("ALPHA_KEY")).matches("sk-2")
    monkeypatch.delenv("ALPHA_KEY")
    with pytest.raises(CredentialUnavailable, match="`ALPHA_KEY` is not set"):
        resolver.resolve(env("ALPHA_KEY"))


def test_an_unchanged_variable_gives_the_same_object_and_no_other(
    resolver: SecretResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made of a secret is known again by the object, so an object must never stand for another content."""
    monkeypatch.setenv("ALPHA_KEY", "sk-1")
    monkeypatch.setenv("BETA_KEY", "sk-1")
    first = resolver.resolve(env("ALPHA_KEY"))
    assert resolver.resolve(env("ALPHA_KEY")) is first
    assert resolver.resolve(env("BETA_KEY")) is not first
    monkeypatch.setenv("ALPHA_KEY", "sk-2")
    second = resolver.resolve(env("ALPHA_KEY"))
    assert second is not first
    assert first.matches("sk-1")
    assert second.matches("sk-2")
    monkeypatch.setenv("ALPHA_KEY", "")
    for _ in range(2):
        with pytest.raises(CredentialUnavailable, match="empty"):
            resolver.resolve(env("ALPHA_KEY"))


def test_what_is_kept_has_a_bound(resolver: SecretResolver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(secret_refs, "_MAX_KEPT", 3)
    for number in range(10):
        monkeypatch.setenv(f"KEY_{number}", f"sk-{number}")
        assert resolver.resolve(env(f"KEY_{number}")).matches(f"sk-{number}")
        assert resolver.resolve(file(private(tmp_path / f"{number}", b"sk-%d" % number))).matches(f"sk-{number}")
        assert max(len(resolver._variables), len(resolver._files)) <= 3


def test_nothing_falls_back_to_the_other_tenants_key(resolver: SecretResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """C44: alpha's key is there, beta's is not; beta gets none."""
    monkeypatch.setenv("ALPHA_KEY", "sk-alpha")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-platform")
    resolver.resolve(env("ALPHA_KEY"))
    monkeypatch.delenv("BETA_KEY", raising=False)
    with pytest.raises(CredentialUnavailable):
        resolver.resolve(env("BETA_KEY"))


@pytest.mark.parametrize("content", [b"sk-1", b"sk-1\n"])
def test_one_trailing_newline_of_a_file_is_not_the_secrets(
    resolver: SecretResolver, tmp_path: Path, content: bytes
) -> None:
    assert resolver.resolve(file(private(tmp_path / "key", content))).matches("sk-1")


def test_a_rotated_file_counts_at_once(resolver: SecretResolver, tmp_path: Path) -> None:
    path = private(tmp_path / "key", b"sk-1\n")
    first = resolver.resolve(file(path))
    assert resolver.resolve(file(path)) is first
    before = path.stat()
    # The hardest case: the same length and the same modification time, put in place by a rename.
    aside = private(tmp_path / "aside", b"sk-2\n")
    os.utime(aside, ns=(before.st_atime_ns, before.st_mtime_ns))
    aside.rename(path)
    assert resolver.resolve(file(path)).matches("sk-2")


def test_a_file_rewritten_in_place_with_its_old_time_is_noticed(resolver: SecretResolver, tmp_path: Path) -> None:
    path = private(tmp_path / "key", b"sk-1\n")
    resolver.resolve(file(path))
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # until the file system's clock ticks
        path.write_bytes(b"sk-2\n")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert resolver.resolve(file(path)).matches("sk-2")


def test_a_kept_secret_dies_with_its_file(resolver: SecretResolver, tmp_path: Path) -> None:
    path = private(tmp_path / "key", b"sk-1")
    resolver.resolve(file(path))
    path.unlink()
    with pytest.raises(CredentialUnavailable, match="No such file"):
        resolver.resolve(file(path))


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o666])
def test_a_file_open_to_everybody_is_refused_even_once_kept(
    resolver: SecretResolver, tmp_path: Path, mode: int
) -> None:
    path = private(tmp_path / "key", b"sk-1")
    resolver.resolve(file(path))
    path.chmod(mode)
    with pytest.raises(CredentialUnavailable, match="open to every user"):
        resolver.resolve(file(path))


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"\n\n", b" sk-1", b"sk-1\r\n", b"sk-1\nx-admin: yes", b"sk-\x00", b"sk-\xff", "schlüssel".encode()],
)
def test_content_that_could_not_be_one_header_value(resolver: SecretResolver, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CredentialUnavailable) as raised:
        resolver.resolve(file(private(tmp_path / "key", content)))
    assert "sk-" not in str(raised.value)
    assert "x-admin" not in str(raised.value)


@pytest.mark.parametrize("value", ["", "a\nb", "a ", "é"])
def test_the_same_holds_for_the_environment(
    resolver: SecretResolver, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("ALPHA_KEY", value)
    with pytest.raises(CredentialUnavailable):
        resolver.resolve(env("ALPHA_KEY"))


def test_what_is_no_file_is_refused_without_waiting(resolver: SecretResolver, tmp_path: Path) -> None:
    with pytest.raises(CredentialUnavailable, match="not a regular file"):
        resolver.resolve(file(tmp_path))
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    with pytest.raises(CredentialUnavailable, match="not a regular file"):
        resolver.resolve(file(fifo))


def test_a_huge_file_is_refused(resolver: SecretResolver, tmp_path: Path) -> None:
    with pytest.raises(CredentialUnavailable, match="longer than"):
        resolver.resolve(file(private(tmp_path / "key", b"a" * 70_000)))


def test_a_path_with_a_null_byte_is_refused(resolver: SecretResolver) -> None:
    with pytest.raises(CredentialUnavailable):
        resolver.resolve(SecretRef(SecretKind.FILE, "a\0b"))


def test_a_symlink_to_a_private_file_is_followed(resolver: SecretResolver, tmp_path: Path) -> None:
    """Kubernetes mounts secrets so."""
    private(tmp_path / "real", b"sk-1")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert resolver.resolve(file(tmp_path / "link")).matches("sk-1")


@pytest.mark.parametrize("kind", [SecretKind.VAULT, SecretKind.STORE])
def test_kinds_without_their_room_say_so(resolver: SecretResolver, kind: SecretKind) -> None:
    with pytest.raises(CredentialUnavailable, match="store of credentials"):
        resolver.resolve(SecretRef(kind, "secret/alpha"))
