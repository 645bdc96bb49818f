from __future__ import annotations

import hashlib
import re
import signal
from pathlib import Path

import pytest
import yaml
from tests.cli.helpers import Command, spawn, status_of
from tests.support.documents import base_document, merged, write_document
from tests.support.process import serve

from partywall.cli.published_keys import PUBLISHED_KEYS

_EXAMPLES = Path(__file__).parents[2] / "examples"
_EXAMPLE = _EXAMPLES / "two-organisations.yaml"


def test_it_says_where_it_listens_and_warns_of_the_parrot(tmp_path: Path) -> None:
    with serve(_EXAMPLE, tmp_path / "data") as served:
        assert status_of(served.url, "/readyz") == 200
        said = served.log.read_text()
    assert "warning: the document accepts keys from the examples" in said
    assert "parrot, which repeats all it is given, stands behind `parrot-alpha`, `parrot-beta`" in said
    assert f"document {_EXAMPLE}, data in {tmp_path / 'data'}" in said


def test_nothing_to_warn_of_is_no_warning(tmp_path: Path) -> None:
    document = base_document(base_url="http://127.0.0.1:9/v1")
    with serve(write_document(tmp_path / "own.yaml", document), tmp_path / "data") as served:
        assert "warning" not in served.log.read_text()


def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    process = spawn("serve", _EXAMPLE, "--port", "0", "--data-dir", tmp_path / "data")
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert re.fullmatch(r"partywall is listening on http://127\.0\.0\.1:\d+\n", process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert "Aborted" not in process.stderr.read()


def _must_not_serve(*_: object, **__: object) -> None:
    pytest.fail("it would have listened")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "gateway.example.com", ""])  # noqa: S104  # refused, never bound
def test_published_keys_stay_on_this_machine(
    partywall: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str
) -> None:
    monkeypatch.setattr("partywall.cli.serve.serve", _must_not_serve)
    ended = partywall("serve", _EXAMPLE, "--host", host, "--port", "0", "--data-dir", tmp_path / "data")
    assert ended.code == 2
    assert "accepts the published key `pw-demo-alpha-not-a-secret`" in ended.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("key", PUBLISHED_KEYS)
@pytest.mark.parametrize("place", ["digest", "clear", "operator"])
def test_a_published_key_is_found_wherever_it_lets_in(
    partywall: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str, place: str
) -> None:
    monkeypatch.setattr("partywall.cli.serve.serve", _must_not_serve)
    document = base_document(base_url="http://127.0.0.1:9/v1")
    group = document["consumer_groups"]["groups"][1]
    if place == "digest":
        group["api_keys"].append(PUBLISHED_KEYS[key])
    elif place == "clear":
        group["api_key"] = key
    else:
        document = merged(document, server={"admin": {"api_keys": [PUBLISHED_KEYS[key]]}})
    path = write_document(tmp_path / "own.yaml", document)
    ended = partywall("serve", path, "--host", "0.0.0.0", "--data-dir", tmp_path / "data")  # noqa: S104  # refused
    assert ended.code == 2
    assert f"published key `{key}`" in ended.err


def test_a_published_key_in_a_comment_lets_nobody_in(partywall: Command, tmp_path: Path) -> None:
    path = write_document(tmp_path / "own.yaml", base_document(base_url="http://127.0.0.1:9/v1"))
    path.write_text(path.read_text() + "".join(f"# {key} {digest}\n" for key, digest in PUBLISHED_KEYS.items()))
    # The host can't be had, so this ends; what it ends with is no longer the key.
    ended = partywall("serve", path, "--host", "203.0.113.1", "--port", "0", "--data-dir", tmp_path / "data")
    assert ended.code == 2
    assert "published key" not in ended.err
    assert "can't listen on 203.0.113.1" in ended.err


def test_every_key_of_the_examples_is_known() -> None:
    for key, digest in PUBLISHED_KEYS.items():
        assert digest == f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    for example in _EXAMPLES.glob("*.yaml"):
        document = yaml.safe_load(example.read_text())
        digests = {key for group in document["consumer_groups"]["groups"] for key in group["api_keys"]}
        digests |= set(document["server"]["admin"]["api_keys"])
        assert digests <= set(PUBLISHED_KEYS.values()), example


def test_a_missing_document_is_a_sentence(partywall: Command) -> None:
    ended = partywall("serve", "nowhere.yaml")
    assert (ended.code, ended.out) == (2, "")
    assert (
        ended.err == "nowhere.yaml: no such file; give the path of the document, or write one with `partywall init`\n"
    )


def test_a_bad_document_is_shown_where_it_is_bad(partywall: Command, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("pack: {name: parrot}\nproviderz: {}\n")
    ended = partywall("serve", path)
    assert ended.code == 2
    assert ended.err.startswith(f"{path}:2:1: ")
    assert "providerz: {}" in ended.err


def test_a_port_in_use_is_a_sentence(partywall: Command, tmp_path: Path) -> None:
    with serve(_EXAMPLE, tmp_path / "data") as served:
        port = served.url.rpartition(":")[2]
        ended = partywall("serve", _EXAMPLE, "--port", port, "--data-dir", tmp_path / "other")
    assert ended.code == 2
    assert "choose another --host or --port" in ended.err.splitlines()[-1]
