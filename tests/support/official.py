"""OpenAI's official client against a gateway of its own process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import openai
from openai import OpenAI
from tests.support.documents import KEYS, headers_of
from tests.support.process import Served

__all__ = ["gpt"]


@contextmanager
def gpt(served: Served, tenant: str = "alpha", *, user: str | None = None, retries: int = 0) -> Iterator[OpenAI]:
    """The client of one of `tenant`'s users."""
    headers = {name: value for name, value in headers_of(tenant).items() if name != "authorization"}
    if user is not None:
        headers["x-user-id"] = user
    with OpenAI(
        base_url=f"{served.url}/v1",
        api_key=KEYS[tenant],
        default_headers=headers,
        max_retries=retries,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as client:
        yield client
