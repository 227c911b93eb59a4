"""Training of LoRA adapters: rendering, training loop, checkpoints. Knows no metric and no arm."""
