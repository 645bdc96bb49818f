"""Scope and request to a decision with its reasons."""

from partywall.policy.chains import EffectiveChain, EffectivePolicy, Facts
from partywall.policy.decision import Decision, decide, permitted_target, require, visible_targets
from partywall.policy.routes import RouteRule
from partywall.policy.rules import GroupRule, Rules
from partywall.policy.targets import TargetRule
from partywall.policy.tools import ToolTest

__all__ = [
    "Decision",
    "EffectiveChain",
    "EffectivePolicy",
    "Facts",
    "GroupRule",
    "RouteRule",
    "Rules",
    "TargetRule",
    "ToolTest",
    "decide",
    "permitted_target",
    "require",
    "visible_targets",
]
