"""Two organisations on one gateway, and what happens when they try to get at each other.

Promises: everything goes over real HTTP to a gateway in a process of its own, through the vendors' official clients;
what is expected is written beside each attempt in `scenario`, and nothing is counted as expected that didn't happen.

Doesn't promise: to be the proof. It shows a few dozen attempts; the tests make the claims.

Needs the extra `demo` (`openai`, `anthropic`); this module itself needs neither.
"""
