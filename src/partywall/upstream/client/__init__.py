"""The client towards upstreams: strict HTTP/1.1 over pooled connections, each the property of one (tenant, target).

`origin` reads a `base_url`, `address` says where we may connect, `request` writes, `reader` reads, `connection` and
`response` hold one exchange, `shelf` and `pool` keep what is idle.
"""

from partywall.upstream.client.connection import PoolKey
from partywall.upstream.client.origin import Origin, OriginError, parse_base_url
from partywall.upstream.client.pool import UpstreamPool
from partywall.upstream.client.response import UpstreamResponse

__all__ = ["Origin", "OriginError", "PoolKey", "UpstreamPool", "UpstreamResponse", "parse_base_url"]
