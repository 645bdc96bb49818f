"""Real engines for tests: OpenBao, a KMS (moto), a proxy that misbehaves. Each on a free port of 127.0.0.1."""
