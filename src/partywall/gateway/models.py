"""`/v1/models`: the models that the caller's tenant may use, and no trace of anybody else's.

Promises: a model of another tenant's and one that doesn't exist give the same bytes. The answer has the fields that the
official `openai` and `anthropic` clients read, in one object.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

import orjson

from partywall.errors import NotFound
from partywall.policy import RouteRule, Rules, visible_targets
from partywall.tenancy import TenantScope

__all__ = ["model_answer"]

_LIST: Final = "/v1/models"
_NO_DATE: Final = "1970-01-01T00:00:00Z"


def model_answer(rules: Rules, scope: TenantScope, route: RouteRule | None, path: str) -> bytes:
    """The list, or one model when `path` names it.

    Raises:
        NotFound: the tenant has no such model.
    """
    names = list(dict.fromkeys(target.listed_as for target in visible_targets(rules, scope, route)))
    if path == _LIST:
        models = [_model(name) for name in names]
        ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        return orjson.dumps({"object": "list", "data": models, "has_more": False, **ends})
    name = unquote(path[len(_LIST) + 1 :])
    if name not in names:
        raise NotFound(f"no model `{name[:200]}`", public_message="The model does not exist.")
    return orjson.dumps(_model(name))


def _model(name: str) -> dict[str, object]:
    # No date: the time at which a target was added is nobody's business, and a clock would tell two answers apart.
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "partywall",
        "type": "model",
        "display_name": name,
        "created_at": _NO_DATE,
    }
