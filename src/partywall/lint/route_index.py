"""Routes by path and headers, so that what covers a route is found without comparing it with every other.

Promises: a route covers another when it takes every request that the other could take: a path above or equal to its
own, no header that the other doesn't demand too, and all of its methods.

Doesn't promise: to see that several routes cover one together, but for their methods on one path.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Final

from partywall.policy.routes import RouteRule

__all__ = ["RouteIndex"]

_MOST_HEADERS: Final = 8
"""Of a route with more, only all of its headers or none are looked for."""

Headers = frozenset[tuple[bytes, bytes]]
Key = tuple[bool, str, Headers]


class RouteIndex:
    """Routes that were added, ready to be asked what covers another."""

    def __init__(self) -> None:
        self._first: dict[Key, RouteRule] = {}
        self._methods: dict[Key, frozenset[str] | None] = {}

    def add(self, route: RouteRule) -> None:
        """Take `route` into account."""
        key = (route.prefix, _stem(route) if route.prefix else route.path, frozenset(route.headers))
        self._first.setdefault(key, route)
        before = self._methods.get(key, frozenset())
        self._methods[key] = None if before is None or route.methods is None else before | route.methods

    def shadow(self, route: RouteRule) -> str | None:
        """The name of the first route added that takes every request of `route`, if there is one."""
        for key in _covering(route):
            methods = self._methods.get(key, frozenset())
            if methods is None or (route.methods is not None and route.methods <= methods):
                return self._first[key].name
        return None

    def without_headers(self, route: RouteRule) -> Iterator[RouteRule]:
        """Routes that a request of `route` could take by leaving out its headers."""
        for key in _covering(route) if route.headers else ():
            found = self._first.get(key)
            if found is not None and not key[2]:
                yield found


def _stem(route: RouteRule) -> str:
    return route.path.rstrip("/")


def _covering(route: RouteRule) -> Iterator[Key]:
    """The keys under which a route that covers `route` would be, the nearest path first."""
    places = [(True, place) for place in _above(_stem(route) if route.prefix else route.path)]
    if not route.prefix:
        places.insert(0, (False, route.path))
    for headers in _subsets(route.headers):
        for prefix, place in places:
            yield prefix, place, headers


def _above(path: str) -> Iterator[str]:
    """`path` and the paths above it, up to the root, which is the empty one."""
    yield path
    while path:
        path = path.rpartition("/")[0]
        yield path


def _subsets(headers: tuple[tuple[bytes, bytes], ...]) -> Iterator[Headers]:
    if len(headers) > _MOST_HEADERS:
        yield from (frozenset(headers), frozenset())
        return
    for size in range(len(headers), -1, -1):
        yield from map(frozenset, combinations(headers, size))
