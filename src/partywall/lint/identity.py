"""Rules about how the document says who is calling: issuers of tokens, their claims, and headers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from partywall.lint.examples import example
from partywall.lint.exposure import is_loopback
from partywall.lint.findings import Level, Path
from partywall.lint.rule import Hit, Rule
from partywall.lint.subject import Subject, listed

__all__ = ["CREDENTIAL_HEADERS", "RULES"]

CREDENTIAL_HEADERS: Final = ("authorization", "x-api-key", "api-key")
"""Where clients put a credential whatever the document says, as the room `identity` has it."""

_LONG_LEEWAY_SECONDS: Final = 120
_USERS_WRITE: Final = frozenset(
    {"user_metadata", "raw_user_meta_data", "unsafe_metadata", "unsafeMetadata"}  # profiles that their owner edits
    | {"name", "nickname", "preferred_username", "given_name", "family_name", "website", "profile", "picture", "email"}
)


def _for_everybody(subject: Subject) -> Iterator[Hit]:
    issuers = subject.document.server.jwt
    if len(issuers) < 2 or len(subject.acting_tenants) < 2:
        return
    for index, issuer in enumerate(issuers):
        if issuer.tenants is None:
            message = f"`{issuer.issuer}` may sign for every tenant, beside {len(issuers) - 1} other"
            yield Hit(("server", "jwt", index, "issuer"), message + (" issuers" if len(issuers) > 2 else " issuer"))


def _twice(subject: Subject) -> Iterator[Hit]:
    seen: set[str] = set()
    for index, issuer in enumerate(subject.document.server.jwt):
        if issuer.issuer in seen:
            yield Hit(("server", "jwt", index, "issuer"), f"`{issuer.issuer}` is listed twice, with two sets of keys")
        seen.add(issuer.issuer)


def _keys_in_clear(subject: Subject) -> Iterator[Hit]:
    for index, issuer in enumerate(subject.document.server.jwt):
        parts = urlsplit(issuer.jwks_url or "https:")
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            yield Hit(("server", "jwt", index, "jwks_url"), f"the keys of `{issuer.issuer}` come over plain HTTP")


def _long_leeway(subject: Subject) -> Iterator[Hit]:
    for index, issuer in enumerate(subject.document.server.jwt):
        if issuer.leeway_seconds > _LONG_LEEWAY_SECONDS:
            message = f"tokens of `{issuer.issuer}` are good for {issuer.leeway_seconds:g} s after they expire"
            yield Hit(("server", "jwt", index, "leeway_seconds"), message)


def _no_issuer(subject: Subject) -> Iterator[Hit]:
    if subject.document.multi_tenant.tenant_id_source == "jwt_claim" and not subject.document.server.jwt:
        message = "the tenant is to come from a token's claim, and `server.jwt` trusts no issuer of tokens"
        yield Hit(("multi_tenant", "tenant_id_source"), message)


def _other_source(subject: Subject) -> Iterator[Hit]:
    source, path = subject.document.multi_tenant.tenant_id_source, ("multi_tenant", "tenant_id_source")
    issuers = subject.document.server.jwt
    keyed = [group.name for group in subject.groups if group.key_hashes()]
    if source == "jwt_claim" and issuers and keyed:
        yield Hit(path, f"the tenant is to come from a token's claim, and {listed(keyed)} can also come in by API key")
    elif source == "api_key" and issuers:
        names = listed(issuer.issuer for issuer in issuers)
        yield Hit(path, f"the tenant is to come from an API key, and tokens of {names} are accepted too")


def _claims(subject: Subject) -> Iterator[tuple[Path, str]]:
    issuers = subject.document.server.jwt
    if any(issuer.tenant_claim is None for issuer in issuers):
        yield ("multi_tenant", "tenant_id_claim"), subject.document.multi_tenant.tenant_id_claim
    for index, issuer in enumerate(issuers):
        for key in ("tenant_claim", "role_claim"):
            claim = getattr(issuer, key)
            if claim is not None:
                yield ("server", "jwt", index, key), claim


def _users_write(subject: Subject) -> Iterator[Hit]:
    for path, claim in _claims(subject):
        if not _USERS_WRITE.isdisjoint((claim, claim.partition(".")[0])):
            yield Hit(path, f"`{claim}` is a part of the profile that its user can edit")


def _headers(subject: Subject) -> Iterator[tuple[Path, str, str]]:
    """Each header that identity reads, with its path and what it means."""
    key = subject.document.consumer_groups.key_header
    if key is not None and key.lower() not in CREDENTIAL_HEADERS:
        yield ("consumer_groups", "key_header"), key.lower(), "the credential"
    listed_headers = subject.document.server.identity_headers
    for meaning in ("tenant", "user", "role"):
        for index, name in enumerate(getattr(listed_headers, meaning)):
            yield ("server", "identity_headers", meaning, index), name.lower(), f"the {meaning}"


def _two_meanings(subject: Subject) -> Iterator[Hit]:
    seen = dict.fromkeys(CREDENTIAL_HEADERS, "the credential")
    for path, name, meaning in _headers(subject):
        before = seen.setdefault(name, meaning)
        if before is not meaning or (path[-1] != "key_header" and _repeats(subject, path, name)):
            yield Hit(path, f"`{name}` says {before} already")


def _repeats(subject: Subject, path: Path, name: str) -> bool:
    """Whether a list of headers has the name at `path` before that place too."""
    names = getattr(subject.document.server.identity_headers, str(path[-2]))
    return any(other.lower() == name for other in names[: int(path[-1])])


def _unchecked(subject: Subject) -> Iterator[Hit]:
    if not subject.document.server.identity_headers.tenant:
        path = ("server", "identity_headers", "tenant")
        yield Hit(path, "a client may name any tenant in any header, and nobody compares it with the credential")


def _issuer(rest: str = "", name: str = "login", url: str = "https://login.example/keys") -> str:
    return (
        f"    - issuer: https://{name}.example\n      audience: partywall\n      jwks_url: {url}\n"
        f"      role_claim: role\n{rest}"
    )


_JWT = "server:\n  jwt:\n"

RULES = (
    Rule(
        id="issuer-for-every-tenant",
        level=Level.WARNING,
        title="One of several issuers may sign for every tenant",
        why="Whoever runs an issuer decides what its tokens say. With a customer's own issuer among them, that "
        "customer's administrator can sign in as any other tenant.",
        mend="List each issuer's `tenants`.",
        bad=example(_JWT + _issuer("      tenants: [alpha]\n") + _issuer(name="beta-login")),
        good=example(_JWT + _issuer("      tenants: [alpha]\n") + _issuer("      tenants: [beta]\n", "beta-login")),
        check=_for_everybody,
    ),
    Rule(
        id="issuer-twice",
        level=Level.ERROR,
        title="One issuer with two entries",
        why="A token could be verified by either one's keys and under either one's rules. `serve` refuses the "
        "document.",
        mend="Keep one entry; a key set may hold several keys.",
        bad=example(_JWT + _issuer("      tenants: [alpha]\n") + _issuer("      tenants: [beta]\n")),
        good=example(_JWT + _issuer("      tenants: [alpha, beta]\n")),
        check=_twice,
    ),
    Rule(
        id="jwks-in-clear",
        level=Level.ERROR,
        title="Keys that verify tokens come without TLS",
        why="Who can change the keys on their way can sign in as anybody of any tenant. `serve` refuses the document.",
        mend="Use `https://`, or a `jwks_file`.",
        bad=example(_JWT + _issuer(url="http://login.example/keys")),
        good=example(_JWT + _issuer()),
        check=_keys_in_clear,
    ),
    Rule(
        id="long-leeway",
        level=Level.WARNING,
        title="Expired tokens are accepted for long",
        why="Leeway is for clocks that differ by seconds. Beyond two minutes it is a longer life for every stolen "
        "token.",
        mend="Leave `leeway_seconds` at its default of 30, and set the clocks.",
        bad=example(_JWT + _issuer("      leeway_seconds: 300\n")),
        good=example(_JWT + _issuer("      leeway_seconds: 30\n")),
        check=_long_leeway,
    ),
    Rule(
        id="claim-without-issuer",
        level=Level.WARNING,
        title="The tenant is to come from a token, and no issuer is trusted",
        why="The document says that a signed claim names the tenant. Without an issuer no claim is ever read, and API "
        "keys name it instead.",
        mend="Add the issuer to `server.jwt`, or say `tenant_id_source: api_key`.",
        bad=example("""\
multi_tenant: {tenant_id_source: jwt_claim}
"""),
        good=example("""\
multi_tenant: {tenant_id_source: api_key}
"""),
        check=_no_issuer,
    ),
    Rule(
        id="second-tenant-source",
        level=Level.WARNING,
        title="A second kind of credential beside the one that the document names",
        why="`tenant_id_source` names one kind. Both work, so the one that nobody watches is a way in.",
        mend="Remove the other kind's keys or issuers, or leave `tenant_id_source` out to say that both are meant.",
        bad=example("multi_tenant: {tenant_id_source: api_key}\n" + _JWT + _issuer()),
        good=example(_JWT + _issuer()),
        check=_other_source,
    ),
    Rule(
        id="claim-that-users-edit",
        level=Level.ERROR,
        title="A tenant or role claim that its user can edit",
        why="The issuer signs the user's own profile along with the rest. Who can write `user_metadata` or a nickname "
        "writes the tenant or the role.",
        mend="Use a claim that only administrators set, such as `app_metadata.org_id` or `org_id`.",
        bad=example(_JWT + _issuer("      tenant_claim: user_metadata.org_id\n")),
        good=example(_JWT + _issuer("      tenant_claim: app_metadata.org_id\n")),
        check=_users_write,
    ),
    Rule(
        id="header-with-two-meanings",
        level=Level.ERROR,
        title="One header with two meanings",
        why="A header that is the credential and the user at once lets the one be passed off as the other, and puts "
        "keys into records. `serve` refuses the document.",
        mend="Give each meaning a header of its own.",
        bad=example("""\
server:
  identity_headers: {user: [X-User-ID], role: [X-User-Role, x-user-id]}
"""),
        good=example("""\
server:
  identity_headers: {user: [X-User-ID], role: [X-User-Role]}
"""),
        check=_two_meanings,
    ),
    Rule(
        id="tenant-headers-unchecked",
        level=Level.WARNING,
        title="No header is compared with the credential's tenant",
        why="An application that mixes up two customers sends one's `X-Org-ID` with the other's key. Compared, that "
        "is a refusal; ignored, it is the wrong tenant's data.",
        mend="Leave `server.identity_headers.tenant` at its default.",
        bad=example("""\
server:
  identity_headers: {tenant: []}
"""),
        good=example("""\
server:
  identity_headers: {tenant: [X-Org-ID]}
"""),
        check=_unchecked,
    ),
)
