"""A LoRA training step with the gradient written out, layer by layer."""
