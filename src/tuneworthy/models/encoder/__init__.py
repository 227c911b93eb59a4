"""The sentence encoder (MiniLM) in numpy, without torch. Start with `vectors.py`."""
