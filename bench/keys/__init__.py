"""What the section `keys` measures: the cost of sealing, the latency of roots, and how soon a revocation bites."""
