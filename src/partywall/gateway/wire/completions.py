"""Completions: a prompt without roles.

Instructions are the beginning of the prompt's text. A prompt of tokens can't be given any: only the model's own
tokenizer could put text before it, so it is refused. Retrieved passages are refused too, since without roles nothing
would tell them from instructions.
"""

from __future__ import annotations

from partywall.gateway.wire.openai_family import OpenAIWire
from partywall.gateway.wire.shapes import JsonObject, malformed
from partywall.upstream.api import Api

__all__ = ["CompletionsWire"]


class CompletionsWire(OpenAIWire):
    """`/v1/completions`."""

    __slots__ = ()
    takes_instructions = True

    def __init__(self) -> None:
        super().__init__(Api.COMPLETIONS)

    def _put_first(self, body: JsonObject, text: str) -> None:
        if body.get("suffix"):
            # Models that fill in read what comes after the gap first.
            raise malformed("`suffix` can't be used where the platform's instructions come first")
        prompt = body.get("prompt")
        if prompt is None or isinstance(prompt, str):
            body["prompt"] = f"{text}\n\n{prompt or ''}"
        elif isinstance(prompt, list) and prompt and all(isinstance(each, str) for each in prompt):
            body["prompt"] = [f"{text}\n\n{each}" for each in prompt]
        else:
            raise malformed("`prompt` must be text, or a list of texts: the platform's instructions come first")
