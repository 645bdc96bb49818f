"""What a request asks of what its tenant has stored; read and taken out of it, so that no upstream sees an id.

Promises: requests that ask for none of it cost one look at their fields. What is taken out here is found by the
caller's own stores alone; what is left is for `upstream_state` to refuse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from partywall.errors import NotFound
from partywall.gateway.wire import Api, JsonObject
from partywall.gateway.wire.shapes import malformed
from partywall.gateway.wire.tool_names import builtin_name

__all__ = ["FILE_SEARCH", "RESULTS", "Asked", "none_of_that_id", "take_asked"]

FILE_SEARCH: Final = "file_search"
"""The tool that is ours to run, as roles and clients name it."""
RESULTS: Final = "file_search_call.results"
"""What `include` names in order to see what was found."""
_MOST_SEARCHES: Final = 4
_LONGEST_ID_BYTES: Final = 256


@dataclass(slots=True)
class Asked:
    """What one request asks for."""

    conversation: str | None = None
    """The conversation that it goes on with."""
    previous: str | None = None
    """The answer that it follows."""
    keeps: bool = False
    """Whether its answer is to be kept."""
    insists: bool = False
    """Whether it says so itself; OpenAI keeps what doesn't say otherwise."""
    searches: tuple[JsonObject, ...] = ()
    """The file searches among its tools, as they were sent."""
    with_results: bool = False
    """Whether it wants to see what was found."""


def take_asked(api: Api, body: JsonObject, *, stores: bool) -> Asked | None:
    """Take out of `body` what it asks of the stores; None when that is nothing. `stores` says whether there are any.

    Raises:
        BadRequest: it asks for both, or in a shape that isn't documented.
        NotFound: the id can't be anybody's.
    """
    if api is Api.CHAT:
        searches = _searches(body) if "tools" in body else ()
        if searches or body.get("conversation") is not None:
            return Asked(_conversation(body), searches=searches)
        return None
    if api is not Api.RESPONSES or not stores:
        return None
    searches = _searches(body) if "tools" in body else ()
    keeps = body.get("store") is not False
    conversation, previous = _conversation(body), _id(body.pop("previous_response_id", None), "previous_response_id")
    if conversation is not None and previous is not None:
        raise malformed("`conversation` and `previous_response_id` can't be used together")
    if not keeps and not searches and conversation is None and previous is None:
        return None
    if not isinstance(body.get("store", True), bool | None):
        raise malformed("`store` must be true or false")
    insists = body.get("store") is True
    body["store"] = False  # upstream; kept here
    with_results = _takes_results(body) if searches else False
    return Asked(conversation, previous, keeps, insists, searches, with_results)


def none_of_that_id(field: str) -> NotFound:
    """The refusal of an id in a request's `field`: nobody's and somebody else's alike."""
    return NotFound(
        f"`{field}` is of no object of the caller's",
        public_message=f"`{field}` refers to a stored object, and there is none of that id.",
    )


def _searches(body: JsonObject) -> tuple[JsonObject, ...]:
    """The file searches, taken out of the tools."""
    tools = body["tools"]
    if not isinstance(tools, list):
        return ()
    found = tuple(tool for tool in tools if isinstance(tool, dict) and _is_search(tool.get("type")))
    if len(found) > _MOST_SEARCHES:
        raise malformed(f"a request has at most {_MOST_SEARCHES} file searches")
    if found:
        body["tools"] = [tool for tool in tools if not any(tool is each for each in found)]
        if not body["tools"]:
            del body["tools"]
    return found


def _is_search(kind: object) -> bool:
    return isinstance(kind, str) and builtin_name(kind) == FILE_SEARCH


def _takes_results(body: JsonObject) -> bool:
    include = body.get("include")
    if not isinstance(include, list) or RESULTS not in include:
        return False
    body["include"] = [each for each in include if each != RESULTS]
    return True


def _conversation(body: JsonObject) -> str | None:
    asked = body.pop("conversation", None)
    if isinstance(asked, dict):
        if asked.keys() != {"id"}:
            raise malformed("`conversation` must be an id, or an object with an `id`")
        asked = asked["id"] or ""
    return _id(asked, "conversation")


def _id(value: object, field: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise malformed(f"`{field}` must be an id")
    if not 1 <= len(value.encode("utf-8", "surrogatepass")) <= _LONGEST_ID_BYTES:
        raise none_of_that_id(field)
    return value
