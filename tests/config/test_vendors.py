"""How a document names a vendor and a model, and that every room reads it alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from partywall.config import Document, DocumentInvalid, load_bytes
from partywall.config.providers import Target
from partywall.config.vendors import parse_provider


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("openai", ("openai", None)),
        ("openai:chat:gpt-4o", ("openai", "gpt-4o")),
        ("openai:gpt-4o", ("openai", "gpt-4o")),
        ("openai:chat", ("openai", None)),
        ("anthropic:messages:claude-sonnet-4-5", ("anthropic", "claude-sonnet-4-5")),
        ("ollama:chat:llama3:8b", ("ollama", "llama3:8b")),
        ("LlamaCpp", ("llama.cpp", None)),
        ("tensorrt_llm", ("tensorrt-llm", None)),
        ("AzureOpenAI:chat:my-deployment", ("azure", "my-deployment")),
        (" parrot ", ("parrot", None)),
    ],
)
def test_combined_form(text: str, expected: tuple[str, str | None]) -> None:
    assert parse_provider(text) == expected


@pytest.mark.parametrize("text", ["", " ", ":", ":chat:gpt-4o", "openai:"])
def test_forms_that_name_no_vendor_or_no_model(text: str) -> None:
    with pytest.raises(ValueError, match="neither `vendor` nor"):
        parse_provider(text)


def test_the_models_own_key_goes_before_the_combined_form() -> None:
    assert Target(id="t", provider="OpenAI:chat:gpt-4o").upstream_model == "gpt-4o"
    assert Target(id="t", provider="openai:chat:gpt-4o", model="gpt-4.1").upstream_model == "gpt-4.1"
    assert Target(id="t", provider="openai").upstream_model is None
    assert Target(id="t", provider="azure_openai:chat:d").vendor == "azure"


@pytest.mark.parametrize("provider", [":", "openai:", " "])
def test_a_document_with_such_a_provider_is_refused_at_its_place(provider: str) -> None:
    text = f"pack: {{name: t, version: 1.0.0}}\nproviders:\n  targets:\n    - {{id: t, provider: '{provider}'}}\n"
    with pytest.raises(DocumentInvalid, match=r"4:\d+: .*neither `vendor` nor"):
        load_bytes(Document, text.encode(), Path("partywall.yaml"))
