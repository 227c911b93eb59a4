"""Requests to OpenAI-compatible endpoints and training APIs: addresses, keys, retries, prices.

Start with `wire.py` (one request and its outcome). Never writes or prints an API key.
"""
