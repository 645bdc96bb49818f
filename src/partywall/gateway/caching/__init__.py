"""Answers that the caller's tenant was given before, on the path of a request. `recall` is the way in."""

from partywall.gateway.caching.recall import Recall, recall

__all__ = ["Recall", "recall"]
