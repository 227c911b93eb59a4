"""Inference: prefill and decoding of Llama-family layers, straight from their weights."""
