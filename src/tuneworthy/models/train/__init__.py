"""Train adapters or all weights of a local model; merge and export them. Knows no metric."""
