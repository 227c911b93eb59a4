"""Requests to OpenAI-compatible endpoints: the wire, the address and its key, retries, prices.

Start with `wire.py` (one request and its outcome). Never writes or prints an API key.
"""
