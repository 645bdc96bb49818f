"""Rules about the credentials that we hold for upstreams: one for two tenants is a door between them.

An upstream knows its callers by credential. Prompt caches, files, stored responses, batches and rate limits are kept
per account there, so two tenants behind one credential share all of it (LESSONS C7, C8, C37).
"""

from __future__ import annotations

from collections.abc import Iterator

from partywall.config.providers import Target
from partywall.lint.examples import example
from partywall.lint.findings import Level
from partywall.lint.rule import Hit, Rule
from partywall.lint.subject import Subject, listed, target_path
from partywall.lint.vendors import answers_in_process, credential, divides_tenants, reference

__all__ = ["RULES"]


def _shared_credentials(subject: Subject) -> Iterator[Hit]:
    owners = {rule.id: rule.owners for rule in subject.rules.targets}
    first: dict[tuple[str, str], tuple[Target, frozenset[str]]] = {}
    for index, target in enumerate(subject.document.providers.targets):
        key, claimed_by = credential(target), owners[target.id]
        if key is None or not claimed_by:
            continue
        other, others = first.setdefault(key, (target, claimed_by))
        if others != claimed_by and not _one_salted_engine(target, other):
            yield Hit(
                target_path(index, "api_key" if key[0] == "api_key" else "secret_key_ref"),
                f"`{target.id}` of {listed(claimed_by)} and `{other.id}` of {listed(others)} have one credential",
            )


def _one_salted_engine(one: Target, other: Target) -> bool:
    """Whether both are one engine that knows no accounts: its token opens the door, and a salt divides its cache."""
    same = one.base_url is not None and one.base_url == other.base_url
    return same and divides_tenants(one) and divides_tenants(other)


def _pooled_upstreams(subject: Subject) -> Iterator[Hit]:
    for index, target in enumerate(subject.document.providers.targets):
        tenants = subject.reach.tenants(target.id)
        if len(tenants) > 1 and not divides_tenants(target):
            yield Hit(
                target_path(index, "id"),
                f"{listed(tenants)} share `{target.id}`, and no salt divides the caches of its provider",
            )


def _shared_servers(subject: Subject) -> Iterator[Hit]:
    """Engines without credentials, or with any: one address, two targets, two tenants, no salt."""
    owners = {rule.id: rule.owners for rule in subject.rules.targets}
    first: dict[str, tuple[str, frozenset[str]]] = {}
    for index, target in enumerate(subject.document.providers.targets):
        address, claimed_by = target.base_url, owners[target.id]
        if address is None or not claimed_by or credential(target) is not None or divides_tenants(target):
            continue
        other, others = first.setdefault(address.rstrip("/").lower(), (target.id, claimed_by))
        if others != claimed_by:
            message = f"`{target.id}` of {listed(claimed_by)} and `{other}` of {listed(others)} are one unsalted server"
            yield Hit(target_path(index, "base_url"), message)


def _no_credential(subject: Subject) -> Iterator[Hit]:
    for index, target in enumerate(subject.document.providers.targets):
        if target.base_url is None and credential(target) is None and not answers_in_process(target):
            message = (
                f"`{target.id}` calls a hosted API with no credential, so whatever answers can't tell us from others"
            )
            yield Hit(target_path(index, "id"), message)


def _shared_tool_credentials(subject: Subject) -> Iterator[Hit]:
    tools = subject.document.tools
    for index, server in enumerate(tools.servers if tools is not None else ()):
        first: dict[tuple[str, str], str] = {}
        for tenant, ref in server.credentials.items():
            other = first.setdefault(reference(ref), tenant)
            if other != tenant:
                path = ("tools", "servers", index, "credentials", tenant)
                yield Hit(path, f"`{tenant}` and `{other}` have one credential at the tool server `{server.name}`")


RULES = (
    Rule(
        id="shared-upstream-credential",
        level=Level.ERROR,
        title="One credential behind two tenants' targets",
        why="The vendor knows us by the credential and keeps prompt caches, files and stored answers by account: what "
        "one tenant leaves there, the other can find.",
        mend="Give each tenant's target a credential of an account, project or workspace of its own.",
        bad=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: openai, secret_key_ref: {env: OPENAI_API_KEY}}
    - {id: beta-llm, provider: openai, secret_key_ref: {env: OPENAI_API_KEY}}
"""),
        good=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: openai, secret_key_ref: {env: OPENAI_API_KEY_ALPHA}}
    - {id: beta-llm, provider: openai, secret_key_ref: {env: OPENAI_API_KEY_BETA}}
"""),
        check=_shared_credentials,
    ),
    Rule(
        id="shared-upstream-server",
        level=Level.WARNING,
        title="Two tenants' targets are one server that nothing divides",
        why="A server that serves both keeps one prefix cache. By the time to the first token, one tenant can tell "
        "what the other has asked.",
        mend="Run a server for each tenant, or an engine that takes a cache salt (vLLM, SGLang, TensorRT-LLM).",
        bad=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: ollama, model: llama3, base_url: "http://127.0.0.1:11434"}
    - {id: beta-llm, provider: ollama, model: qwen3, base_url: "http://127.0.0.1:11434"}
"""),
        good=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: vllm, model: llama3, base_url: "http://127.0.0.1:8000"}
    - {id: beta-llm, provider: vllm, model: qwen3, base_url: "http://127.0.0.1:8000"}
"""),
        check=_shared_servers,
    ),
    Rule(
        id="pooled-upstream",
        level=Level.WARNING,
        title="Tenants share a target whose caches nothing divides",
        why="Prompt caches are kept per account. With one account for all, cached token counts and the time to the "
        "first token tell one tenant what another has sent.",
        mend="Give each tenant a target with its own credential, and claim it by `upstream` or `tenants`.",
        bad=example("""\
providers:
  targets:
    - {id: gpt, provider: openai, secret_key_ref: {env: OPENAI_API_KEY}}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY]}
    - {name: beta, api_keys: [BETA_KEY]}
"""),
        good=example("""\
providers:
  targets:
    - {id: gpt-a, provider: openai, secret_key_ref: {env: OPENAI_API_KEY_A}, tenants: [alpha]}
    - {id: gpt-b, provider: openai, secret_key_ref: {env: OPENAI_API_KEY_B}, tenants: [beta]}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY]}
    - {name: beta, api_keys: [BETA_KEY]}
"""),
        check=_pooled_upstreams,
    ),
    Rule(
        id="upstream-without-credential",
        level=Level.NOTE,
        title="A hosted API is called without a credential",
        why="The vendor will refuse. Whoever mends that in a hurry puts one key for everybody into the environment.",
        mend="Give the target a `secret_key_ref`.",
        bad=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: openai}
    - {id: beta-llm, provider: parrot}
"""),
        good=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: openai, secret_key_ref: {env: OPENAI_API_KEY_ALPHA}}
    - {id: beta-llm, provider: parrot}
"""),
        check=_no_credential,
    ),
    Rule(
        id="shared-tool-credential",
        level=Level.ERROR,
        title="One credential for two tenants at a tool server",
        why="The tool server can't tell them apart: with an object's id, one tenant's agent reads and changes what is "
        "the other's.",
        mend="Give each tenant its own credential at the server.",
        bad=example("""\
tools:
  servers:
    - name: tickets
      url: https://tickets.example/mcp
      credentials: {alpha: {env: TICKETS_TOKEN}, beta: {env: TICKETS_TOKEN}}
"""),
        good=example("""\
tools:
  servers:
    - name: tickets
      url: https://tickets.example/mcp
      credentials: {alpha: {env: TICKETS_TOKEN_ALPHA}, beta: {env: TICKETS_TOKEN_BETA}}
"""),
        check=_shared_tool_credentials,
        also=frozenset({"not-built"}),
    ),
)
