"""Answers that a tenant was given before, for the same tenant's next question: exact, or alike.

Promises: whose answer it is, is decided by keyed hashes with the tenant and the circumstances inside, before anybody
looks at what was asked; content decides only within (LESSONS R8, C 23 to 25).
"""

from partywall.stores.backends.memory_values import MemoryBounds
from partywall.stores.caching.guards import alike
from partywall.stores.caching.question import Circumstances, Question
from partywall.stores.caching.response_cache import CacheRule, KeptAnswer, Place, ResponseCache
from partywall.stores.walls import ValuePlacement

__all__ = [
    "CacheRule",
    "Circumstances",
    "KeptAnswer",
    "MemoryBounds",
    "Place",
    "Question",
    "ResponseCache",
    "ValuePlacement",
    "alike",
]
