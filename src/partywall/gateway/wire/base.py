"""What every API of the gateway can be asked: the `Wire`.

Promises: pure functions over parsed JSON, one object per API for all tenants, no state. Whatever the JSON, what is
raised is a `PartywallError`. Nothing outside the named fields is touched.

The order in which a pipeline uses one: `check_request`, `tenant_hints`, `strip_request`, `filter_tools`, `put_context`,
`put_instructions`; then, for the answer, `tool_names_in_answer` or a `watch`, and `usage`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from partywall.errors import PartywallError, ToolDenied
from partywall.gateway.wire import strip
from partywall.gateway.wire.instructions import clear_the_way, joined
from partywall.gateway.wire.material import Passage, as_material
from partywall.gateway.wire.refusals import Header
from partywall.gateway.wire.shapes import MAX_NAME_CHARS, JsonObject, Usage, is_name, malformed
from partywall.gateway.wire.strip_list import DOCUMENTED
from partywall.gateway.wire.tool_choice import Choice, read_choice
from partywall.gateway.wire.tool_filter import Shelf, filter_shelves, offered_names
from partywall.gateway.wire.tool_watch import NoCalls, ToolWatch
from partywall.gateway.wire.upstream_state import refuse_upstream_state
from partywall.upstream.api import Api

__all__ = ["Wire"]

_READ_BY_US: Final = frozenset(
    {
        "audio",
        "background",
        "background_options",
        "chat_template_args",
        "chat_template_kwargs",
        "container",
        "conversation",
        "function_call",
        "functions",
        "inference_geo",
        "input",
        "instructions",
        "mcp_servers",
        "messages",
        "metadata",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_options",
        "prompt_cache_retention",
        "store",
        "stream",
        "suffix",
        "system",
        "thread",
        "tool_choice",
        "tools",
        "user",
        "web_search_options",
    }
)
"""Fields that a decision rests on, or that are ours to set."""

_DEMANDS: Final = frozenset({"function_call", "tool_choice"})
"""Fields that can demand something of the model's tools; most requests have neither."""

_SHELVES: Final = ("tools", "functions", "mcp_servers")
"""Fields that go when nothing is left in them: APIs refuse them empty."""


# Bounds within which looking at a request takes milliseconds: one request mustn't stop everybody's.
MAX_FIELDS: Final = 256
_LONGEST: Final = (("tools", 1024), ("functions", 1024), ("messages", 10_000), ("input", 10_000))
"""Entries at most. `input` of embeddings is documented to hold up to 2,048."""


class Wire(ABC):
    """One API."""

    __slots__ = ("_documented", "api")

    takes_instructions: ClassVar[bool] = False
    """Whether the API has a place for instructions. Where it hasn't, nothing is generated from words."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._documented = DOCUMENTED[api]

    # -- The request ---

    def check_request(self, body: object) -> JsonObject:
        """`body` as an object whose `model`, `stream` and `tools` have the right shape.

        Raises:
            BadRequest: they haven't; or a field of `_READ_BY_US` is spelled in another case, which some servers (Go's
                `encoding/json`) would read and we wouldn't.
        """
        if not isinstance(body, dict):
            raise malformed("the request body must be a JSON object")
        if len(body) > MAX_FIELDS:
            raise malformed(f"the request body must not have more than {MAX_FIELDS} fields")
        for field, most in _LONGEST:
            entries = body.get(field)
            if isinstance(entries, list) and len(entries) > most:
                raise malformed(f"`{field}` must not have more than {most} entries")
        if not self._documented.issuperset(body):
            _refuse_respelt(body)
        if not is_name(body.get("model")):
            raise malformed(f"`model` must be a string of 1 to {MAX_NAME_CHARS} printable characters")
        stream = body.get("stream")
        if stream is not None and not isinstance(stream, bool):
            raise malformed("`stream` must be true or false")
        if "tools" in body:
            tools = body["tools"]
            for tool in tools if isinstance(tools, list) else (None,):
                if not isinstance(tool, dict):
                    raise malformed("`tools` must be a list of objects")
        return body

    def requested_tools(self, body: JsonObject) -> list[str]:
        """The names of all tools that `body` offers to the model, each once (`tool_names` says how they are called).

        Raises:
            BadRequest: one can't be named.
        """
        return offered_names(self._shelves(body))

    def forced_tool(self, body: JsonObject) -> str | None:
        """The tool that `body` makes the model call, if it names one.

        Raises:
            BadRequest: the demand isn't a documented form.
        """
        return None if _DEMANDS.isdisjoint(body) else self._choice(body).forced

    def filter_tools(self, body: JsonObject, allowed: Callable[[str], bool]) -> list[str]:
        """Take every tool that isn't `allowed` out of `body`, in place; return their names, each once.

        Raises:
            BadRequest: a tool can't be named.
            ToolDenied: the tool that must be called is one of them, or some tool must be called and none is left.
        """
        choice = self._choice(body)
        if choice.forced is not None and not allowed(choice.forced):
            raise ToolDenied(f"the request forces `{choice.forced}`, which the role may not use")
        shelves = self._shelves(body)
        removed = filter_shelves(body, shelves, allowed)
        if removed:
            _tidy(body, shelves, choice)
        return list(dict.fromkeys(removed))

    def strip_request(self, body: JsonObject) -> list[str]:
        """Remove what a client may not choose (`strip_list`), switch storing off, and return the names, for the record.

        Raises:
            NotFound: `body` refers to something that the vendor stores (`upstream_state`).
            BadRequest: it asks for what only such a store could serve.
        """
        unknown = strip.undocumented(self.api, body)
        refused = refuse_upstream_state(self.api, body, unknown)
        return strip.strip_fields(self.api, body, unknown) + refused

    def tenant_hints(self, body: JsonObject) -> list[str]:
        """What `body` says about its tenant, removed from it. Each must equal the credential's tenant."""
        if "metadata" not in body and self._documented.issuperset(body):
            return []
        return strip.tenant_hints(self.api, body)

    def put_context(self, body: JsonObject, items: Sequence[Passage]) -> None:
        """Put retrieved passages beside the user's last words, in their order, as material (`material`).

        The top level of `body` is changed; what is nested is replaced, never altered.

        Raises:
            BadRequest: the API has no roles, so that nothing would tell passages from instructions; or the request has
                a shape that isn't documented.
        """
        if items:
            self._put_material(body, as_material(items))

    def put_instructions(self, body: JsonObject, parts: Sequence[str]) -> list[str]:
        """Put `parts`, in their order, before everything of the client's; the last thing done to a request.

        Returns the names of what was taken out because it would have come before them, for the record. The top level of
        `body` is changed; what is nested is replaced, never altered.

        Raises:
            BadRequest: the request has a shape in which nobody can tell what would come first, or the API has no place
                for instructions.
            ValueError: there are none, or one is empty.
        """
        text = joined(parts)
        taken = clear_the_way(self.api, body)
        self._put_first(body, text)
        return taken

    # -- The answer ---

    def tool_names_in_answer(self, answer: JsonObject) -> list[str]:  # noqa: ARG002  # an API without tools
        """The tools that a whole answer calls, or called on the vendor's side.

        Raises:
            ToolDenied: a call has no name.
        """
        return []

    def tool_names_in_event(self, event: JsonObject) -> list[str]:  # noqa: ARG002  # an API without tools
        """The tools named in one event of a stream; in Chat possibly parts of names. `watch` decides with context."""
        return []

    def watch(self) -> ToolWatch:
        """A watch over one stream's tool calls."""
        return NoCalls()

    @abstractmethod
    def usage(self, message: JsonObject) -> Usage | None:
        """The tokens that an answer or event reports. Over a stream, take the `most` of all."""

    # -- Our refusals ---

    @abstractmethod
    def error_body(self, error: PartywallError, request_id: str) -> tuple[list[Header], bytes]:
        """The headers (`content-length` apart) and body that make the official client raise the class for `error`."""

    @abstractmethod
    def error_events(self, error: PartywallError, request_id: str) -> bytes:
        """What to write into a stream that has begun, so that the official client raises. Ends the stream."""

    # -- What the APIs differ in ---

    def _shelves(self, body: JsonObject) -> list[Shelf]:  # noqa: ARG002  # an API without tools
        """Every list in `body` that offers tools."""
        return []

    def _put_first(self, body: JsonObject, text: str) -> None:  # noqa: ARG002  # an API without a place for it
        """Put the instructions where nothing comes before them."""
        raise malformed("this API has no place for the platform's instructions")

    def _put_material(self, body: JsonObject, text: str) -> None:  # noqa: ARG002  # an API without a place for it
        """Put what was retrieved beside the user's last words."""
        raise malformed("this API has no place for retrieved passages")

    def _choice(self, body: JsonObject) -> Choice:
        """What `body` demands of the model's tools."""
        return read_choice(body)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.api})"


def _refuse_respelt(body: JsonObject) -> None:
    for key in body:
        if key not in _READ_BY_US and key.casefold() in _READ_BY_US:
            raise malformed(f"`{key.casefold()}` must be spelled in lower case")


def _tidy(body: JsonObject, shelves: list[Shelf], choice: Choice) -> None:
    """Leave a request that its API still takes, after tools were taken out of it."""
    for member in _SHELVES:
        if body.get(member) == []:
            del body[member]
    if "functions" not in body:
        body.pop("function_call", None)
    if any(shelf.entries for shelf in shelves):
        return
    if choice.must_call:
        raise ToolDenied("the request demands a tool call, and the role may use none of its tools")
    body.pop("tool_choice", None)
    body.pop("parallel_tool_calls", None)
