"""The engines below the stores. They see partitions, keyed hashes and ciphertext, and nothing else."""
