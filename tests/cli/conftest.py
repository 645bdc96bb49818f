from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from tests.cli.helpers import Command, Ended
from tests.cli.sealed import sealed_data

from partywall.cli import main
from partywall.platform.remembered import remember_document


@pytest.fixture
def partywall(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Runs `partywall` in this process, in an empty directory, without a terminal."""
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "NO_COLOR", "PARTYWALL_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["partywall", *map(str, arguments)])
        capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        assert "\x1b" not in out + err, "escape sequences without a terminal"
        assert "Traceback" not in err
        return Ended(code if isinstance(code, int) else 0, out, err)

    return run


@pytest.fixture(scope="session")
def _sealed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sealed")
    sealed_data(folder)
    return folder


@pytest.fixture
def sealed_dir(_sealed_once: Path, tmp_path: Path) -> Path:
    """Of a gateway that served `doc.yaml` beside it: three requests of each tenant's, and one of nobody's."""
    for name in ("doc.yaml", "data"):
        source = _sealed_once / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, tmp_path / name)
    remember_document(tmp_path / "data", tmp_path / "doc.yaml")
    return tmp_path / "data"
