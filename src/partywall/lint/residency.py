"""Rules about where data may go, and which upstreams keep it.

The gateway refuses what a tenant's regions or its zero retention don't allow. These rules are about documents that ask
for both: a promise to a tenant, and a way past it that stands ready for the day the promise is in the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from partywall.lint.examples import example
from partywall.lint.findings import Level, Path
from partywall.lint.rule import Hit, Rule
from partywall.lint.subject import Subject, group_path, listed, target_path
from partywall.policy.targets import TargetRule, TenantRule
from partywall.tenancy import TenantId

__all__ = ["RULES"]

Fits = Callable[[TenantRule, TargetRule], bool]


def _in_region(tenant: TenantRule, target: TargetRule) -> bool:
    return tenant.regions is None or target.region in tenant.regions


def _keeps_nothing(tenant: TenantRule, target: TargetRule) -> bool:
    return target.zero_data_retention or not tenant.require_zero_data_retention


def _tenant(subject: Subject, tenant: str) -> TenantRule:
    return subject.rules.tenant(TenantId(tenant))


def _without_fit(subject: Subject, fits: Fits) -> Iterator[tuple[int, str]]:
    """Each group, with its tenant, of whose targets there are some and none fits."""
    for index, group in enumerate(subject.groups):
        pool, tenant = subject.reach.targets(index), _tenant(subject, group.tenant_id)
        if pool and not any(fits(tenant, target) for target in pool):
            yield index, group.tenant_id


def _no_region(subject: Subject) -> Iterator[Hit]:
    for index, name in _without_fit(subject, _in_region):
        regions = listed(_tenant(subject, name).regions or ())
        group = subject.groups[index].name
        message = f"`{name}` may send data to {regions or 'no region'}, and no target of the group `{group}` lies there"
        yield Hit(_regions_path(subject, name), message)


def _regions_path(subject: Subject, tenant: str) -> Path:
    settings = subject.document.tenants.get(tenant)
    own = settings is not None and settings.regions is not None
    return ("tenants", tenant, "regions") if own else ("residency", "allowed_regions")


def _no_zero_retention(subject: Subject) -> Iterator[Hit]:
    for index, name in _without_fit(subject, _keeps_nothing):
        group = subject.groups[index].name
        message = f"`{name}` requires zero retention, and no target of the group `{group}` promises it"
        yield Hit(("tenants", name, "require_zero_data_retention"), message)


def _named_beside_a_fit(subject: Subject, fits: Fits) -> Iterator[tuple[int, str, TargetRule]]:
    """What a group names as upstream although it doesn't fit, beside others that do."""
    for index, group in enumerate(subject.groups):
        pool, tenant = subject.reach.targets(index), _tenant(subject, group.tenant_id)
        unfit = [target for target in pool if not fits(tenant, target)] if group.upstream is not None else []
        if len(unfit) < len(pool):
            for target in unfit:
                yield index, group.tenant_id, target


def _fit_for_nobody(subject: Subject, fits: Fits) -> Iterator[tuple[int, TargetRule]]:
    """Targets, with their index, that somebody reaches and that fit none of those who do."""
    for index, target in enumerate(subject.rules.targets):
        tenants = subject.reach.tenants(target.id)
        if tenants and not any(fits(_tenant(subject, name), target) for name in tenants):
            yield index, target


def _beyond(subject: Subject, fits: Fits, what: str) -> Iterator[Hit]:
    """Targets that wait behind those that fit: named by the group, or in everybody's pool and fit for nobody."""
    named: set[str] = set()
    for index, tenant, target in _named_beside_a_fit(subject, fits):
        named.add(target.id)
        yield Hit(
            group_path(index, "upstream"), f"`{target.id}` {what} `{tenant}`, and stands behind targets that don't"
        )
    served = set(range(len(subject.groups))) - {index for index, _ in _without_fit(subject, fits)}
    helped = {subject.groups[index].tenant_id for index in served}
    for index, target in _fit_for_nobody(subject, fits):
        others = subject.reach.tenants(target.id) & helped
        if others and target.id not in named:
            yield Hit(
                target_path(index, "id"), f"`{target.id}` {what} each tenant that reaches it, such as {listed(others)}"
            )


def _fallback_leaves(subject: Subject) -> Iterator[Hit]:
    if subject.rules.fallback_attempts == 0:
        return

    def fits(tenant: TenantRule, target: TargetRule) -> bool:
        # A target without a region is `target-without-region`'s.
        return target.region is None or _in_region(tenant, target)

    yield from _beyond(subject, fits, "lies outside the regions of")


def _pool_crosses(subject: Subject) -> Iterator[Hit]:
    if subject.rules.fallback_attempts == 0:
        return
    for index, group in enumerate(subject.groups):
        regions = _tenant(subject, group.tenant_id).regions
        if group.upstream is not None or regions is None:
            continue
        pool = subject.reach.targets(index)
        outside = [target.id for target in pool if target.region is not None and target.region not in regions]
        if outside and len(outside) < len(pool):
            message = f"`{group.name}` names no fall-backs of its own, and the pool reaches from {listed(regions)} to "
            yield Hit(group_path(index, "name"), message + listed(outside))


def _keeps_data(subject: Subject) -> Iterator[Hit]:
    yield from _beyond(subject, _keeps_nothing, "keeps data, against the requirement of")


def _without_region(subject: Subject) -> Iterator[Hit]:
    for index, target in enumerate(subject.rules.targets):
        if target.region is not None:
            continue
        bound = [name for name in subject.reach.tenants(target.id) if _tenant(subject, name).regions is not None]
        if bound:
            message = (
                f"nobody can tell whether `{target.id}` lies in the regions of {listed(bound)}, so it is refused there"
            )
            yield Hit(target_path(index, "id"), message)


def _beyond_platform(subject: Subject) -> Iterator[Hit]:
    allowed = subject.document.residency.allowed_regions
    for tenant, settings in subject.document.tenants.items() if allowed is not None else ():
        beyond = set(settings.regions or ()) - set(allowed or ())
        if beyond:
            yield Hit(("tenants", tenant, "regions"), f"{listed(beyond)} lies outside `residency.allowed_regions`")


_TARGETS = """\
providers:
  targets:
    - {id: eu-llm, provider: parrot, region: eu}
    - {id: us-llm, provider: parrot, region: us}
"""

RULES = (
    Rule(
        id="no-target-in-region",
        level=Level.ERROR,
        title="A tenant with regions and no target in them",
        why="Every call is refused. The quick way out is to drop the tenant's regions.",
        mend="Give the tenant a target in its regions, and state `region` at the targets that lie there.",
        bad=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: parrot, region: us}
    - {id: beta-llm, provider: parrot, region: us}
tenants: {alpha: {regions: [eu]}, beta: {}}
"""),
        good=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: parrot, region: eu}
    - {id: beta-llm, provider: parrot, region: us}
tenants: {alpha: {regions: [eu]}, beta: {}}
"""),
        check=_no_region,
    ),
    Rule(
        id="fallback-leaves-region",
        level=Level.ERROR,
        title="A fall-back outside the tenant's region",
        why="The list of fall-backs says that data goes there when the first target fails; the tenant's regions say "
        "that it never does. One of the two is a promise that somebody will break.",
        mend="Fall back within the region, and take the target outside it away from the tenant.",
        bad=example(
            _TARGETS
            + """\
  fallback: {}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: [eu-llm, us-llm]}
    - {name: beta, api_keys: [BETA_KEY], upstream: us-llm}
tenants: {alpha: {regions: [eu]}, beta: {}}
"""
        ),
        good=example(
            _TARGETS
            + """\
    - {id: eu-spare, provider: parrot, region: eu}
  fallback: {}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: [eu-llm, eu-spare]}
    - {name: beta, api_keys: [BETA_KEY], upstream: us-llm}
tenants: {alpha: {regions: [eu]}, beta: {}}
"""
        ),
        check=_fallback_leaves,
    ),
    Rule(
        id="fallback-pool-crosses-regions",
        level=Level.WARNING,
        title="Fall-backs out of a pool that crosses regions",
        why="The tenant's regions hold its data back, and they are all that does. A group with an `upstream` of its "
        "own would need two mistakes.",
        mend="Name the group's targets within its regions as `upstream`.",
        bad=example(
            _TARGETS
            + """\
  fallback: {}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY]}
    - {name: beta, api_keys: [BETA_KEY]}
tenants: {alpha: {regions: [eu]}, beta: {}}
"""
        ),
        good=example(
            _TARGETS
            + """\
  fallback: {}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: eu-llm}
    - {name: beta, api_keys: [BETA_KEY], upstream: us-llm}
tenants: {alpha: {regions: [eu]}, beta: {}}
"""
        ),
        check=_pool_crosses,
    ),
    Rule(
        id="target-without-region",
        level=Level.WARNING,
        title="A target without a region, for a tenant with regions",
        why="A target that doesn't say where it lies is in no region, so this tenant is refused there.",
        mend="State the target's `region`, or keep the tenant away from it.",
        bad=example("""\
providers:
  targets:
    - {id: eu-llm, provider: parrot, region: eu}
    - {id: alpha-llm, provider: parrot}
    - {id: beta-llm, provider: parrot}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: [eu-llm, alpha-llm]}
    - {name: beta, api_keys: [BETA_KEY], upstream: beta-llm}
tenants: {alpha: {regions: [eu]}, beta: {}}
"""),
        good=example("""\
providers:
  targets:
    - {id: eu-llm, provider: parrot, region: eu}
    - {id: alpha-llm, provider: parrot, region: eu}
    - {id: beta-llm, provider: parrot}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: [eu-llm, alpha-llm]}
    - {name: beta, api_keys: [BETA_KEY], upstream: beta-llm}
tenants: {alpha: {regions: [eu]}, beta: {}}
"""),
        check=_without_region,
    ),
    Rule(
        id="no-zero-retention-target",
        level=Level.ERROR,
        title="A tenant that requires zero retention, and no target that promises it",
        why="Every call is refused. The quick way out is to claim a promise that the vendor hasn't made.",
        mend="Agree on zero retention with the vendor and say so with `zdr: true`, or name another target.",
        bad=example("""\
tenants: {alpha: {require_zero_data_retention: true}, beta: {}}
"""),
        good=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: parrot, zdr: true}
    - {id: beta-llm, provider: parrot}
tenants: {alpha: {require_zero_data_retention: true}, beta: {}}
"""),
        check=_no_zero_retention,
    ),
    Rule(
        id="upstream-keeps-data",
        level=Level.WARNING,
        title="An upstream that keeps data, for a tenant that forbids it",
        why="The list says that requests may go there; the tenant's requirement says that they never do. Drop the one "
        "line about retention, and they go.",
        mend="Take the target away from the tenant, or agree on zero retention with its vendor.",
        bad=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: parrot, zdr: true}
    - {id: alpha-spare, provider: parrot}
    - {id: beta-llm, provider: parrot}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: [alpha-llm, alpha-spare]}
    - {name: beta, api_keys: [BETA_KEY], upstream: beta-llm}
tenants: {alpha: {require_zero_data_retention: true}, beta: {}}
"""),
        good=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: parrot, zdr: true}
    - {id: alpha-spare, provider: parrot, zdr: true}
    - {id: beta-llm, provider: parrot}
consumer_groups:
  groups:
    - {name: alpha, api_keys: [ALPHA_KEY], upstream: [alpha-llm, alpha-spare]}
    - {name: beta, api_keys: [BETA_KEY], upstream: beta-llm}
tenants: {alpha: {require_zero_data_retention: true}, beta: {}}
"""),
        check=_keeps_data,
    ),
    Rule(
        id="region-beyond-platform",
        level=Level.WARNING,
        title="A tenant's region that the platform doesn't allow",
        why="`residency.allowed_regions` is for tenants that state none of their own; this one states more, and gets "
        "it.",
        mend="Leave the region out, or allow it for the platform.",
        bad=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: parrot, region: us}
    - {id: beta-llm, provider: parrot, region: eu}
residency: {allowed_regions: [eu]}
tenants: {alpha: {regions: [eu, us]}, beta: {}}
"""),
        good=example("""\
providers:
  targets:
    - {id: alpha-llm, provider: parrot, region: eu}
    - {id: beta-llm, provider: parrot, region: eu}
residency: {allowed_regions: [eu]}
tenants: {alpha: {regions: [eu]}, beta: {}}
"""),
        check=_beyond_platform,
    ),
)
