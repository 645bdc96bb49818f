"""What a tenant does with each store, and everything that it can see of it: one entry for each store.

A new store joins here, and the walls, the contract and non-interference are held against it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from partywall.errors import PartywallError
from partywall.stores import Direction, StoredResponse, Stores
from partywall.tenancy import Secret, TenantScope

__all__ = ["NAMES", "USES", "Use", "observed", "renamed"]

NAMES: Final = ("n-1", "n-2")
"""Ids that callers choose; both tenants choose the same ones."""


class Use(NamedTuple):
    """One store in use."""

    plant: Callable[[Stores, TenantScope, str], Awaitable[list[str]]]
    """Store something that holds the mark, under the usual names. Returns the ids that were made."""
    look: Callable[[Stores, TenantScope, list[str]], Awaitable[list[str]]]
    """Ask for everything in every way, by the usual names and by `ids`; what came back, errors too, as text."""
    clear: Callable[[Stores, TenantScope], Awaitable[None]]
    """Delete what was planted, by its names."""


async def observed(question: Awaitable[object]) -> str:
    """The answer, or the refusal in full, as the caller sees it."""
    try:
        answer = await question
    except PartywallError as error:
        return f"{type(error).__name__} {error.code} {error.status} {error} {error.public_message}"
    if isinstance(answer, Secret):
        return f"Secret {answer.reveal()}"
    return repr(answer)


_MADE = re.compile(r"(conv|msg|fc|item|mem|resp|sess|evt|file|vs|node|edge)_[0-9a-f]{32}")


def renamed(texts: list[str], known: dict[str, str]) -> list[str]:
    """The texts with ids that the server made replaced by their order of appearance."""

    def name(match: re.Match[str]) -> str:
        return known.setdefault(match[0], f"<{match[1]} {len(known)}>")

    return [_MADE.sub(name, text) for text in texts]


# -- Each store ---


async def _plant_conversations(stores: Stores, scope: TenantScope, mark: str) -> list[str]:
    made = []
    for name in NAMES:
        for number in range(3):
            message = await stores.conversations.append(scope, name, role="user", content=f"{mark} {number}")
            made.append(message.id)
        call = {"type": "function_call", "name": "look", "call_id": "call_1", "arguments": mark}
        made += [item.id for item in await stores.conversations.append_items(scope, name, [call, {"type": "odd"}])]
        made.append((await stores.conversations.update(scope, name, {"mark": mark})).id)
    return made


async def _look_conversations(stores: Stores, scope: TenantScope, ids: list[str]) -> list[str]:
    conversations = stores.conversations
    seen = [await observed(conversations.list_own(scope, backwards=way, limit=1)) for way in (False, True)]
    for each in (*NAMES, *ids, "", "n-", "n-1 ", "\uff4e-1", "%", "conv_"):
        seen.append(await observed(conversations.get(scope, each)))
        seen.append(await observed(conversations.messages(scope, each, limit=2)))
        seen.append(await observed(conversations.messages(scope, each, limit=2, backwards=True)))
        seen.append(await observed(conversations.messages(scope, NAMES[0], after=each)))
        seen.append(await observed(conversations.items(scope, each, limit=2, backwards=True)))
        seen.append(await observed(conversations.item(scope, NAMES[0], each)))
        seen.append(await observed(conversations.item(scope, each, (*ids, each)[0])))
        seen.append(await observed(conversations.list_own(scope, after=each)))
    return seen


async def _plant_responses(stores: Stores, scope: TenantScope, mark: str) -> list[str]:
    made = []
    for _ in NAMES:
        said = stores.conversations.new_items(scope, [{"type": "message", "role": "user", "content": mark}])
        response = StoredResponse(stores.responses.new_id(), 1.0, None, {"output": mark}, said, scope.tenant)
        await stores.responses.keep(scope, response)
        made += [response.id, said[0].id]
    return made


async def _look_responses(stores: Stores, scope: TenantScope, ids: list[str]) -> list[str]:
    return [await observed(stores.responses.get(scope, each)) for each in (*NAMES, *ids, "", "resp_", "%")]


async def _clear_responses(stores: Stores, scope: TenantScope) -> None:
    """Answers have no names: one is kept and deleted."""
    (made, *_) = await _plant_responses(stores, scope, "to be deleted")
    await stores.responses.delete(scope, made)


async def _clear_conversations(stores: Stores, scope: TenantScope) -> None:
    for name in NAMES:
        await observed(stores.conversations.delete(scope, name))


async def _plant_memory(stores: Stores, scope: TenantScope, mark: str) -> list[str]:
    return [(await stores.memory.add(scope, name, f"{mark} {tag}", tags=[tag])).id for name in NAMES for tag in NAMES]


async def _look_memory(stores: Stores, scope: TenantScope, ids: list[str]) -> list[str]:
    memory, seen = stores.memory, []
    for agent in (*NAMES, "", "n-"):
        seen.append(await observed(memory.list_notes(scope, agent, limit=1)))
        seen.append(await observed(memory.list_notes(scope, agent, backwards=True)))
        for each in (*NAMES, *ids, "", "%"):
            seen.append(await observed(memory.get(scope, agent, each)))
            seen.append(await observed(memory.search(scope, agent, each)))
            seen.append(await observed(memory.list_notes(scope, agent, after=each)))
    return seen


async def _clear_memory(stores: Stores, scope: TenantScope) -> None:
    for name in NAMES:
        await stores.memory.forget_all(scope, name)


async def _plant_graph(stores: Stores, scope: TenantScope, mark: str) -> list[str]:
    """A node that both tenants call the same, in the middle of each one's own (C32)."""
    graph, made = stores.graph, []
    for name in NAMES:
        await graph.put_node(scope, "person", {"name": name, "said": mark}, node_id=name, searchable=["name"])
        made.append((await graph.put_node(scope, "place", {"said": mark})).id)
    for source, target in ((NAMES[0], made[0]), (made[0], NAMES[1]), (NAMES[1], made[1]), (made[1], NAMES[1])):
        made.append((await graph.put_edge(scope, source, "knows", target, {"said": mark})).id)
    return made


async def _look_graph(stores: Stores, scope: TenantScope, ids: list[str]) -> list[str]:
    graph = stores.graph
    seen = [await observed(graph.list_nodes(scope, backwards=way, limit=1)) for way in (False, True)]
    seen += [await observed(graph.list_nodes(scope, kind)) for kind in ("person", "place", "", "perso")]
    seen += [await observed(graph.search(scope, "person", "name", name)) for name in (*NAMES, "", "n-", "%", 1)]
    seen.append(await observed(graph.search(scope, "person", "said", NAMES[0])))
    for each in (*NAMES, *ids, "", "%", "node_"):
        seen.append(await observed(graph.get_node(scope, each)))
        seen.append(await observed(graph.list_nodes(scope, after=each)))
        seen += [await observed(graph.neighbours(scope, each, direction=way)) for way in Direction]
        seen.append(await observed(graph.neighbours(scope, NAMES[0], "knows", after=each)))
        seen.append(await observed(graph.walk(scope, each, ["knows"], depth=3)))
        seen.append(await observed(graph.delete_edge(scope, NAMES[0], "said", each)))
    return seen


async def _clear_graph(stores: Stores, scope: TenantScope) -> None:
    while (page := await stores.graph.list_nodes(scope)).items:
        for node in page.items:
            await stores.graph.delete_node(scope, node.id)


async def _plant_preferences(stores: Stores, scope: TenantScope, mark: str) -> list[str]:
    for name in NAMES:
        await stores.preferences.put(scope, name, mark)
    return []


async def _look_preferences(stores: Stores, scope: TenantScope, ids: list[str]) -> list[str]:
    return [await observed(stores.preferences.read(scope))]


async def _clear_preferences(stores: Stores, scope: TenantScope) -> None:
    await stores.preferences.clear(scope)


async def _plant_system_prompts(stores: Stores, scope: TenantScope, mark: str) -> list[str]:
    for name in NAMES:
        await stores.system_prompts.put(scope, f"{mark} {name}")
    return []


async def _look_system_prompts(stores: Stores, scope: TenantScope, ids: list[str]) -> list[str]:
    prompts = stores.system_prompts
    seen = [await observed(prompts.get(scope)), await observed(prompts.find(scope))]
    seen += [await observed(prompts.list_versions(scope, backwards=way, limit=1)) for way in (False, True)]
    return seen + [await observed(prompts.list_versions(scope, after=after)) for after in (0, 1, 2)]


async def _clear_system_prompts(stores: Stores, scope: TenantScope) -> None:
    await stores.system_prompts.clear(scope)


async def _plant_vault(stores: Stores, scope: TenantScope, mark: str) -> list[str]:
    for name in NAMES:
        await stores.vault.put(scope, name, Secret(mark))
    return []


async def _look_vault(stores: Stores, scope: TenantScope, ids: list[str]) -> list[str]:
    seen = [await observed(stores.vault.list_tools(scope, backwards=way, limit=1)) for way in (False, True)]
    return seen + [await observed(stores.vault.get(scope, name)) for name in (*NAMES, "", "n", "N-1")]


async def _clear_vault(stores: Stores, scope: TenantScope) -> None:
    for name in NAMES:
        await observed(stores.vault.remove(scope, name))


async def _plant_traces(stores: Stores, scope: TenantScope, mark: str) -> list[str]:
    return [(await stores.trace_sessions.record(scope, name, {"said": mark})).id for name in NAMES for _ in range(2)]


async def _look_traces(stores: Stores, scope: TenantScope, ids: list[str]) -> list[str]:
    traces = stores.trace_sessions
    seen = [await observed(traces.list_sessions(scope, backwards=way, limit=1)) for way in (False, True)]
    for each in (*NAMES, *ids, "", "n-"):
        seen.append(await observed(traces.events(scope, each)))
        seen.append(await observed(traces.events(scope, NAMES[0], after=each)))
    return seen


async def _clear_traces(stores: Stores, scope: TenantScope) -> None:
    for name in NAMES:
        await observed(stores.trace_sessions.delete(scope, name))


async def _plant_sessions(stores: Stores, scope: TenantScope, mark: str) -> list[str]:
    # A session holds nothing of the caller's, so the mark is its length.
    seconds = 1000 + int.from_bytes(hashlib.sha256(mark.encode()).digest()[:2], "big")
    return [(await stores.sessions.start(scope, ttl_seconds=seconds)).id for _ in NAMES]


async def _look_sessions(stores: Stores, scope: TenantScope, ids: list[str]) -> list[str]:
    return [await observed(stores.sessions.verify(scope, each)) for each in (*ids, "", "sess_")]


async def _clear_sessions(stores: Stores, scope: TenantScope) -> None:
    await stores.sessions.end_all(scope)


async def _plant_documents(stores: Stores, scope: TenantScope, mark: str) -> list[str]:
    documents, made = stores.documents, []
    for name in NAMES:
        document = await documents.add(scope, name=name, data=f"{mark} {name}".encode(), metadata={"said": name})
        made.append(document.id)
    collection = await documents.create_collection(scope, name=NAMES[0], metadata={"said": mark})
    file = await stores.files.create(scope, name=NAMES[0], data=f"{mark} attached".encode())
    await documents.attach(scope, collection.id, file.id, metadata={"said": NAMES[0]})
    return [*made, collection.id, file.id]


async def _look_documents(stores: Stores, scope: TenantScope, ids: list[str]) -> list[str]:
    documents = stores.documents
    said = {"type": "eq", "key": "said", "value": NAMES[0]}
    seen = [await observed(documents.list_collections(scope, backwards=way, limit=1)) for way in (False, True)]
    seen.append(await observed(documents.search(scope, "planted", k=50)))
    seen.append(await observed(documents.search(scope, "planted", k=1, filters=said)))
    for each in ("default", *NAMES, *ids, "", "vs_", "n-"):
        seen.append(await observed(documents.get_collection(scope, each)))
        seen.append(await observed(documents.list_documents(scope, each, limit=1)))
        seen.append(await observed(documents.search(scope, "planted", collection=each)))
        seen.append(await observed(documents.list_collections(scope, after=each)))
        seen.append(await observed(documents.list_documents(scope, after=each, backwards=True)))
        seen += [await observed(documents.get(scope, each, collection=other)) for other in ("default", *ids)]
    return seen


async def _clear_documents(stores: Stores, scope: TenantScope) -> None:
    while (page := await stores.documents.list_collections(scope)).items:
        await stores.documents.delete_collection(scope, page.items[0].id)
    await _clear_files(stores, scope)


async def _plant_files(stores: Stores, scope: TenantScope, mark: str) -> list[str]:
    return [(await stores.files.create(scope, name=name, data=mark.encode())).id for name in NAMES]


async def _look_files(stores: Stores, scope: TenantScope, ids: list[str]) -> list[str]:
    files = stores.files
    seen = [await observed(files.list_own(scope, backwards=way, limit=1)) for way in (False, True)]
    seen += [await observed(files.list_own(scope, purpose=purpose)) for purpose in ("assistants", "", "%")]
    for each in (*NAMES, *ids, "", "file_"):
        seen.append(await observed(files.get(scope, each)))
        seen.append(await observed(files.content(scope, each)))
        seen.append(await observed(files.list_own(scope, after=each)))
    return seen


async def _clear_files(stores: Stores, scope: TenantScope) -> None:
    for file in (await stores.files.list_own(scope)).items:
        await stores.files.delete(scope, file.id)


USES: Final = {
    "conversations": Use(_plant_conversations, _look_conversations, _clear_conversations),
    "responses": Use(_plant_responses, _look_responses, _clear_responses),
    "memory": Use(_plant_memory, _look_memory, _clear_memory),
    "graph": Use(_plant_graph, _look_graph, _clear_graph),
    "preferences": Use(_plant_preferences, _look_preferences, _clear_preferences),
    "system_prompts": Use(_plant_system_prompts, _look_system_prompts, _clear_system_prompts),
    "vault": Use(_plant_vault, _look_vault, _clear_vault),
    "trace_sessions": Use(_plant_traces, _look_traces, _clear_traces),
    "sessions": Use(_plant_sessions, _look_sessions, _clear_sessions),
    "documents": Use(_plant_documents, _look_documents, _clear_documents),
    "files": Use(_plant_files, _look_files, _clear_files),
}
