"""Rules about roles and the tools that they may use."""

from __future__ import annotations

from collections.abc import Iterator

from partywall.config.kinds import PolicyKind
from partywall.config.policy import RoleTools
from partywall.lint.examples import example
from partywall.lint.findings import Level, Path
from partywall.lint.globs import is_literal, matches_everything, overlap
from partywall.lint.rule import Hit, Rule
from partywall.lint.subject import Subject, listed
from partywall.policy.globs import matcher

__all__ = ["RULES"]


def _roles(subject: Subject) -> Iterator[tuple[Path, str, RoleTools]]:
    rbac = subject.document.policy.rbac
    for name, role in (rbac.roles or {}).items() if rbac is not None else ():
        yield ("policy", "rbac", "roles", name), name, role


def _all_allowed(role: RoleTools) -> bool:
    return any(map(matches_everything, role.allowed_tools)) and not any(map(matches_everything, role.denied_tools))


def _everything(subject: Subject) -> Iterator[Hit]:
    for path, name, role in _roles(subject):
        if _all_allowed(role) and not role.denied_tools:
            yield Hit((*path, "allowed_tools"), f"the role `{name}` may use every tool, those of tomorrow too")


def _everything_but(subject: Subject) -> Iterator[Hit]:
    for path, name, role in _roles(subject):
        if _all_allowed(role) and role.denied_tools:
            denied = listed(role.denied_tools)
            yield Hit((*path, "allowed_tools"), f"the role `{name}` may use every tool but {denied}")


def _folded(glob: str) -> str:
    return glob.lower().replace("-", "_")


def _denials_that_miss(subject: Subject) -> Iterator[Hit]:
    for path, name, role in _roles(subject):
        for index, denied in enumerate(role.denied_tools):
            if any(overlap(denied, allowed) for allowed in role.allowed_tools):
                continue
            near = [one for one in role.allowed_tools if overlap(_folded(denied), _folded(one))]
            if near:
                message = f"`{denied}` doesn't match what {listed(near)} allows `{name}`: names are compared as written"
                yield Hit((*path, "denied_tools", index), message)


def _allowed_and_denied(subject: Subject) -> Iterator[Hit]:
    for path, name, role in _roles(subject):
        denied = matcher(role.denied_tools)
        for index, tool in enumerate(role.allowed_tools):
            if is_literal(tool) and denied(tool):
                message = f"`{tool}` is both allowed and denied to `{name}`; the denial wins"
                yield Hit((*path, "allowed_tools", index), message)


def _has_roles(subject: Subject) -> bool:
    rbac = subject.document.policy.rbac
    return rbac is not None and rbac.roles is not None


def _no_roles(subject: Subject) -> Iterator[Hit]:
    if PolicyKind.RBAC in subject.mentioned_kinds and not _has_roles(subject):
        yield Hit(("policy", "rbac"), "`rbac` runs without roles, so any tool may be used by anybody")


def _no_source(subject: Subject) -> Iterator[Hit]:
    server = subject.document.server
    claims = [issuer for issuer in server.jwt if issuer.role_claim is not None]
    if _has_roles(subject) and not server.identity_headers.role and not claims:
        message = "no header and no token's claim names a role, so every tool is refused to everybody"
        yield Hit(("policy", "rbac", "roles"), message)


def _self_chosen(subject: Subject) -> Iterator[Hit]:
    server = subject.document.server
    if not _has_roles(subject) or not server.identity_headers.role:
        return
    for index, issuer in enumerate(server.jwt):
        if issuer.role_claim is None:
            headers = listed(server.identity_headers.role)
            message = f"who holds a token of `{issuer.issuer}` writes its own role into {headers}"
            yield Hit(("server", "jwt", index), message)


_ISSUER = """\
server:
  jwt:
    - issuer: https://login.example
      audience: partywall
      jwks_url: https://login.example/keys
"""

RULES = (
    Rule(
        id="role-allows-everything",
        level=Level.ERROR,
        title="A role that allows `*`",
        why="With an API key the caller names its own role in a header. A role that may use everything makes the "
        "others decoration, and each tool added later is open to it unseen.",
        mend="List the tools that the role needs, with globs such as `read_*`.",
        bad=example("""\
policy:
  rbac:
    roles:
      analyst: {allowed_tools: [search]}
      admin: {allowed_tools: ["*"]}
"""),
        good=example("""\
policy:
  rbac:
    roles:
      analyst: {allowed_tools: [search]}
      admin: {allowed_tools: [search, "user_*"]}
"""),
        check=_everything,
    ),
    Rule(
        id="role-denies-by-list",
        level=Level.WARNING,
        title="A role that allows everything but a list",
        why="A tool that nobody thought of is allowed, and so is a denied one under a new name.",
        mend="List what the role may use; what no list names is denied.",
        bad=example("""\
policy:
  rbac:
    roles:
      operator: {allowed_tools: ["*"], denied_tools: ["delete_*"]}
"""),
        good=example("""\
policy:
  rbac:
    roles:
      operator: {allowed_tools: ["read_*", "update_*"], denied_tools: [update_billing]}
"""),
        check=_everything_but,
    ),
    Rule(
        id="denial-misses",
        level=Level.WARNING,
        title="A denial that misses by its spelling",
        why="Tool names are compared as written. This denial differs from what is allowed by case, or by `-` and `_`, "
        "and so denies nothing.",
        mend="Write the denial as the tool is written.",
        bad=example("""\
policy:
  rbac:
    roles:
      analyst: {allowed_tools: ["user_*"], denied_tools: [User_Delete]}
"""),
        good=example("""\
policy:
  rbac:
    roles:
      analyst: {allowed_tools: ["user_*"], denied_tools: [user_delete]}
"""),
        check=_denials_that_miss,
    ),
    Rule(
        id="tool-allowed-and-denied",
        level=Level.WARNING,
        title="A tool that a role is both allowed and denied",
        why="The denial wins, so the role can't do what its first list says. Whoever finds that out removes the "
        "denial, with everything else that it held back.",
        mend="Take the tool out of one of the lists.",
        bad=example("""\
policy:
  rbac:
    roles:
      analyst: {allowed_tools: [search, delete_draft], denied_tools: ["delete_*"]}
"""),
        good=example("""\
policy:
  rbac:
    roles:
      analyst: {allowed_tools: [search], denied_tools: ["delete_*"]}
"""),
        check=_allowed_and_denied,
    ),
    Rule(
        id="rbac-without-roles",
        level=Level.NOTE,
        title="`rbac` without roles",
        why="It demands the identity headers and nothing more: every tool goes to everybody.",
        mend="Write `policy.rbac.roles`, if any model behind this gateway is given tools.",
        bad=example("""\
policy:
  rbac: {deny_if_missing: [X-User-ID]}
"""),
        good=example(),
        check=_no_roles,
    ),
    Rule(
        id="role-without-source",
        level=Level.WARNING,
        title="Roles, and nothing that says who has one",
        why="A request without a role gets no tool. The quick way out is to take `rbac` out of the chain.",
        mend="List a header under `server.identity_headers.role`, or set an issuer's `role_claim`.",
        bad=example("""\
server:
  identity_headers: {role: []}
"""),
        good=example("""\
server:
  identity_headers: {role: [X-User-Role]}
"""),
        check=_no_source,
    ),
    Rule(
        id="role-chosen-by-client",
        level=Level.WARNING,
        title="A token says who it is for, and its holder says which role",
        why="With an API key the tenant's own application vouches for the role header. A token is held by the user it "
        "was made for, who can write `admin` there.",
        mend="Set the issuer's `role_claim`.",
        bad=example(_ISSUER),
        good=example(_ISSUER + "      role_claim: role\n"),
        check=_self_chosen,
    ),
)
