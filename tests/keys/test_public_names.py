"""What the room offers: each name is there, is the one that its module means, and is loaded only when asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from partywall import keys


@pytest.mark.parametrize("name", keys.__all__)
def test_each_name_is_its_modules(name: str) -> None:
    home = importlib.import_module(keys._HOMES[name])
    assert getattr(keys, name) is getattr(home, name)


def test_the_lists_agree() -> None:
    assert sorted(keys.__all__) == sorted(keys._HOMES)


def test_another_name_is_none_of_ours() -> None:
    with pytest.raises(AttributeError, match="no attribute `master_key`"):
        _ = keys.master_key


def test_importing_the_room_loads_none_of_it() -> None:
    code = "import sys, partywall.keys; print(*[name for name in sys.modules if name.startswith('partywall.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["partywall.keys"]
