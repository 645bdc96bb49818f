from __future__ import annotations

from pathlib import Path

from partywall.config import Document
from partywall.config.reference import reference_drift

_REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"


def test_the_reference_is_what_the_model_says() -> None:
    # To write it anew: the file holds what `partywall.config.reference.render_reference(Document)` returns.
    assert reference_drift(Document, _REFERENCE) == ""
