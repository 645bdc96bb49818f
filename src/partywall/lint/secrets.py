"""Rules about secrets that stand in the document, where everybody who reviews, copies or backs it up can read them.

Promises: no message holds the secret. What has a vendor's own shape is an error wherever it stands, in comments too;
what merely looks random is a warning, and only under keys that don't hold names, models or digests.

Doesn't promise: to know a secret that looks like a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from partywall.config.masking import MASK
from partywall.config.places import Place
from partywall.lint.examples import example
from partywall.lint.findings import Level, Path
from partywall.lint.rule import Hit, Rule
from partywall.lint.subject import Subject

__all__ = ["RULES", "masked"]

_SHAPE: Final = re.compile(
    r"""
      \b(?:sk|gsk|xai|pplx|gh[pousr]|github_pat|glpat|hf|hvs|hvb|r8|npm|xox[abeprs]|pw)[-_.]  # a vendor's prefix,
      (?=[\w-]{16})[\w-]*?(?=[A-Za-z]*[0-9])[A-Za-z0-9]{12,}                        # and more than a name behind it
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b                                                 # AWS access key ids
    | \bAIza[A-Za-z0-9_-]{30,}                                                      # Google
    | \beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*                  # JWT
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY                                               # PEM
    | ://[^/\s:@]*:[^/\s@]+@                                                        # user:password@host
    """,
    re.VERBOSE,
)
_RANDOM: Final = re.compile(
    r"(?<![\w:-])[0-9A-Fa-f]{32,}(?![\w-])"
    r"|(?<![\w+/=.-])(?=[\w+/=]*[0-9])(?=[\w+/=]*[a-z])(?=[\w+/=]*[A-Z])[\w+/=]{32,}(?![\w+/=.-])",
    re.ASCII,
)
_NAMES: Final = frozenset(
    {"id", "name", "tenant", "tenants", "model", "allowed_models", "provider", "upstream", "region", "regions"}
    | {"allowed_regions", "api_keys", "description", "author", "version", "targets", "path", "audience", "env"}
)
"""Keys whose values are names or digests, however random they look: a tenant's id may be a UUID without dashes."""
_SECRET_KEYS: Final = frozenset(
    {"api_key", "apikey", "api-key", "password", "passwd", "token", "access_token", "secret", "client_secret"}
)
_CREDENTIAL_HEADERS: Final = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie", "x-auth-token"}
)


def masked(text: str) -> str:
    """`text` with everything in it that has the shape of a credential masked."""
    return _SHAPE.sub(MASK, text)


def _in_clear(subject: Subject) -> Iterator[Hit]:
    for path, text in _strings(subject.document.model_dump(by_alias=True, exclude_unset=True)):
        reason = _reason(path, text)
        if reason is not None:
            yield Hit(path, reason)
    yield from _in_comments(subject.text)


def _reason(path: Path, text: str) -> str | None:
    key = str(path[-1]).lower()
    if key in _SECRET_KEYS:
        return f"the value of `{key}` is a credential in clear text"
    if len(path) > 1 and path[-2] in {"headers", "header"} and key in _CREDENTIAL_HEADERS:
        return f"the header `{path[-1]}` carries a credential, and its value stands here in clear text"
    if _SHAPE.search(text):
        return "this has the shape of a credential"
    return None


def _strings(value: object, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every string of the document, with its path; a key of a mapping as a value of its own."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _strings(item, (*path, key))
    elif isinstance(value, Iterable):
        for index, item in enumerate(value):
            yield from _strings(item, (*path, index))


def _in_comments(text: str) -> Iterator[Hit]:
    for number, line in enumerate(text.splitlines(), start=1) if "#" in text else ():
        start = _comment_start(line)
        found = None if start is None else _SHAPE.search(line, start)
        if found is not None:
            place = Place(number, found.start() + 1, number, found.end() + 1)
            yield Hit((), "a comment holds what has the shape of a credential", place)


def _comment_start(line: str) -> int | None:
    """Where the comment of a line begins; a `#` in quotes begins none."""
    quote = ""
    for position, character in enumerate(line):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and (position == 0 or line[position - 1] in " [{,:"):
            quote = character
        elif character == "#" and (position == 0 or line[position - 1] in " \t"):
            return position
    return None


def _looks_random(subject: Subject) -> Iterator[Hit]:
    for path, text in _strings(subject.document.model_dump(by_alias=True, exclude_unset=True)):
        if len(text) < 32 or any(step in _NAMES for step in path[-2:]) or _reason(path, text) is not None:
            continue
        if _RANDOM.search(text):
            yield Hit(path, f"the value of `{path[-1]}` looks random, as only secrets do")


RULES = (
    Rule(
        id="secret-in-clear",
        level=Level.ERROR,
        title="A secret in clear text",
        why="The document is reviewed, copied, backed up and mounted. Whoever reads it holds the credential, and with "
        "it what the tenant has at the vendor.",
        mend="Name where the secret is kept (`secret_key_ref`), keep only the digest of callers' keys (`api_keys`), "
        "and change the secret that stood here.",
        bad=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: openai, api_key: an-example-and-no-real-credential}
    - {id: beta-llm, provider: parrot}
"""),
        good=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: openai, secret_key_ref: {env: OPENAI_API_KEY_ALPHA}}
    - {id: beta-llm, provider: parrot}
"""),
        check=_in_clear,
    ),
    Rule(
        id="looks-like-secret",
        level=Level.WARNING,
        title="A value that looks like a secret",
        why="A long random string in a place for settings is often a token that somebody pasted.",
        mend="If it is a secret, move it out and change it; if it is a name, give it one that reads like a name.",
        bad=example("""\
routes:
  - name: chat
    path: /v1
    match: prefix
    headers: {X-Gateway-Pass: 9f86d081884c7d659a2feaa0c55ad015}
"""),
        good=example("""\
routes:
  - name: chat
    path: /v1
    match: prefix
    headers: {X-Gateway-Path: internal}
"""),
        check=_looks_random,
    ),
)
