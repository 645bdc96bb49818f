"""Rules about the keys that callers hold: whose they are, and whether they can be guessed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from partywall.config.routing import Group
from partywall.lint.examples import example
from partywall.lint.findings import Level
from partywall.lint.rule import Hit, Rule
from partywall.lint.subject import Subject, group_path

__all__ = ["RULES"]

_WEAK_KEYS: Final = (
    *("", "0", "1", "123", "1234", "12345", "123456", "12345678", "123456789", "1234567890", "abc123", "abcdef"),
    *("admin", "administrator", "anonymous", "api", "api-key", "api_key", "apikey", "bar", "bearer", "changeme"),
    *("change-me", "change_me", "default", "demo", "dev", "dummy", "empty", "example", "fake", "foo", "foobar"),
    *("guest", "hello", "key", "letmein", "local", "master", "my-api-key", "my-key", "my-secret", "none", "not-needed"),
    *("null", "ollama", "openai", "pass", "password", "placeholder", "qwerty", "replace-me", "replaceme", "root"),
    *("secret", "secret-key", "secret123", "sk-1234", "sk-12345", "sk-123456", "sk-demo", "sk-dummy", "sk-fake"),
    *("sk-no-key-required", "sk-secret", "sk-test", "sk-xxx", "sk-xxxx", "staging", "string", "temp", "test"),
    *("test-api-key", "test-key", "test1", "test123", "test1234", "token", "undefined", "user", "vllm", "xxx", "xxxx"),
    *("your-api-key", "your-api-key-here", "your_api_key", "YOUR_API_KEY", "EMPTY", "EXAMPLE_KEY"),
)


def _digest(key: str) -> str:
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


_WEAK_DIGESTS: Final = {_digest(key): key for key in _WEAK_KEYS}


def _made_from(name: str) -> frozenset[str]:
    """Digests of the keys that people make from a name."""
    forms = ("{}", "{}-key", "{}_key", "{}-api-key", "{}-secret", "{}123", "sk-{}", "pw_{}", "test-{}", "key-{}")
    return frozenset(_digest(form.format(name)) for form in forms)


def _key_paths(index: int, group: Group) -> Iterator[tuple[Hit, str]]:
    for number, digest in enumerate(group.key_hashes()):
        in_clear = number >= len(group.api_keys)
        path = group_path(index, "api_key") if in_clear else group_path(index, "api_keys", number)
        yield Hit(path, ""), digest


def _weak_keys(subject: Subject) -> Iterator[Hit]:
    for index, group in enumerate(subject.groups):
        for hit, digest in _key_paths(index, group):
            if digest in _WEAK_DIGESTS:
                yield hit._replace(
                    message=f"this is the digest of {_shown(_WEAK_DIGESTS[digest])}, which anybody tries"
                )
    for number, digest in enumerate(subject.document.server.admin.api_keys):
        if digest in _WEAK_DIGESTS:
            path = ("server", "admin", "api_keys", number)
            yield Hit(path, f"the operator's key is {_shown(_WEAK_DIGESTS[digest])}, which anybody tries")


def _shown(key: str) -> str:
    return f"`{key}`" if key else "the empty string"


def _guessable_keys(subject: Subject) -> Iterator[Hit]:
    for index, group in enumerate(subject.groups):
        guesses = _made_from(group.name) | _made_from(group.tenant_id)
        for hit, digest in _key_paths(index, group):
            if digest in guesses and digest not in _WEAK_DIGESTS:
                yield hit._replace(
                    message=f"the key of `{group.name}` is made from its name, and can be guessed from it"
                )


def _operator_keys(subject: Subject) -> Iterator[Hit]:
    operators = frozenset(subject.document.server.admin.api_keys)
    for index, group in enumerate(subject.groups if operators else ()):
        for hit, digest in _key_paths(index, group):
            if digest in operators:
                message = f"the key of the group `{group.name}` is also an operator's under `server.admin.api_keys`"
                yield hit._replace(message=message)


def _nobody_can_call(subject: Subject) -> Iterator[Hit]:
    if not subject.document.server.jwt and not any(group.key_hashes() for group in subject.groups):
        yield Hit(("consumer_groups",), "no group has a key and no issuer of tokens is trusted, so nobody can call")


def _tenants_without_credential(subject: Subject) -> Iterator[Hit]:
    issuers = subject.document.server.jwt
    anyone = any(issuer.tenants is None for issuer in issuers)
    able = {group.tenant_id for group in subject.groups if group.key_hashes()}
    able |= {tenant for issuer in issuers for tenant in issuer.tenants or ()} & subject.acting_tenants
    if anyone:
        able |= subject.acting_tenants
    if not able:
        return  # `nobody-can-call` says it once
    for tenant in sorted(subject.tenants - able):
        what = "no key, and no issuer speaks for it" if tenant in subject.acting_tenants else "no group"
        yield Hit(subject.tenant_path(tenant), f"the tenant `{tenant}` has {what}; nobody can act for it")


RULES = (
    Rule(
        id="weak-key",
        level=Level.ERROR,
        title="An API key that anybody would try",
        why="The document keeps digests, and the digest of a well-known word is as good as the word. Whoever guesses "
        "the key is the tenant.",
        mend="Mint a random key: `partywall tenants mint-key`.",
        bad=example(f"""\
consumer_groups:
  groups:
    - {{name: alpha, api_keys: ["{_digest("changeme")}"], upstream: alpha-llm}}
    - {{name: beta, api_keys: [BETA_KEY], upstream: beta-llm}}
"""),
        good=example(),
        check=_weak_keys,
    ),
    Rule(
        id="guessable-key",
        level=Level.WARNING,
        title="An API key made from the group's name",
        why="Who knows one such key knows how the others are made, and tenants know each other's names.",
        mend="Mint a random key: `partywall tenants mint-key`.",
        bad=example(f"""\
consumer_groups:
  groups:
    - {{name: alpha, api_keys: ["{_digest("sk-alpha")}"], upstream: alpha-llm}}
    - {{name: beta, api_keys: [BETA_KEY], upstream: beta-llm}}
"""),
        good=example(),
        check=_guessable_keys,
    ),
    Rule(
        id="operator-key-is-tenant-key",
        level=Level.ERROR,
        title="A tenant's key is an operator's too",
        why="Operators see the document, every group's chain and the platform's records. A tenant that holds such a "
        "key sees its neighbours.",
        mend="Give operators keys of their own, and no tenant one of them.",
        bad=example("""\
server:
  admin: {api_keys: [ALPHA_KEY]}
"""),
        good=example("""\
server:
  admin: {api_keys: [OPERATOR_KEY]}
"""),
        check=_operator_keys,
    ),
    Rule(
        id="nobody-can-call",
        level=Level.ERROR,
        title="No key and no issuer",
        why="Every request would be refused, and `serve` refuses the document.",
        mend="Give a group `api_keys`, or trust an issuer under `server.jwt`.",
        bad=example("""\
consumer_groups:
  groups:
    - {name: alpha, upstream: alpha-llm}
    - {name: beta, upstream: beta-llm}
"""),
        good=example(),
        check=_nobody_can_call,
    ),
    Rule(
        id="tenant-without-credential",
        level=Level.WARNING,
        title="A tenant that nobody can act for",
        why="A tenant without a way in is a leaver whose data is still here, or one whose people will be given "
        "another tenant's key to get on with their work.",
        mend="Give a group of the tenant a key, let an issuer speak for it, or take the tenant out.",
        bad=example("""\
tenants: {alpha: {}, beta: {}, gamma: {}}
"""),
        good=example("""\
tenants: {alpha: {}, beta: {}}
"""),
        check=_tenants_without_credential,
    ),
)
