"""What several rooms' tests share: documents, a gateway in this process, a gateway of its own process, an upstream.

Always two tenants. Nothing here is a mock of ours: the upstream is a real HTTP server that records what it was sent.
"""
