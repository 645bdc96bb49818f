"""A tenant's files and documents, and the search over them.

Promises: importing it needs nothing of the extra `documents`; using it does, and says so. Every file, piece and vector
is sealed and passes the walls as every other record does (`stores.walls`), and a search's results once more (`search`).
"""

from partywall.stores.documents.books import Books
from partywall.stores.documents.documents import Documents
from partywall.stores.documents.embedding import Embedder, EmbedderOf
from partywall.stores.documents.files import Files
from partywall.stores.documents.filters import Comparison, Compound, Filter, parse_filter
from partywall.stores.documents.kinds import (
    DEFAULT,
    Document,
    DocumentCollection,
    File,
    Hit,
    Limits,
    Progress,
    Retrieval,
)

__all__ = [
    "DEFAULT",
    "Books",
    "Comparison",
    "Compound",
    "Document",
    "DocumentCollection",
    "Documents",
    "Embedder",
    "EmbedderOf",
    "File",
    "Files",
    "Filter",
    "Hit",
    "Limits",
    "Progress",
    "Retrieval",
    "parse_filter",
]
