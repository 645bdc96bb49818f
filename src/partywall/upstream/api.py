"""The APIs that the gateway speaks. What is not listed here is refused, not passed through."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Api"]


class Api(StrEnum):
    """One request shape of one vendor's API."""

    CHAT = "chat.completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"
    MESSAGES = "messages"
    MODELS = "models"
    CONVERSATIONS = "conversations"
    FILES = "files"
    VECTOR_STORES = "vector_stores"
