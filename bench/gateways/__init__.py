"""The contenders. nginx comes first: it is what the others are measured against."""

from bench.gateways.base import Gateway, Launch, Unavailable
from bench.gateways.litellm import LiteLLM
from bench.gateways.nginx import Nginx
from bench.gateways.partywall import Partywall
from bench.gateways.portkey import Portkey

__all__ = ["DEFAULT", "LARGE", "Gateway", "Launch", "Unavailable"]

DEFAULT: tuple[Gateway, ...] = (Nginx(), Partywall())
LARGE: tuple[Gateway, ...] = (Portkey(), LiteLLM())
"""Installed and measured with `--all` only: hundreds of megabytes and minutes."""
