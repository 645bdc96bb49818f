"""File search: passages of a tenant's documents, found before the model is asked, and cited in what it answers.

Promises: a search is asked of the caller's own stores alone, and its hits say of themselves whose they are when they
enter the prompt (`provenance`). A vector store that isn't the caller's is refused like one that nobody has. What a
search asks for and isn't known here is refused, never ignored (R5).

Doesn't promise: to know which passages a model used. Every file of which it was given a passage is cited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from partywall.errors import Missing
from partywall.gateway.context.asked import none_of_that_id
from partywall.gateway.context.provenance import ContextItem, checked
from partywall.gateway.wire import JsonObject
from partywall.gateway.wire.material import Passage
from partywall.gateway.wire.shapes import malformed, objects
from partywall.stores import Filter, Hit, Stores, parse_filter
from partywall.stores.documents import DEFAULT
from partywall.stores.items import id_for
from partywall.tenancy import TenantScope

__all__ = ["Found", "SearchAsked", "found_by", "last_words", "look_up", "passages_of", "retrieve", "search_asked"]

_MOST_STORES: Final = 10
_MOST_HITS: Final = 50
_DEFAULT_HITS: Final = 10
_LONGEST_QUERY_CHARS: Final = 2000


@dataclass(frozen=True, slots=True)
class SearchAsked:
    """What one search asks for."""

    stores: tuple[str, ...]
    most: int
    least_score: float
    filters: Filter | None


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for one request."""

    call: JsonObject
    """The search as an item of an answer's output, results included."""
    hits: tuple[Hit, ...]

    def citations(self, index: int) -> list[JsonObject]:
        """The files that were found, best first, as annotations of a text at `index`."""
        files = {hit.file_id: hit.document_name for hit in self.hits}
        return [
            {"type": "file_citation", "index": index, "file_id": file_id, "filename": name}
            for file_id, name in files.items()
        ]


def search_asked(asked: Mapping[str, object], where: str) -> SearchAsked:
    """What a `file_search` tool, or the body of a search, asks for. `where` is named in refusals.

    Raises:
        BadRequest: it asks for what isn't documented, or isn't known here.
    """
    stores, most = asked.get("vector_store_ids"), asked.get("max_num_results")
    if not isinstance(stores, list) or not 1 <= len(stores) <= _MOST_STORES:
        raise malformed(f"`{where}` needs 1 to {_MOST_STORES} `vector_store_ids`")
    if not all(isinstance(each, str) for each in stores):
        raise malformed(f"the `vector_store_ids` of `{where}` must be ids")
    most = _DEFAULT_HITS if most is None else most
    if type(most) is not int or not 1 <= most <= _MOST_HITS:
        raise malformed(f"the `max_num_results` of `{where}` must be from 1 to {_MOST_HITS}")
    filters = asked.get("filters")
    return SearchAsked(
        tuple(dict.fromkeys(stores)),
        most,
        _least_score(asked, where),
        None if filters is None else parse_filter(filters),
    )


async def found_by(scope: TenantScope, stores: Stores, asked: SearchAsked, query: str) -> list[Hit]:
    """The passages nearest to `query`, best first.

    Raises:
        NotFound: the caller has no vector store of such an id.
        BadRequest, KeyUnavailable, StoreUnavailable, UpstreamUnavailable: as `Documents.search`.
    """
    hits: list[Hit] = []
    for store in asked.stores:
        try:
            hits += await stores.documents.search(scope, query, k=asked.most, collection=store, filters=asked.filters)
        except Missing:
            raise none_of_that_id("vector_store_ids") from None
    best = sorted(hits, key=lambda hit: -hit.score)
    return [hit for hit in best if hit.score >= asked.least_score][: asked.most]


async def look_up(scope: TenantScope, stores: Stores, searches: Sequence[SearchAsked]) -> None:
    """Look the vector stores up that won't be searched, so that an id which isn't the caller's is refused all the same.

    Raises:
        NotFound: the caller has no vector store of such an id.
    """
    for store in dict.fromkeys(store for asked in searches for store in asked.stores):
        if store == DEFAULT:
            continue  # each tenant's own, filled or not
        try:
            await stores.documents.get_collection(scope, store)
        except Missing:
            raise none_of_that_id("vector_store_ids") from None


async def retrieve(scope: TenantScope, stores: Stores, searches: Sequence[SearchAsked], query: str) -> Found:
    """What the searches of one request find for `query`."""
    hits: list[Hit] = []
    for asked in searches:
        hits += await found_by(scope, stores, asked, query)
    found = [ContextItem(hit.tenant, "documents", hit.file_id, hit) for hit in hits]
    own = tuple(item.value for item in checked(scope, found) if isinstance(item.value, Hit))
    call: JsonObject = {
        "type": "file_search_call",
        "status": "completed",
        "queries": [query],
        "results": [_result(hit) for hit in own],
    }
    return Found({"id": id_for(call), **call}, own)


def passages_of(found: Found) -> list[Passage]:
    """What was found, for the prompt."""
    return [Passage(hit.document_name, hit.text) for hit in found.hits]


def last_words(turns: object) -> str:
    """The last text of a user's: what is searched for. Empty when there is none."""
    if isinstance(turns, str):
        return turns[:_LONGEST_QUERY_CHARS]
    for turn in reversed(objects(turns)):
        if turn.get("role") != "user":
            continue
        content = turn.get("content")
        parts = [content] if isinstance(content, str) else [part.get("text") for part in objects(content)]
        text = "\n".join(part for part in parts if isinstance(part, str)).strip()
        if text:
            return text[:_LONGEST_QUERY_CHARS]
    return ""


def _least_score(asked: Mapping[str, object], where: str) -> float:
    ranking = asked.get("ranking_options")
    if ranking is None:
        return -1.0
    if not isinstance(ranking, dict) or not {"ranker", "score_threshold"}.issuperset(ranking):
        raise malformed(f"the `ranking_options` of `{where}` may hold `ranker` and `score_threshold`")
    if ranking.get("ranker") not in (None, "none", "auto", "default-2024-11-15"):
        raise malformed(f"the `ranker` of `{where}` isn't known here")
    least = ranking.get("score_threshold", -1.0)
    if isinstance(least, bool) or not isinstance(least, int | float):
        raise malformed(f"the `score_threshold` of `{where}` must be a number")
    return float(least)


def _result(hit: Hit) -> JsonObject:
    return {
        "file_id": hit.file_id,
        "filename": hit.document_name,
        "score": hit.score,
        "text": hit.text,
        "attributes": dict(hit.metadata),
    }
