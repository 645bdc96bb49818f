"""An imitation of Pinecone's data plane, as far as the adapter uses it. It is not Pinecone.

Written from its public documentation, version 2025-10: `describe_index_stats`, `vectors/upsert`, `query`,
`vectors/delete`, `namespaces`. An index has one dimension; here, each path `/index-N` is an index of dimension N.
"""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import parse_qs

from tests.support.engines.imitation import Answer, Asked, Imitation

__all__ = ["KEY", "PineconeImitation", "pinecone_imitation"]

KEY = "of-the-tests"
_PAGE = 2
"""Namespaces at once at most; small, so that there are several pages."""


class PineconeImitation:
    """Indexes, their namespaces, and vectors in those."""

    def __init__(self) -> None:
        self.metric = "dotproduct"
        self.indexes: dict[int, dict[str, dict[str, Any]]] = {}
        """Vectors by id, by namespace, by dimension."""
        self._server = Imitation(self._answer)

    def url(self, dimensions: int) -> str:
        """Where the index of that dimension is."""
        return f"http://:{KEY}@127.0.0.1:{self._server.port}/index-{dimensions}"

    def _answer(self, asked: Asked) -> Answer:
        if asked.headers.get("api-key") != KEY:
            return 401, "Unauthorized"
        if asked.headers.get("x-pinecone-api-version") != "2025-10":
            return 400, {"code": 3, "message": "unknown version", "details": []}
        _, index, path = asked.path.split("/", 2)
        dimensions = int(index.removeprefix("index-"))
        spaces = self.indexes.setdefault(dimensions, {})
        match asked.method, path:
            case "POST", "describe_index_stats":
                return 200, {"dimension": dimensions, "metric": self.metric, "namespaces": {}, "totalVectorCount": 0}
            case "POST", "vectors/upsert":
                return _upsert(spaces, dimensions, asked.body)
            case "POST", "query":
                return _query(spaces, dimensions, asked.body)
            case "POST", "vectors/delete":
                return _delete(spaces, asked.body)
            case "GET", "namespaces":
                return _listed(spaces, {key: each[0] for key, each in parse_qs(asked.query).items()})
            case "DELETE", _ if path.startswith("namespaces/"):
                found = spaces.pop(path.removeprefix("namespaces/"), None)
                return (404, {"code": 5, "message": "not found", "details": []}) if found is None else (200, {})
        return 404, None


def _upsert(spaces: dict[str, dict[str, Any]], dimensions: int, body: Any) -> Answer:
    if any(len(each["values"]) != dimensions for each in body["vectors"]):
        return 400, {"code": 3, "message": "Vector dimension does not match", "details": []}
    space = spaces.setdefault(body["namespace"], {})
    for each in body["vectors"]:
        # Numbers are kept as floating point, as there.
        said = {key: float(value) if isinstance(value, int) else value for key, value in each["metadata"].items()}
        space[each["id"]] = {**each, "metadata": said}
    return 200, {"upsertedCount": len(body["vectors"])}


def _query(spaces: dict[str, dict[str, Any]], dimensions: int, body: Any) -> Answer:
    if len(body["vector"]) != dimensions or body["topK"] > 10_000:
        return 400, {"code": 3, "message": "out of bounds", "details": []}
    found = [
        {
            "id": each["id"],
            "score": sum(a * b for a, b in zip(each["values"], body["vector"], strict=True)),
            "metadata": each["metadata"],
        }
        for each in spaces.get(body["namespace"], {}).values()
        if _matches(each, body.get("filter"))
    ]
    matches = sorted(found, key=lambda each: -each["score"])[: body["topK"]]
    return 200, {"matches": matches, "namespace": body["namespace"], "usage": {"readUnits": 1}}


def _delete(spaces: dict[str, dict[str, Any]], body: Any) -> Answer:
    space = spaces.get(body["namespace"])
    if space is None:
        return 404, {"code": 5, "message": "Namespace not found", "details": []}
    gone = body["ids"] if "ids" in body else [id_ for id_, each in space.items() if _matches(each, body["filter"])]
    for each in gone:
        space.pop(each, None)
    return 200, {}


def _matches(vector: Any, condition: Any) -> bool:
    if condition is None:
        return True
    ((operator, value),) = condition["g"].items()
    group = vector["metadata"]["g"]
    return bool(group == value if operator == "$eq" else group in value)


def _listed(spaces: dict[str, dict[str, Any]], asked: dict[str, str]) -> Answer:
    names = sorted(name for name in spaces if name.startswith(asked.get("prefix", "")))
    start = int(asked.get("paginationToken", "0"))
    page = names[start : start + min(_PAGE, int(asked.get("limit", "100")))]
    answer: dict[str, object] = {
        "namespaces": [{"name": each, "record_count": str(len(spaces[each]))} for each in page]
    }
    if start + len(page) < len(names):
        answer["pagination"] = {"next": str(start + len(page))}
    return 200, {**answer, "total_count": len(names)}


@functools.cache
def pinecone_imitation() -> PineconeImitation:
    """The one of this process."""
    return PineconeImitation()
