"""The request path: OpenAI- and Anthropic-compatible HTTP in front of each tenant's own upstreams."""
