"""The general path for local models, on any device: forward passes, decoding, scoring, memory.

Start with `forward.py` (one pass through the network) and `generate.py` (answers to many prompts).
Knows transformers and torch; knows no task, no arm and no metric.
"""
