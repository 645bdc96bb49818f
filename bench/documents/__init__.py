"""What retrieval costs, what a neighbour moves, and what ten thousand tenants need."""
