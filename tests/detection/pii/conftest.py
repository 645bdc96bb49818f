from __future__ import annotations

import pytest

from partywall.detection.pii import BUILT_IN, Detector, phones_of


@pytest.fixture(scope="session")
def detector() -> Detector:
    """Everything that is built in."""
    return Detector([*BUILT_IN, phones_of("US")])
