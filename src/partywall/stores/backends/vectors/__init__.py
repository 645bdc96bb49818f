"""Vector engines outside, beside a record backend that keeps the rows: Chroma, Qdrant, Weaviate and Pinecone.

Promises: an engine sees keyed names, numbers, times and vectors; no text, no tenant's id. What it answers is a hint.

Layers: `engine` is the port · `names` makes what an engine sees, and knows ours again · `address` reads where one is ·
`http` asks over HTTP · one adapter each · `beside` keeps rows and vectors in step · `self_check` tries it with two
identities · `opened` opens it all.
"""
