"""The client towards upstreams: strict HTTP/1.1 over pooled connections, each the property of one (tenant, target).

`origin` reads a `base_url`, `address` says where we may connect, `request` writes, `reader` reads, `connection` and
`response` hold one exchange, `shelf` and `pool` keep what is idle.
"""

from partywall.gateway.upstream.connection import PoolKey
from partywall.gateway.upstream.origin import Origin, OriginError, parse_base_url
from partywall.gateway.upstream.pool import UpstreamPool
from partywall.gateway.upstream.response import UpstreamResponse

__all__ = ["Origin", "OriginError", "PoolKey", "UpstreamPool", "UpstreamResponse", "parse_base_url"]
