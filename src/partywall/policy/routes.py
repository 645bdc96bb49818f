"""Routes: which of the document's routes a request takes.

Promises: the highest `priority` wins, then an exact path over a prefix, then the longer path, then document order. With
routes in the document, a request that none matches is not found; without any, every endpoint is open to every group.

A prefix ends at a path segment: `/team-a` matches `/team-a` and `/team-a/…`, never `/team-ab`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from partywall.config.routing import ChainEntry, Route
from partywall.errors import MethodNotAllowed, NotFound

__all__ = ["RouteRule", "RouteTable"]


@dataclass(frozen=True, slots=True)
class RouteRule:
    """One route, ready to be matched."""

    index: int
    name: str
    path: str
    prefix: bool
    methods: frozenset[str] | None
    headers: tuple[tuple[bytes, bytes], ...]
    upstream: tuple[str, ...] | None
    chain: tuple[ChainEntry, ...]

    def covers(self, path: str) -> bool:
        """Whether `path` is this route's."""
        if not self.prefix:
            return path == self.path
        stem = self.path.rstrip("/")
        return path == stem or path.startswith(stem + "/")

    def endpoint_path(self, path: str) -> str:
        """The endpoint's path within the route: what follows a prefix such as `/team-a` that is not the API's own."""
        if not self.prefix or self.path == "/v1" or self.path.startswith("/v1/"):
            return path
        return path[len(self.path.rstrip("/")) :] or "/"


class RouteTable:
    """Every route, in the order in which they are tried."""

    __slots__ = ("_rules",)

    def __init__(self, routes: Iterable[Route]) -> None:
        ordered = sorted(
            enumerate(routes),
            key=lambda item: (-item[1].priority, item[1].match == "prefix", -len(item[1].path), item[0]),
        )
        self._rules = tuple(_rule(index, route) for index, route in ordered)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def __iter__(self) -> Iterator[RouteRule]:
        return iter(self._rules)

    def match(
        self,
        method: str,
        path: str,
        headers: Mapping[bytes, bytes],
        is_open: Callable[[RouteRule], bool] = lambda _rule: True,
    ) -> RouteRule | None:
        """The route of a request, or None in a document without routes.

        `is_open` says whether a route leads the caller anywhere; one that doesn't is as if it weren't there, so that
        nobody learns of a route that is another tenant's.

        Raises:
            NotFound: the document has routes and none matches.
            MethodNotAllowed: routes match the path but none takes the method.
        """
        if not self._rules:
            return None
        wrong_method = False
        for rule in self._rules:
            if not rule.covers(path) or not all(headers.get(name) == value for name, value in rule.headers):
                continue
            if not is_open(rule):
                continue
            if rule.methods is None or method in rule.methods:
                return rule
            wrong_method = True
        if wrong_method:
            raise MethodNotAllowed(f"no route takes {method} on `{path}`")
        raise NotFound(f"no route matches `{path}`")


def _rule(index: int, route: Route) -> RouteRule:
    return RouteRule(
        index=index,
        name=route.name,
        path=route.path,
        prefix=route.match == "prefix",
        methods=None if route.methods is None else frozenset(route.methods),
        headers=tuple((name.lower().encode(), value.encode()) for name, value in route.headers.items()),
        upstream=route.upstream,
        chain=route.chain,
    )
