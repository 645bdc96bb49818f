"""An imitation of Weaviate's interface, as far as the adapter uses it. It is not Weaviate.

Written from its public documentation: REST of version 1 (schema, tenants, batch objects, meta) and GraphQL (`Get` with
`nearVector`, `Aggregate`). Unknown paths, fields and queries are refused, as there.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any

from tests.support.engines.imitation import Answer, Asked, Imitation

__all__ = ["KEY", "WeaviateImitation", "weaviate_imitation"]

KEY = "of-the-tests"
_MOST_DELETED = 100
"""What `QUERY_MAXIMUM_RESULTS` would be; small, so that deletion goes in steps."""
_GET = re.compile(
    r'\{ Get \{ (\w+)\(tenant: "([\w-]+)", limit: (\d+), nearVector: \{vector: (\[[^\]]*\])\}'
    r'(?:, where: \{path: \["g"\], operator: ContainsAny, valueText: (\[[^\]]*\])\})?\)'
    r" \{ g n at _additional \{ id distance \} \} \} \}"
).fullmatch
_AGGREGATE = re.compile(r'\{ Aggregate \{ (\w+)\(tenant: "([\w-]+)"\) \{ meta \{ count \} \} \} \}').fullmatch
_NAME = re.compile(r"[A-Za-z0-9_-]{4,64}").fullmatch


class WeaviateImitation:
    """Classes, their tenants, and objects in those."""

    def __init__(self) -> None:
        self.version = "1.30.0"
        self.classes: dict[str, dict[str, dict[str, Any]]] = {}
        """Objects by id, by tenant, by class."""
        self._server = Imitation(self._answer)
        self.url = f"http://:{KEY}@127.0.0.1:{self._server.port}"

    def _answer(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return 401, {"error": [{"message": "anonymous access not enabled"}]}
        match asked.method, asked.path.strip("/").split("/"):
            case "GET", ["v1", "meta"]:
                return 200, {"hostname": "http://[::]:8080", "version": self.version, "modules": {}}
            case "GET", ["v1", "schema"]:
                return 200, {"classes": [{"class": name} for name in self.classes]}
            case "POST", ["v1", "schema"]:
                return self._make_class(asked.body)
            case method, ["v1", "schema", name, "tenants", *rest]:
                return self._tenants(method, name, rest, asked.body)
            case "POST", ["v1", "batch", "objects"]:
                return 200, [self._put(each) for each in asked.body["objects"]]
            case "DELETE", ["v1", "batch", "objects"]:
                return self._delete(asked.query, asked.body["match"])
            case "POST", ["v1", "graphql"]:
                return 200, self._query(asked.body["query"])
        return 404, None

    def _make_class(self, body: dict[str, Any]) -> Answer:
        if body["class"] in self.classes:
            return 422, {"error": [{"message": f"class name {body['class']} already exists"}]}
        if body["multiTenancyConfig"]["enabled"] is not True or body["vectorIndexConfig"]["distance"] != "dot":
            return 422, {"error": [{"message": "not what the adapter should ask for"}]}
        self.classes[body["class"]] = {}
        return 200, body

    def _tenants(self, method: str, name: str, rest: list[str], body: Any) -> Answer:
        tenants = self.classes.get(name)
        if tenants is None:
            return 404 if rest else 422, {"error": [{"message": "class not found"}]}
        if method == "GET" and rest:
            return (200, {"name": rest[0]}) if rest[0] in tenants else (404, {"error": [{"message": "not found"}]})
        if method == "GET":
            return 200, [{"name": each, "activityStatus": "ACTIVE"} for each in tenants]
        if method == "POST":
            names = [each["name"] for each in body]
            if not all(map(_NAME, names)):
                return 422, {"error": [{"message": "tenant name is invalid"}]}
            for each in names:
                tenants.setdefault(each, {})
            return 200, body
        for each in body:
            tenants.pop(each, None)
        return 200, None

    def _put(self, body: dict[str, Any]) -> dict[str, Any]:
        tenant = self.classes.get(body["class"], {}).get(body["tenant"])
        if tenant is None:
            return {**body, "result": {"status": "FAILED", "errors": {"error": [{"message": "tenant not found"}]}}}
        tenant[body["id"]] = body
        return {**body, "result": {"status": "SUCCESS"}}

    def _delete(self, query: str, match: dict[str, Any]) -> Answer:
        tenant = self.classes.get(match["class"], {}).get(query.removeprefix("tenant="))
        if tenant is None:
            return 422, {"error": [{"message": "tenant not found"}]}
        where = match["where"]
        if where["path"] == ["id"]:
            found = [each for each in where["valueTextArray"] if each in tenant]
        else:
            found = [each for each, body in tenant.items() if body["properties"]["g"] == where["valueText"]]
        for each in found[:_MOST_DELETED]:
            del tenant[each]
        done = min(len(found), _MOST_DELETED)
        return 200, {"results": {"matches": len(found), "limit": _MOST_DELETED, "successful": done, "failed": 0}}

    def _query(self, query: str) -> dict[str, Any]:
        if found := _AGGREGATE(query):
            tenant = self.classes.get(found[1], {}).get(found[2])
            if tenant is not None:
                return {"data": {"Aggregate": {found[1]: [{"meta": {"count": len(tenant)}}]}}}
        elif found := _GET(query):
            tenant = self.classes.get(found[1], {}).get(found[2])
            if tenant is not None:
                return {"data": {"Get": {found[1]: _nearest(tenant, *found.groups()[2:])}}}
        return {"data": None, "errors": [{"message": "tenant not found, or no such query"}]}


def _nearest(tenant: dict[str, Any], limit: str, vector: str, groups: str | None) -> list[dict[str, Any]]:
    asked, among = json.loads(vector), None if groups is None else json.loads(groups)
    found = [
        {
            **body["properties"],
            "_additional": {"id": id_, "distance": -sum(a * b for a, b in zip(body["vector"], asked, strict=True))},
        }
        for id_, body in tenant.items()
        if among is None or body["properties"]["g"] in among
    ]
    return sorted(found, key=lambda each: each["_additional"]["distance"])[: int(limit)]


@functools.cache
def weaviate_imitation() -> WeaviateImitation:
    """The one of this process."""
    return WeaviateImitation()
