"""What several commands share: options, how their values are read, and how they end on Ctrl-C."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from partywall.errors import InvalidTenantId
from partywall.tenancy import TenantId, parse_tenant_id

__all__ = ["INTERRUPTED", "config_option", "data_dir_option", "format_option", "since", "tenant_id"]

F = TypeVar("F", bound=Callable[..., Any])  # click's decorators take any function

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C, as shells report it."""

_AGE: Final = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def since(text: str) -> float:
    """A moment, in seconds of the Unix epoch: an age (`90s`, `30m`, `1h`, `2d`, `1w`) or an ISO 8601 time."""
    if match := _AGE.fullmatch(text):
        return time.time() - int(match[1]) * _SECONDS[match[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"`{text}` is neither an age (30m, 1h, 2d) nor a time (2026-01-31T09:00Z)") from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def tenant_id(text: str) -> TenantId:
    """A tenant id, checked."""
    try:
        return parse_tenant_id(text)
    except InvalidTenantId as error:
        raise click.BadParameter(str(error)) from None


def format_option(*formats: str) -> Callable[[F], F]:
    """`--format`; the first of `formats` is the default."""
    return click.option(
        "--format", "form", type=click.Choice(formats), default=formats[0], show_default=True, help="How it is printed."
    )


def config_option() -> Callable[[F], F]:
    """`--config`, for what needs keys."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="The document that says where the keys are; by default the one that the data directory was last served "
        "with, or else partywall.yaml.",
    )


def data_dir_option() -> Callable[[F], F]:
    """`--data-dir` of a gateway that has run."""
    return click.option(
        "--data-dir",
        default=".partywall",
        show_default=True,
        type=click.Path(path_type=Path),
        help="The gateway's data directory.",
    )
