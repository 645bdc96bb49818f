"""What a tenant leaves behind: conversations, memory, preferences, system prompts, credentials of tools, sessions,
traces.

Promises: every operation takes a `TenantScope`, first, and passes three walls, each enough alone: the partition of that
tenant, its own key, and a check of what the record says of itself (`walls`). What isn't there and what isn't yours
raise the same `Missing`.

Doesn't promise: to hide how many records a tenant has, how large they are or when they change from whoever may read
the data directory (docs/threats.md).
"""

from partywall.stores.alarms import OnAlarm, Wall, WallAlarm
from partywall.stores.conversations import Conversation, Conversations
from partywall.stores.counters import Counters
from partywall.stores.documents import (
    Comparison,
    Compound,
    Document,
    DocumentCollection,
    Documents,
    Embedder,
    EmbedderOf,
    File,
    Files,
    Filter,
    Hit,
    Limits,
    Retrieval,
    parse_filter,
)
from partywall.stores.fields import Page
from partywall.stores.graph import Direction, Edge, Graph, Neighbour, Node, Reached
from partywall.stores.items import Item, Message
from partywall.stores.memory import Memory, Note
from partywall.stores.opening import Stores, VectorSettings, open_stores
from partywall.stores.preferences import Preferences
from partywall.stores.responses import Responses, StoredResponse
from partywall.stores.sessions import Session, Sessions
from partywall.stores.system_prompts import SystemPrompt, SystemPrompts
from partywall.stores.trace_sessions import TraceEvent, TraceSession, TraceSessions
from partywall.stores.vault import StoredTool, Vault

__all__ = [
    "Comparison",
    "Compound",
    "Conversation",
    "Conversations",
    "Counters",
    "Direction",
    "Document",
    "DocumentCollection",
    "Documents",
    "Edge",
    "Embedder",
    "EmbedderOf",
    "File",
    "Files",
    "Filter",
    "Graph",
    "Hit",
    "Item",
    "Limits",
    "Memory",
    "Message",
    "Neighbour",
    "Node",
    "Note",
    "OnAlarm",
    "Page",
    "Preferences",
    "Reached",
    "Responses",
    "Retrieval",
    "Session",
    "Sessions",
    "StoredResponse",
    "StoredTool",
    "Stores",
    "SystemPrompt",
    "SystemPrompts",
    "TraceEvent",
    "TraceSession",
    "TraceSessions",
    "Vault",
    "VectorSettings",
    "Wall",
    "WallAlarm",
    "open_stores",
    "parse_filter",
]
