from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.cli.helpers import Command, Ended

from partywall.cli import main


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
