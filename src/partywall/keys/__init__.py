"""Every tenant's data under its own key, and gone when that key is gone.

Promises: a record opens for the tenant, store, purpose and record id it was sealed for, and for nothing else; callers
choose no algorithm, nonce or label. A tenant's key is random, so destroying it destroys the data; the wrapped keys lie
apart from the data they protect. Every use is recorded. When a key can't be had, the use is refused.

Doesn't promise: to erase what CPython and OpenSSL copied inside the process, nor to stop hostile code in it.

Layers: `roots` wrap tenant keys · `key_store` keeps them wrapped · `holding` is the one place of unwrapped ones ·
`keyring` and `store_keys` seal and open with them · `life` rotates, rewraps and destroys · `uses` records.
"""
