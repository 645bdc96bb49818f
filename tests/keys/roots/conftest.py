"""The real engines, once for each test process, and every root as a subject of the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.keys.roots.subjects import Subject, file_subject, kms_subject, shared_vault_subject, vault_subject
from tests.support.engines.kms import Kms
from tests.support.engines.openbao import Bao, SealedBao
from tests.support.engines.token_review import Cluster


@pytest.fixture(scope="session")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    engine = Bao(tmp_path_factory.mktemp("bao"))
    yield engine
    engine.child.kill()


@pytest.fixture(scope="session")
def tls_bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    engine = Bao(tmp_path_factory.mktemp("tls"), tls=True)
    yield engine
    engine.child.kill()


@pytest.fixture(scope="session")
def sealed_bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SealedBao]:
    """It is unsealed between tests; a test that seals or kills it puts that right."""
    engine = SealedBao(tmp_path_factory.mktemp("sealed"))
    yield engine
    engine.child.kill()


@pytest.fixture(scope="session")
def kms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kms]:
    engine = Kms(tmp_path_factory.mktemp("kms"))
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


SUBJECTS = ("file", "vault", "vault-shared", "kms")


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    """Each root in turn, with its engine behind a proxy."""
    makers: dict[str, Callable[[ExitStack], Subject]] = {
        "file": lambda _: file_subject(tmp_path),
        "vault": lambda stack: vault_subject(request.getfixturevalue("bao"), stack),
        "vault-shared": lambda stack: shared_vault_subject(request.getfixturevalue("bao"), stack),
        "kms": lambda stack: kms_subject(request.getfixturevalue("kms"), stack),
    }
    with ExitStack() as stack:
        yield makers[request.param](stack)
