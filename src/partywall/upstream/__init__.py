"""Where requests go: the targets of a document, how each vendor is asked, and the HTTP client that asks.

Promises: an address comes from the document alone, a credential is the target's own, and a connection belongs to one
tenant and target (`client`). What tells tenants apart at a vendor is set by its provider and by nobody else.

Doesn't promise: to know what is asked. Whoever sends has decided that it may.
"""
