"""The keys that anybody can read in our own examples.

Promises: `tests/cli/test_serve.py` holds this list against `examples/`, so that no published key is missing here.
"""

from __future__ import annotations

from typing import Final

from partywall.config import Document

__all__ = ["PUBLISHED_KEYS", "published_keys_in"]

PUBLISHED_KEYS: Final = {
    "pw-demo-alpha-not-a-secret": "sha256:daede9a1ad377b434433982fcf31b8a61d49a92065e0d8257d92a15f8922fd96",
    "pw-demo-beta-not-a-secret": "sha256:06f8210db061a2e53e4e9d2f7f492125b1fa9aa9cdf149bfb39a050e2f3372cd",
    "pw-demo-operator-not-a-secret": "sha256:cef2ddfd0065994cdde81e57434b2bb32d94cf103581124fdedbd91889d83461",
}
"""Each with its digest, which is how a document writes it."""


def published_keys_in(document: Document) -> list[str]:
    """The published keys with which `document` lets somebody in."""
    accepted = set(document.server.admin.api_keys)
    for group in document.consumer_groups.groups:
        accepted.update(group.key_hashes())
    return [key for key, digest in PUBLISHED_KEYS.items() if digest in accepted]
