"""Which target serves a model, by whatever form of `provider` the document names it."""

from __future__ import annotations

import pytest
from tests.policy.documents import rules, scope

from partywall.policy import Facts, decide

GROUPS = {"groups": [{"name": "alpha", "upstream": "a"}, {"name": "beta", "upstream": "b"}]}


def served(provider: str, model: str) -> list[str]:
    """The targets that alpha's request for `model` may go to, when alpha's target has that `provider`."""
    targets = [{"id": "a", "provider": provider}, {"id": "b", "provider": "parrot"}]
    made = rules(consumer_groups=GROUPS, providers={"targets": targets})
    facts = Facts("POST", "/v1/chat/completions", "chat.completions", model, {})
    return [target.id for target in decide(made, scope("alpha"), None, facts).targets]


@pytest.mark.parametrize("provider", ["openai:chat:gpt-4o", "openai:gpt-4o", "OpenAI:responses:gpt-4o"])
def test_a_model_in_the_provider_is_the_only_one_served(provider: str) -> None:
    assert served(provider, "gpt-4o") == ["a"]
    assert served(provider, "openai/gpt-4o") == ["a"]
    assert served(provider, "gpt-4.1") == []


@pytest.mark.parametrize("provider", ["openai", "openai:chat"])
def test_without_one_any_model_is(provider: str) -> None:
    assert served(provider, "gpt-4.1") == ["a"]


def test_a_vendor_has_one_name() -> None:
    assert served("azure_openai:chat:d", "azure/d") == ["a"]
